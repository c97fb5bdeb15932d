// A key is a path as it stands in a URL: the only form that also holds names that are not UTF-8. Equal paths have equal keys.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

export const keyOf = (path) => path.split("/").map(encodeURIComponent).join("/");

// canonical makes a key of what another has encoded.
export const canonical = (encoded) => encoded.split("/").map(recode).join("/");

function recode(part) {
  const raw = bytesOf(part);
  try {
    return encodeURIComponent(strict.decode(raw));
  } catch {
    return [...raw].map((b) => (b < 128 ? encodeURIComponent(String.fromCharCode(b)) : "%" + b.toString(16).toUpperCase())).join("");
  }
}

function bytesOf(part) {
  const out = [];
  for (let i = 0; i < part.length; i++) {
    if (part[i] !== "%") out.push(...new TextEncoder().encode(part[i]));
    else out.push(parseInt(part.slice(i + 1, (i += 2) + 1), 16));
  }
  return new Uint8Array(out);
}

// pathOf is the path of a key; where it is not UTF-8, as near as text can be.
export function pathOf(key) {
  try {
    return decodeURIComponent(key);
  } catch {
    return key.split("/").map((p) => lenient.decode(bytesOf(p))).join("/");
  }
}

export const parentOf = (key) => key.slice(0, key.lastIndexOf("/")) || "/";
export const nameOf = (key) => key.slice(key.lastIndexOf("/") + 1);
export const join = (dir, name) => (dir === "/" ? "/" : dir + "/") + name;
export const isBelow = (key, dir) => key === dir || key.startsWith(dir === "/" ? "/" : dir + "/");

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\\ufffd]/gu;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\\": "\\\\", "\ufffd": "\ufffd" };

// shown writes a name as one line in which nothing is hidden: newlines and escapes as a shell would quote them.
export const shown = (name) => name.replace(HIDDEN, (c) => SHORT[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);
export const shownKey = (key) => shown(pathOf(key));
