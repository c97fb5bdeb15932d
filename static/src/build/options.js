import { el } from "../dom.js";
import { button, text } from "../docker/rows.js";
import { many } from "./words.js";

const MOST_NAMES = 100; // of arguments that are offered

// Options is the part of the form that is seldom needed: build arguments, no cache, newer bases. It folds.
export class Options {
  constructor(changed) {
    this.changed = () => {
      this.count();
      changed();
    };
    this.button = button("options", "", () => this.open(this.node.hidden), "quiet");
    this.button.setAttribute("aria-expanded", "false");
    this.rows = el("div", { class: "args" });
    this.names = el("datalist", { id: "build-arg-names" });
    const tick = (name, words) => {
      const box = el("input", { type: "checkbox", id: `build-${name}`, onchange: () => this.changed() });
      return [box, el("label", { for: `build-${name}`, class: "tick" }, box, words)];
    };
    const [fresh, freshLabel] = tick("no-cache", "no cache: run every step");
    const [pull, pullLabel] = tick("pull", "look for newer base images");
    Object.assign(this, { fresh, pull });
    const more = button("+ argument", "Add a build argument", () => this.add("", "").focus(), "quiet");
    this.node = el(
      "div",
      { class: "options", hidden: true },
      el("div", { class: "ticks" }, freshLabel, pullLabel),
      el("div", { class: "arg-list" }, el("span", { class: "soft" }, "build arguments"), this.rows, more),
      this.names,
    );
    this.count();
  }

  open(on) {
    this.node.hidden = !on;
    this.button.setAttribute("aria-expanded", String(on));
  }

  // add makes a row for an argument and returns the field of its name.
  add(name, value) {
    const field = (label, more) =>
      el("input", { type: "text", "aria-label": label, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...more });
    const key = field("Name of the argument", { placeholder: "NAME", list: "build-arg-names", value: name }),
      val = field("Value of the argument", { placeholder: "value", value });
    const remove = button(
      "×",
      "Remove this argument",
      () => {
        row.remove();
        this.changed();
      },
      "quiet",
    );
    const row = el("div", { class: "arg" }, key, el("span", { "aria-hidden": "true" }, "="), val, remove);
    row.addEventListener("input", () => {
      val.placeholder = this.defaults?.get(key.value) || "value";
      this.changed();
    });
    this.rows.append(row);
    return key;
  }

  clearArgs() {
    this.rows.replaceChildren();
    this.count();
  }

  // know takes the arguments that the Dockerfile names, with their defaults.
  know(args) {
    this.defaults = new Map(args.map((a) => [String(a.name), String(a.value ?? "")]));
    this.names.replaceChildren(...[...this.defaults.keys()].slice(0, MOST_NAMES).map((n) => el("option", { value: n })));
  }

  wanted() {
    const args = {};
    for (const row of this.rows.children) {
      const [key, value] = row.querySelectorAll("input");
      if (key.value.trim()) args[key.value.trim()] = value.value;
    }
    return { args, no_cache: this.fresh.checked, pull: this.pull.checked };
  }

  restore({ args, no_cache, pull }) {
    this.fresh.checked = Boolean(no_cache);
    this.pull.checked = Boolean(pull);
    for (const [k, v] of Object.entries(args ?? {})) this.add(k, String(v));
    this.count();
  }

  // count says on the button how many options are set.
  count() {
    const { args, no_cache, pull } = this.wanted(),
      n = Object.keys(args).length + no_cache + pull;
    text(this.button, n ? `options (${n})` : "options");
    this.button.title = n ? `${many(n, "option")} set` : "No cache, newer bases, build arguments";
  }
}
