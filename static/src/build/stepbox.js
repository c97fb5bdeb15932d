import { el } from "../dom.js";
import { text } from "../docker/rows.js";
import { setIcon } from "./icons.js";
import { STATES, instruction, size, spent, stateOf, took } from "./words.js";

// StepBox is one step, as a button: its mark, what it does, how long, how large. The same in the graph and in the list.
export class StepBox {
  constructor(id, select, skew) {
    this.id = id;
    this.skew = skew;
    this.mark = el("span", { class: "mark" });
    this.words = el("span", { class: "words" });
    this.time = el("span", { class: "time" });
    this.size = el("span", { class: "size" });
    this.note = el("span", { class: "note" });
    this.fill = el("i", {});
    this.bar = el("span", { class: "fill", hidden: true, "aria-hidden": "true" }, this.fill);
    this.node = el(
      "button",
      { type: "button", class: "step", onclick: () => select(id) },
      this.mark,
      this.words,
      el("span", { class: "numbers" }, this.note, this.time, this.size),
      this.bar,
    );
    this.node.dataset.step = id;
  }

  update(step, selected) {
    this.step = step;
    this.state = stateOf(step);
    const what = instruction(step);
    this.node.className = `step is-${this.state}${selected ? " selected" : ""}`;
    this.node.setAttribute("aria-pressed", String(selected));
    setIcon(this.mark, this.state);
    text(this.words, what);
    this.node.title = what;
    text(this.note, { cached: "cached", failed: "failed", cancelled: "cancelled" }[this.state] ?? "");
    text(this.size, step.size > 0 ? size(step.size) : "");
    this.progress(step);
    this.tick();
    this.node.setAttribute(
      "aria-label",
      [`${what}: ${STATES[this.state]}`, this.time.textContent, this.size.textContent].filter(Boolean).join(", "),
    );
  }

  progress(step) {
    const all = this.state === "running" && Array.isArray(step.progress) ? step.progress.filter((p) => p?.total > 0) : [];
    this.bar.hidden = !all.length;
    if (!all.length) return;
    const [current, total] = all.reduce(([c, t], p) => [c + Math.min(p.current, p.total), t + p.total], [0, 0]);
    this.fill.style.width = `${Math.round((100 * current) / total)}%`;
  }

  // tick goes on counting while the step runs.
  tick() {
    if (!this.step) return;
    const ms = this.state === "cached" || this.state === "waiting" ? null : spent(this.step, this.skew());
    text(this.time, ms === null ? "" : took(ms));
  }
}
