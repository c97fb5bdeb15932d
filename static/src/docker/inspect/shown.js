// How what an image holds is written in the page: every character that would act, or that nobody sees, as its escape.

const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e" };

const escape = (c) => {
  const n = c.codePointAt(0);
  return SHORT[c] ?? (n < 256 ? `\\x${n.toString(16).padStart(2, "0")}` : `\\u{${n.toString(16)}}`);
};

// shown is a name or one line of text.
export const shown = (text) => String(text ?? "").replace(ACTS, escape);

// shownText is the text of a file: its lines and tabs stay.
export const shownText = (text) =>
  String(text)
    .replace(/\r\n/g, "\n")
    .replace(ACTS, (c) => (c === "\n" || c === "\t" ? c : escape(c)));

// parts are those of an entry's path. One that is no UTF-8 comes escaped as in a URL, and is shown by its bytes.
function parts(entry) {
  if (!entry.escaped) return shown(entry.path).split("/");
  return entry.escaped
    .replaceAll("+", " ")
    .split(/%2F/i)
    .map((part) => shown(part.replace(/(%[0-9a-f]{2})+/gi, plain)));
}

function plain(run) {
  try {
    return decodeURIComponent(run);
  } catch {
    return run.replaceAll("%", "\\x").toLowerCase();
  }
}

export const nameOf = (entry) => parts(entry).at(-1);
export const fullNameOf = (entry) => parts(entry).join("/");

// pathOf is what the API is asked for an entry.
export const pathOf = (entry) => (entry.escaped ? { escaped: entry.escaped } : entry.path);

export const MARKS = { added: "+", changed: "~", removed: "−" };

export const count = (n) => Number(n ?? 0).toLocaleString("en");

export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

// percent rounds, but not to nothing and not to all.
export function percent(share) {
  if (share > 0 && share < 0.01) return "<1%";
  return share < 1 && share > 0.99 ? ">99%" : `${Math.round((share || 0) * 100)}%`;
}
