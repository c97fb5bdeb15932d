import { bytes, el } from "../../dom.js";
import { count, percent, plural, shown } from "./shown.js";

// Layers is the image's history twice: a bar in which each layer is as wide as it is large, and a list with what made it.
export class Layers {
  // pick(index, wanted): a layer was chosen; wanted: its files are what is wanted
  constructor(pick) {
    this.pick = pick;
    this.bar = el("div", { class: "stack", role: "toolbar", "aria-label": "Layers by size" });
    this.list = el("ol", { class: "steps", role: "listbox", "aria-label": "Layers" });
    this.node = el("div", { class: "inspect-layers" }, this.bar, this.list);
    this.list.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" && e.key !== " ") return;
      e.preventDefault();
      e.target.click();
    });
    this.bar.addEventListener("keydown", (e) => this.arrows(e, { ArrowRight: 1, ArrowLeft: -1 }, [...this.bar.children]));
    this.list.addEventListener("keydown", (e) => this.arrows(e, { ArrowDown: 1, ArrowUp: -1 }, [...this.list.children]));
  }

  show(image) {
    this.bar.replaceChildren(...image.layers.filter((l) => !l.empty && l.size > 0).map((l) => this.part(l)));
    this.list.replaceChildren(...image.layers.map((l) => this.step(l)));
  }

  part(l) {
    const b = el("button", {
      type: "button",
      class: "stack-part",
      tabindex: "-1",
      "data-layer": l.index,
      "aria-label": `layer ${l.index + 1}, ${bytes(l.size)}, ${percent(l.share)}: ${shown(l.instruction).slice(0, 160)}`,
      title: `${l.index + 1}: ${shown(l.instruction).slice(0, 200)}\n${bytes(l.size)}, ${percent(l.share)}`,
      onclick: () => this.pick(l.index),
    });
    b.style.flexGrow = String(l.share || 0);
    return b;
  }

  step(l) {
    const f = l.files ?? {};
    const text = shown(l.instruction) || "its history says nothing of it";
    const sum = [
      f.added && ["added", `+${count(f.added)}`],
      f.changed && ["changed", `~${count(f.changed)}`],
      f.removed && ["removed", `−${count(f.removed)}`],
    ];
    const words = [
      plural(f.added ?? 0, "file") + " added",
      plural(f.changed ?? 0, "file") + " changed",
      plural(f.removed ?? 0, "file") + " removed",
    ];
    const counts = el(
      "span",
      { class: "changes", "aria-hidden": "true" },
      ...sum.filter(Boolean).map(([c, t]) => el("span", { class: c }, t)),
    );
    const item = el(
      "li",
      {
        role: "option",
        class: l.empty ? "step empty" : "step",
        tabindex: "-1",
        "data-layer": l.index,
        "aria-selected": "false",
        "aria-label": l.empty
          ? `layer ${l.index + 1}, no files: ${text}`
          : `layer ${l.index + 1}, ${bytes(l.size)}, ${words.join(", ")}: ${text}`,
        onclick: () => this.pick(l.index, true),
      },
      el("span", { class: "step-number" }, String(l.index + 1)),
      el("code", { class: "step-text", title: text.slice(0, 2000) }, text.slice(0, 600)),
      el("span", { class: "step-size" }, l.empty ? "no files" : bytes(l.size)),
      el("span", { class: "step-share" }, l.empty ? "" : percent(l.share)),
      counts,
    );
    return item;
  }

  // select marks a layer in both.
  select(index) {
    for (const node of [...this.bar.children, ...this.list.children]) {
      const on = Number(node.dataset.layer) === index;
      node.setAttribute(node.role === "option" ? "aria-selected" : "aria-pressed", String(on));
      node.tabIndex = on ? 0 : -1;
      if (on && node.role === "option") node.scrollIntoView({ block: "nearest" });
    }
    if (!this.bar.querySelector("[tabindex='0']") && this.bar.firstChild) this.bar.firstChild.tabIndex = 0;
  }

  arrows(e, steps, all) {
    const at = all.indexOf(document.activeElement);
    const to = { Home: 0, End: all.length - 1 }[e.key] ?? (e.key in steps ? at + steps[e.key] : undefined);
    if (at < 0 || to === undefined || !all[to]) return;
    e.preventDefault();
    this.pick(Number(all[to].dataset.layer));
    all[to].focus();
  }
}
