import { el } from "./dom.js";

// rank puts whole words before beginnings of words, and those before the rest: "web" is a container before it is WebGL.
function rank(name, wanted) {
  const words = name.split(/[\s…]+/);
  if (wanted.every((w) => words.includes(w))) return 0;
  return wanted.every((w) => words.some((x) => x.startsWith(w))) ? 1 : 2;
}

// Palette is every action by name. actions(): [{name, keys, run, off}]; again(): ctrl-k was pressed twice.
export class Palette {
  constructor(actions, again) {
    this.actions = actions;
    this.again = again;
  }

  toggle() {
    if (this.box) {
      this.box.close();
      this.again();
      return;
    }
    this.input = el("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-label": "Find an action", placeholder: "What do you want to do?", autocomplete: "off", spellcheck: "false" });
    this.list = el("ul", { id: "palette-list", role: "listbox", "aria-label": "Actions" });
    this.box = el("dialog", { class: "palette", "aria-label": "All actions" }, this.input, this.list,
      el("p", { class: "fine" }, "ctrl-k again sends ctrl-k to the shell"));
    this.input.addEventListener("input", () => this.show());
    this.box.addEventListener("keydown", (e) => this.key(e));
    this.box.addEventListener("click", (e) => e.target === this.box && this.box.close());
    this.box.addEventListener("close", () => {
      this.box.remove();
      this.box = null;
    });
    document.body.append(this.box);
    this.box.showModal();
    this.show();
    this.input.focus();
  }

  show() {
    const wanted = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.found = this.actions().filter((a) => !a.off && wanted.every((w) => a.name.toLowerCase().includes(w)))
      .map((a) => ({ ...a, rank: rank(a.name.toLowerCase(), wanted) })).sort((a, b) => a.rank - b.rank);
    this.at = 0;
    this.list.replaceChildren(...this.found.map((a, i) => el("li", { role: "option", id: `action-${i}`, onclick: () => this.run(i) },
      el("span", {}, a.name), a.keys ? el("kbd", {}, a.keys) : "")));
    if (!this.found.length) this.list.append(el("li", { class: "none" }, "No such action"));
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === this.at && this.found.length > 0)));
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", this.found.length ? `action-${this.at}` : "");
  }

  key(e) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step && this.found.length) {
      e.preventDefault();
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.mark();
    } else if (e.key === "Enter") {
      e.preventDefault();
      this.run(this.at);
    }
  }

  run(i) {
    const action = this.found[i];
    if (!action) return;
    this.box.close();
    action.run();
  }
}
