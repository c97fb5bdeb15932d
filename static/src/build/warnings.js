import { el } from "../dom.js";
import { line } from "../docker/words.js";
import { openFile } from "./detail.js";
import { pathOf } from "./words.js";

const MOST = 100;

// Warnings is the list of what the linter said of the Dockerfile that was built.
export class Warnings {
  constructor() {
    this.node = el("ul", { class: "warnings", hidden: true });
  }

  toggle(model) {
    this.node.hidden = !this.node.hidden;
    this.show(model);
  }

  show(model) {
    if (!model.warnings.length) this.node.hidden = true;
    if (this.node.hidden) return;
    const path = pathOf(model.head);
    this.node.replaceChildren(...model.warnings.slice(0, MOST).map((w) => entry(w ?? {}, path)));
  }
}

function entry(w, path) {
  const at =
    w.line > 0 && path && el("button", { type: "button", class: "texty", onclick: () => openFile(path, w.line) }, `line ${w.line}`);
  const rule = line(w.rule, 60),
    linked = /^https?:\/\//.test(w.url ?? "");
  return el(
    "li",
    {},
    at || "",
    el("span", {}, line(w.message, 400)),
    linked ? el("a", { href: w.url, target: "_blank", rel: "noopener noreferrer" }, rule || "more") : el("span", { class: "soft" }, rule),
  );
}
