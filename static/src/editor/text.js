const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const CHUNK = 8192; // arguments of one call

// decode makes a text of a file's bytes, with what encode needs to make the very same bytes of it again; null where they are
// no text. eol: "\r\n" where every line ends so. exact: lines end in more than one way, and what is in the text stays.
export function decode(bytes) {
  if (bytes.includes(0)) return null;
  let text, encoding = "utf-8";
  try {
    text = strict.decode(bytes);
  } catch {
    encoding = "bytes"; // one character for each byte: what is not touched stays as it is
    text = "";
    for (let i = 0; i < bytes.length; i += CHUNK) text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  }
  const returns = count(text, "\r"), pairs = count(text, "\r\n");
  const eol = pairs > 0 && pairs === returns && pairs === count(text, "\n") ? "\r\n" : "\n";
  return { text, encoding, eol, exact: eol === "\n" && returns > 0 };
}

function count(text, what) {
  let n = 0;
  for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) n++;
  return n;
}

// encode makes the bytes of a text whose lines end with "\n".
export function encode(text, { encoding, eol }) {
  const whole = eol === "\n" ? text : text.replaceAll("\n", eol);
  if (encoding === "utf-8") return new TextEncoder().encode(whole);
  const bytes = new Uint8Array(whole.length);
  for (let i = 0; i < whole.length; i++) {
    const c = whole.charCodeAt(i);
    if (c > 0xff) throw new Error(`This file is not UTF-8, so it cannot hold “${String.fromCodePoint(whole.codePointAt(i))}”. Take it out, or convert the file in the shell: iconv`);
    bytes[i] = c;
  }
  return bytes;
}

// lines is a text as the editor counts its lines.
export const lines = (text, { exact }) => (exact ? text : text.replace(/\r\n?/g, "\n"));
