import { bytes, el } from "../dom.js";

// What is shown of a file: its text, or the picture in it, and never as a document of its own.
const MOST_TEXT = 256 << 10; // bytes
const MOST_IMAGE = 8 << 20; // bytes
const MOST_PIXELS = 40_000_000; // a small file may be a picture that fills the memory
const WIDEST = 1200; // px
const IMAGE = /\.(png|jpe?g|gif|webp)$/i;

// preview answers with an element.
export async function preview(files, path, entry, signal) {
  if (IMAGE.test(entry.name) && entry.size <= MOST_IMAGE) {
    const shown = await picture(await files.read(path, MOST_IMAGE, signal), entry.name);
    if (shown) return shown;
  }
  const read = await files.read(path, MOST_TEXT, signal);
  if (!read.length) return el("p", { class: "soft" }, "The file is empty.");
  if (read.subarray(0, 8192).includes(0)) return el("p", { class: "soft" }, "This is no text. Download it to look at it.");
  const cut = entry.size > read.length;
  return el(
    "div",
    { class: "preview" },
    el("pre", { tabindex: "0", "aria-label": "Content of the file" }, visibleText(new TextDecoder().decode(read))),
    cut && el("p", { class: "soft" }, `The first ${bytes(read.length)} of ${bytes(entry.size)}.`),
  );
}

// visibleText has nothing that acts: control characters and direction marks are written out.
export function visibleText(text) {
  return text
    .replace(/\r\n/g, "\n")
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)
    .replace(/[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`);
}

// picture draws an image: the policy of the page lets no image in that is not ours, but a drawing is no image. null: none.
async function picture(read, name) {
  const size = pixels(read);
  if (!size) return null;
  if (size.width * size.height > MOST_PIXELS) {
    return el("p", { class: "soft" }, `A picture of ${size.width} × ${size.height}: too large to be shown here. Download it.`);
  }
  try {
    const bitmap = await createImageBitmap(new Blob([read]));
    const scale = Math.min(1, WIDEST / bitmap.width);
    const canvas = el("canvas", { role: "img", "aria-label": `Picture ${name}, ${bitmap.width} by ${bitmap.height}` });
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return el("div", { class: "preview" }, canvas, el("p", { class: "soft" }, `${size.width} × ${size.height}`));
  } catch {
    return null;
  }
}

// pixels reads the size from the beginning of a PNG, GIF, WebP or JPEG; null: it is none.
export function pixels(b) {
  const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const is = (at, text) => b.length >= at + text.length && [...text].every((c, i) => b[at + i] === c.charCodeAt(0));
  if (is(0, "\x89PNG") && b.length >= 24) return { width: v.getUint32(16), height: v.getUint32(20) };
  if (is(0, "GIF8") && b.length >= 10) return { width: v.getUint16(6, true), height: v.getUint16(8, true) };
  if (is(0, "RIFF") && is(8, "WEBP") && b.length >= 30) return webp(b, v, is);
  if (b[0] === 0xff && b[1] === 0xd8) return jpeg(b, v);
  return null;
}

function webp(b, v, is) {
  const u24 = (at) => b[at] | (b[at + 1] << 8) | (b[at + 2] << 16);
  if (is(12, "VP8X")) return { width: u24(24) + 1, height: u24(27) + 1 };
  if (is(12, "VP8L")) {
    const bits = v.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  return is(12, "VP8 ") ? { width: v.getUint16(26, true) & 0x3fff, height: v.getUint16(28, true) & 0x3fff } : null;
}

// jpeg looks for the frame among the segments: ITU T.81, B.1.1.3.
function jpeg(b, v) {
  for (let at = 2; at + 9 < b.length; ) {
    if (b[at] !== 0xff) return null;
    const marker = b[at + 1];
    if (marker === 0xff) at++;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: v.getUint16(at + 7), height: v.getUint16(at + 5) };
    } else at += 2 + Math.max(2, v.getUint16(at + 2));
  }
  return null;
}
