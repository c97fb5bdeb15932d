import { el } from "../dom.js";
import { pref, setPref } from "../prefs.js";
import { Lines, frames, since, stamped } from "./frames.js";
import { button, text } from "./rows.js";
import { nameOf } from "./words.js";

const KEPT = 2000; // lines on the page
const FIRST = 500; // lines that are asked for at first
const SLICE = 400,
  PACE = 150; // lines drawn at once, and the ms between
const FIRST_DELAY = 500,
  MAX_DELAY = 10_000; // ms

// Logs follows the output of one container: text only, of which the last lines are kept.
export class Logs {
  constructor(view) {
    this.view = view;
    this.tty = {}; // by container
    this.out = el("div", { class: "log", role: "log", "aria-live": "off", tabindex: "0" });
    this.title = el("h2");
    this.state = el("span", { class: "soft", role: "status" });
    this.newest = button("↓ newest", "Go to the newest line", () => this.toEnd(), "newest");
    this.out.addEventListener("scroll", () => this.scrolled());
    const wrap = this.toggle("wrap", "wrap", true),
      times = this.toggle("times", "times", false);
    this.back = button("←", "Back to all containers", () => view.closeLogs());
    this.back.append(el("span", { class: "wide" }, "all containers"));
    this.node = el(
      "div",
      { class: "log-view", hidden: true },
      el("div", { class: "log-bar" }, this.back, this.title, this.state, el("span", { class: "acts" }, times, wrap)),
      this.out,
      this.newest,
    );
    this.node.addEventListener("keydown", (e) => e.key === "Escape" && view.closeLogs());
  }

  toggle(name, word, first) {
    const b = button(word, name === "wrap" ? "wrap long lines" : "times at which the lines were written", () =>
      set(b.getAttribute("aria-pressed") !== "true"),
    );
    const set = (on, keep = true) => {
      b.setAttribute("aria-pressed", String(on));
      this.out.classList.toggle(name, on);
      if (keep) setPref("log-" + name, on ? "on" : "off");
    };
    set((pref("log-" + name) ?? (first ? "on" : "off")) === "on", false);
    return b;
  }

  open(item) {
    this.close();
    this.item = item;
    this.id = item.Id;
    this.last = "";
    this.gap = 0; // lines that came too fast to be shown
    this.waiting = [];
    this.drawn = 0;
    this.attempt = 0;
    this.end = true;
    this.out.replaceChildren();
    this.newest.hidden = true;
    this.node.hidden = false;
    text(this.title, `logs of ${nameOf(item)}`);
    this.out.setAttribute("aria-label", `Logs of ${nameOf(item)}`);
    this.out.focus();
    this.follow();
  }

  close() {
    this.abort?.abort();
    this.abort = null;
    clearTimeout(this.retry);
    this.item = null;
    this.node.hidden = true;
    this.out.replaceChildren();
  }

  setVisible(on) {
    if (!this.item) return;
    if (on && !this.abort) this.follow();
    if (on) return this.paint();
    this.abort?.abort();
    this.abort = null;
    clearTimeout(this.retry);
  }

  async follow() {
    const abort = new AbortController();
    this.abort?.abort();
    this.abort = abort;
    clearTimeout(this.retry);
    this.say("reading…");
    this.paint(Infinity);
    this.resumedAt = this.last;
    try {
      this.tty[this.id] ??= Boolean((await this.view.engine.get(`containers/${this.id}/json`))?.Config?.Tty);
      const query = { follow: 1, stdout: 1, stderr: 1, timestamps: 1, ...(this.last ? { since: this.last } : { tail: FIRST }) };
      const chunks = this.view.engine.chunks(`containers/${this.id}/logs`, query, abort.signal, () => this.say("following"));
      await this.read(frames(chunks, this.tty[this.id]), abort);
      const now = this.view.list.find((c) => c.Id === this.id);
      if (now?.State === "running") return this.again(); // the server or the engine was restarted
      this.say("the container does not run: this is all");
      this.ended = true;
    } catch (err) {
      if (!abort.signal.aborted) this.failed(err);
    }
  }

  async read(pieces, abort) {
    const streams = { 1: new Lines(), 2: new Lines() };
    this.ended = false;
    for await (const { stream, bytes } of pieces) {
      if (abort.signal.aborted) return;
      this.attempt = 0;
      for (const l of streams[stream].add(bytes)) this.add(l, stream);
    }
    for (const stream of [1, 2]) for (const l of streams[stream].end()) this.add(l, stream);
  }

  failed(err) {
    if (err.status === 404) return this.say("the container is gone");
    if (!err.passing) return this.say(err.message);
    this.again();
  }

  again() {
    this.say("reconnecting…");
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.retry = setTimeout(() => this.follow(), most * (0.5 + Math.random() / 2));
  }

  // happened: a container that starts again is followed again, from where its log was left.
  happened(e) {
    if (this.item && e.type === "container" && e.id === this.id && e.action === "start" && this.ended) this.follow();
  }

  // changed: the list is new.
  changed() {
    if (!this.item) return;
    const now = this.view.list.find((c) => c.Id === this.id);
    if (now) text(this.title, `logs of ${nameOf(now)}`);
  }

  // add keeps a line for the next picture. Of a flood only what can be seen is looked at, the rest is counted.
  add(raw, stream) {
    this.waiting.push({ raw, stream });
    if (this.waiting.length > 2 * KEPT) this.gap += this.waiting.splice(0, KEPT).length;
    this.drawing ||= setTimeout(() => this.paint(), Math.max(0, this.drawn + PACE - Date.now()));
  }

  // line leaves out what was seen before the link was cut.
  line({ raw, stream }) {
    const { at, text: words } = stamped(raw),
      stamp = since(at);
    if (stamp && stamp <= this.resumedAt) return null;
    if (stamp > this.last) this.last = stamp;
    return el("div", { class: stream === 2 ? "l err" : "l" }, at && el("time", { datetime: at }, clock(at)), words || "\u200b");
  }

  // paint draws what waits, or a slice of it: a flood leaves the shell its share of the time.
  paint(most = SLICE) {
    clearTimeout(this.drawing);
    this.drawing = 0;
    if (!this.waiting?.length || !this.item) return;
    this.drawn = Date.now();
    if (this.waiting.length > KEPT) this.gap += this.waiting.splice(0, this.waiting.length - KEPT).length;
    const gap = this.gap && el("div", { class: "l gap" }, `… ${this.gap} lines are not shown …`);
    this.gap = 0;
    this.out.append(...[gap, ...this.waiting.splice(0, most).map((l) => this.line(l))].filter(Boolean));
    for (let over = this.out.childElementCount - KEPT; over > 0; over--) this.out.firstChild.remove();
    if (this.end) this.toEnd();
    else this.newest.hidden = false;
    if (this.waiting.length) this.drawing = setTimeout(() => this.paint(), PACE);
  }

  scrolled() {
    this.end = this.out.scrollHeight - this.out.scrollTop - this.out.clientHeight < 24;
    if (this.end) this.newest.hidden = true;
  }

  toEnd() {
    this.end = true;
    this.newest.hidden = true;
    this.out.scrollTop = this.out.scrollHeight;
  }

  say(words) {
    text(this.state, words);
  }
}

const clock = (stamp) => {
  const at = new Date(stamp);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString([], { hour12: false }) + " ";
};
