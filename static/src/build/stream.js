import { field, openStream } from "../stream.js";

// Stream follows the events of one build: from the beginning, then each once, over lost connections and restarts of the
// server. Ten megabytes of log leave the page its share of the time.
const FIRST_DELAY = 400,
  MAX_DELAY = 8_000; // ms
const SLICE = 12; // ms of events at once
const LONGEST = 64 << 20; // characters that wait for the end of a line

export class Stream {
  // url(after); on: {event(name, data), state("live" | "lost" | "over" | "gone")}
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.last = 0;
    this.attempt = 0;
    this.online = () => this.again();
    addEventListener("online", this.online);
  }

  start() {
    if (this.abort || this.over) return;
    clearTimeout(this.retry);
    this.abort = new AbortController();
    this.follow(this.abort);
  }

  // rest lets go of the connection; start goes on from there.
  rest() {
    clearTimeout(this.retry);
    this.abort?.abort();
    this.abort = null;
  }

  stop() {
    this.rest();
    this.over = true;
    removeEventListener("online", this.online);
  }

  again() {
    if (!this.abort) return;
    this.rest();
    this.start();
  }

  async follow(abort) {
    try {
      const res = await openStream(this.url(this.last), abort.signal);
      if (res.status === 404 || res.status === 410) return this.end("gone");
      if (!res.ok) return this.lost(abort);
      this.on.state("live");
      await this.read(res.body.pipeThrough(new TextDecoderStream()).getReader(), abort);
    } catch {
      // A lost connection and one that was given up look alike: lost knows.
    }
    this.lost(abort);
  }

  lost(abort) {
    if (this.abort !== abort || this.over) return;
    this.abort = null;
    this.on.state("lost");
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.retry = setTimeout(() => this.start(), most * (0.5 + Math.random() / 2));
  }

  end(state) {
    this.stop();
    this.on.state(state);
  }

  async read(reader, abort) {
    let rest = [], // pieces of a line without an end
      waiting = 0,
      began = performance.now(),
      event = {};
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort.signal.aborted) return reader.cancel();
      if ((waiting += value.length) > LONGEST) return reader.cancel();
      rest.push(value);
      if (!value.includes("\n")) continue;
      const lines = rest.join("").split("\n");
      rest = [lines.pop()];
      waiting = rest[0].length;
      for (const line of lines) {
        event = this.line(line.endsWith("\r") ? line.slice(0, -1) : line, event);
        if (this.over) return reader.cancel();
        if (performance.now() - began < SLICE) continue;
        await new Promise((go) => setTimeout(go));
        if (abort.signal.aborted) return reader.cancel();
        began = performance.now();
      }
    }
  }

  line(line, event) {
    if (line === "") {
      this.take(event);
      return {};
    }
    return field(line, event);
  }

  // take hands an event on, unless it was seen before the connection was lost.
  take({ id, event, data }) {
    if (data === undefined) return;
    const number = Number(id);
    if (Number.isInteger(number)) {
      if (number <= this.last) return;
      this.last = number;
    }
    this.attempt = 0;
    if (event === "end") return this.end("over");
    let parsed;
    try {
      parsed = JSON.parse(data);
    } catch {
      return; // of a newer machine, or of a broken one: the rest is still worth reading
    }
    if (parsed && typeof parsed === "object") this.on.event(event, parsed);
  }
}
