import { el } from "../dom.js";
import { button, text } from "../docker/rows.js";
import { spans } from "./ansi.js";

const HEIGHT = 18; // px of a line, as in the style sheet
const AROUND = 12; // lines above and below what is seen
const PACE = 60; // ms between two pictures

// LogView shows Lines: of however many only those that are seen are on the page.
export class LogView {
  constructor() {
    this.rows = el("div", { class: "log-rows" });
    this.sizer = el("div", { class: "log-sizer" }, this.rows);
    this.out = el(
      "div",
      { class: "log steplog", role: "log", "aria-live": "off", tabindex: "0", "aria-label": "Log of the step" },
      this.sizer,
    );
    this.newest = button("↓ newest", "Follow the newest line", () => this.toEnd(), "newest");
    this.newest.hidden = true;
    this.none = el("p", { class: "soft none" });
    this.node = el("div", { class: "log-box" }, this.out, this.newest, this.none);
    this.end = true;
    this.out.addEventListener("scroll", () => this.scrolled());
    new ResizeObserver(() => this.draw(true)).observe(this.out);
  }

  // show changes to another log; none: why there is none.
  show(lines, none) {
    if (this.lines !== lines) {
      this.lines = lines;
      this.end = true;
      this.top = 0; // where it was scrolled to when it was drawn
      this.drawn = "";
    }
    text(this.none, lines?.count ? "" : none);
    this.out.hidden = !lines?.count;
    this.soon();
  }

  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw();
    }, PACE);
  }

  draw(again = false) {
    const { lines, out } = this;
    if (!lines?.count || !out.clientHeight) return;
    const extra = lines.dropped ? 1 : 0;
    const high = (lines.count + extra) * HEIGHT;
    if (again || high < this.high) this.top = 0;
    if (this.high !== high) this.sizer.style.height = `${(this.high = high)}px`;
    if (this.end && out.scrollTop < this.top - 1) this.end = this.newest.hidden = false; // scrolled, and not told yet
    if (this.end) out.scrollTop = out.scrollHeight;
    this.top = out.scrollTop;
    const first = Math.max(0, Math.floor(out.scrollTop / HEIGHT) - AROUND),
      last = Math.min(lines.count + extra, Math.ceil((out.scrollTop + out.clientHeight) / HEIGHT) + AROUND);
    const key = `${first} ${last} ${lines.version}`;
    if (key === this.drawn && !again) return;
    this.drawn = key;
    const all = [];
    for (let i = first; i < last; i++) all.push(i < extra ? this.gap() : this.line(i - extra));
    this.rows.style.transform = `translateY(${first * HEIGHT}px)`;
    this.rows.replaceChildren(...all);
  }

  gap() {
    return el("div", { class: "l gap" }, `… ${this.lines.dropped} earlier lines are in the whole log …`);
  }

  line(i) {
    const { text: all, stream, style } = this.lines;
    const parts = spans(all[i], style[i]).spans.map((s) => (s.style ? el("span", { class: s.style }, s.text) : s.text));
    return el("div", { class: stream[i] === 2 ? "l err" : "l" }, ...(parts.length ? parts : ["\u200b"]));
  }

  scrolled() {
    this.end = this.out.scrollHeight - this.out.scrollTop - this.out.clientHeight < HEIGHT;
    this.newest.hidden = this.end;
    this.draw();
  }

  toEnd() {
    this.end = true;
    this.newest.hidden = true;
    this.draw(true);
    this.out.focus();
  }
}
