import { el } from "../dom.js";
import { text } from "../docker/rows.js";
import { setIcon } from "./icons.js";
import { StepBox } from "./stepbox.js";
import { many, spent, stateOf, took } from "./words.js";

// Internal folds into one row what BuildKit does for itself: reading the Dockerfile, the context, what the bases are.
export class Internal {
  constructor(on, skew) {
    this.on = on;
    this.skew = skew;
    this.boxes = new Map();
    this.mark = el("span", { class: "mark" });
    this.words = el("span");
    this.button = el(
      "button",
      { type: "button", class: "fold small quiet", "aria-expanded": "false", onclick: () => this.fold(!this.list.hidden) },
      this.mark,
      this.words,
    );
    this.list = el("div", { class: "internal-steps", hidden: true });
    this.node = el("div", { class: "internal", hidden: true }, this.button, this.list);
  }

  clear() {
    this.boxes.clear();
    this.list.replaceChildren();
    this.fold(true);
  }

  fold(folded) {
    this.list.hidden = folded;
    this.button.setAttribute("aria-expanded", String(!folded));
  }

  show(steps, selected) {
    const all = steps.filter((s) => s.kind === "internal");
    this.node.hidden = !all.length;
    const states = all.map(stateOf);
    const state = ["failed", "running", "waiting"].find((s) => states.includes(s)) ?? "succeeded";
    setIcon(this.mark, state);
    const ms = all.reduce((sum, s) => sum + (spent(s, this.skew()) ?? 0), 0);
    text(this.words, `internal: ${many(all.length, "step")}${state === "succeeded" ? `, ${took(ms)}` : ""}`);
    if (state === "failed") this.fold(false);
    for (const s of all) {
      let box = this.boxes.get(s.id);
      if (!box) {
        this.boxes.set(s.id, (box = new StepBox(s.id, this.on.select, this.skew)));
        this.list.append(box.node);
      }
      box.update(s, s.id === selected);
    }
  }
}
