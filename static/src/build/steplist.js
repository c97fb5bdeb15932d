import { el } from "../dom.js";
import { line } from "../docker/words.js";
import { StepBox } from "./stepbox.js";

// StepList is the graph where there is no room for one: a list, stage by stage, with the details below the step selected.
export class StepList {
  constructor(on, skew) {
    this.on = on;
    this.skew = skew;
    this.items = new Map();
    this.node = el("ul", { class: "step-list", "aria-label": "Steps of the build" });
  }

  clear() {
    this.items.clear();
    this.node.replaceChildren();
    this.key = "";
  }

  // show: details is the node that goes below the step selected.
  show(steps, selected, details) {
    const sorted = order(steps.filter((s) => s.kind !== "internal"));
    const key = sorted.map((s) => `${s.id} ${s.stage}`).join("\n");
    if (key !== this.key) this.make(sorted, key);
    for (const s of sorted) {
      const item = this.items.get(s.id);
      item.box.update(s, s.id === selected);
      item.box.node.setAttribute("aria-expanded", String(s.id === selected));
      item.box.node.removeAttribute("aria-pressed");
      if (s.id === selected && details.parentNode !== item.node) item.node.append(details);
    }
  }

  make(steps, key) {
    this.key = key;
    const all = [];
    let stage = null;
    for (const s of steps) {
      if (s.stage && s.stage !== stage) all.push(el("li", { class: "stage" }, line(s.stage, 80)));
      stage = s.stage || stage;
      const known = this.items.get(s.id);
      const item = known ?? { box: new StepBox(s.id, this.on.select, this.skew) };
      item.node ??= el("li", {}, item.box.node);
      this.items.set(s.id, item);
      all.push(item.node);
    }
    this.node.replaceChildren(...all);
  }

  tick() {
    for (const i of this.items.values()) i.box.tick();
  }
}

// order is that of the Dockerfile; what has no line comes last.
export function order(steps) {
  return steps
    .map((s, i) => ({ s, i, at: s.line > 0 ? s.line : s.kind === "instruction" ? 1e8 : 1e9 }))
    .sort((a, b) => a.at - b.at || a.i - b.i)
    .map(({ s }) => s);
}
