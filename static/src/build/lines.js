import { PLAIN, after, bare } from "./ansi.js";

const MOST_LINES = 200_000; // of one step that a page keeps
const MOST_TEXT = 24 << 20; // characters of one step
const SLACK = 10_000; // lines that are dropped at once
export const LONGEST = 8_192; // characters of a line that are kept

// Lines is the log of one step: as lines, with progress bars in their last state. Of a very long log the first lines go; the
// machine has them all.
export class Lines {
  constructor() {
    this.text = [];
    this.stream = [];
    this.style = []; // at the beginning of each line
    this.size = 0;
    this.dropped = 0;
    this.open = new Map(); // by stream: the number of its line that has no end yet, dropped ones counted
    this.state = new Map(); // by stream: the style at its end
    this.version = 0;
  }

  get count() {
    return this.text.length;
  }

  add(text, stream) {
    this.version++;
    const parts = text.split("\n");
    for (let i = 0; i < parts.length; i++) {
      const whole = i < parts.length - 1;
      if (whole || parts[i]) this.put(parts[i], stream);
      if (whole) this.close(stream);
    }
    if (this.text.length > MOST_LINES + SLACK || this.size > MOST_TEXT) this.drop();
  }

  // put adds to the open line of the stream. A carriage return begins the line anew once something comes behind it.
  put(part, stream) {
    let at = this.open.get(stream);
    if (at === undefined) {
      at = this.dropped + this.text.push("") - 1;
      this.stream.push(stream);
      this.style.push(this.state.get(stream) ?? PLAIN);
      this.open.set(stream, at);
    }
    const i = at - this.dropped;
    const before = this.text[i];
    this.text[i] = over(before + part);
    this.size += this.text[i].length - before.length;
  }

  close(stream) {
    const i = this.open.get(stream) - this.dropped;
    this.open.delete(stream);
    if (!(i >= 0)) return;
    this.state.set(stream, after(this.text[i], this.style[i]));
  }

  drop() {
    const n = Math.max(SLACK, this.text.length - MOST_LINES);
    const gone = Math.min(n, this.text.length - 1);
    for (const t of this.text.splice(0, gone)) this.size -= t.length;
    this.stream.splice(0, gone);
    this.style.splice(0, gone);
    this.dropped += gone;
    for (const [stream, at] of this.open) if (at < this.dropped) this.open.delete(stream);
  }

  // plain is all of it as text, for the clipboard.
  plain() {
    return this.text.map((t) => bare(t)).join("\n") + (this.text.length ? "\n" : "");
  }
}

// over keeps of a line what a terminal would show after its carriage returns.
function over(line) {
  if (line.includes("\r")) {
    const ends = line.endsWith("\r"),
      parts = line.split("\r").filter(Boolean);
    line = (parts[parts.length - 1] ?? "") + (ends ? "\r" : "");
  }
  return line.length > LONGEST ? line.slice(0, LONGEST) : line;
}
