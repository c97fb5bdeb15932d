// Frames takes the log stream of a container apart: 8 bytes of header (stream, 0, 0, 0, u32 length) before each piece, or
// raw where the container has a terminal (https://docs.docker.com/reference/api/engine/, "Stream format").

const MOST = 4096; // characters of one line that are kept

// frames yields {stream: 1 | 2, bytes} of chunks of bytes.
export async function* frames(chunks, tty) {
  let rest = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (tty) {
      yield { stream: 1, bytes: chunk };
      continue;
    }
    let at = 0;
    const all = join(rest, chunk);
    while (all.length - at >= 8) {
      const size = new DataView(all.buffer, all.byteOffset + at).getUint32(4);
      if (all.length - at - 8 < size) break;
      yield { stream: all[at] === 2 ? 2 : 1, bytes: all.subarray(at + 8, at + 8 + size) };
      at += 8 + size;
    }
    rest = all.slice(at);
    if (rest.length > 8 << 20) throw new Error("a frame is too large");
  }
}

function join(a, b) {
  if (!a.length) return b;
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

// Lines makes lines of the pieces of one stream.
export class Lines {
  constructor() {
    this.decoder = new TextDecoder();
    this.rest = "";
  }

  // add returns the lines that are whole by now.
  add(bytes) {
    const parts = (this.rest + this.decoder.decode(bytes, { stream: true })).split("\n");
    this.rest = parts.pop().slice(0, 16 * MOST);
    return parts;
  }

  end() {
    const last = this.rest;
    this.rest = "";
    return last ? [last] : [];
  }
}

// stamped parts a line from the time at which it was written, with which it begins: {at, text}.
export function stamped(raw) {
  const m = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?/.exec(raw);
  return { at: m?.[1] ?? "", text: readable(m ? raw.slice(m[0].length) : raw) };
}

// eslint-disable-next-line no-control-regex
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])/g;
const HIDDEN = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]|(?!\t)[\p{Cc}\p{Zl}\p{Zp}]/gu;

// readable is the line as a terminal would leave it: escapes gone, what a carriage return has written over gone.
function readable(raw) {
  const clean = raw
    .slice(0, 8 * MOST)
    .replace(ESCAPES, "")
    .replace(/\r+$/, "");
  const text = clean.slice(clean.lastIndexOf("\r") + 1).replace(HIDDEN, "");
  return text.length > MOST ? text.slice(0, MOST) + "…" : text;
}

// since makes the query's time of a stamp: seconds with nine digits of a fraction.
export function since(stamp) {
  const seconds = Math.floor(Date.parse(stamp) / 1000);
  const fraction = (/\.(\d+)/.exec(stamp)?.[1] ?? "").padEnd(9, "0").slice(0, 9);
  return Number.isFinite(seconds) ? `${seconds}.${fraction}` : "";
}
