import { el } from "../dom.js";

// Parts that the rows of every list share.

// Rows keeps the elements of a list as they are while its content changes, so that focus and what is open stay.
export class Rows {
  // make(key) → {node, update(item), gone?()}
  constructor(node, make) {
    this.node = node;
    this.make = make;
    this.byKey = new Map();
  }

  show(items, keyOf) {
    const keys = new Set(items.map(keyOf));
    for (const [key, row] of this.byKey) if (!keys.has(key)) this.drop(key, row);
    let at = this.node.firstElementChild;
    for (const item of items) {
      const key = keyOf(item);
      let row = this.byKey.get(key);
      if (!row) {
        row = this.make(key);
        this.byKey.set(key, row);
      }
      row.update(item);
      if (row.node === at) at = at.nextElementSibling;
      else this.node.insertBefore(row.node, at);
    }
  }

  // drop leaves the focus with the neighbour of a row that goes.
  drop(key, row) {
    this.byKey.delete(key);
    const next = row.node.contains(document.activeElement) && (row.node.nextElementSibling ?? row.node.previousElementSibling);
    row.node.remove();
    row.gone?.();
    if (next) next.querySelector("button")?.focus();
    else if (next === null) this.node.closest("[role=tabpanel]")?.focus();
  }
}

export const cell = (className, ...children) => el("div", { role: "cell", class: className }, ...children);

export function head(...names) {
  return el(
    "div",
    { role: "row", class: "head" },
    ...names.map((n) => el("div", { role: "columnheader" }, n || el("span", { class: "unseen" }, "actions"))),
  );
}

export function table(label, className, ...names) {
  const body = el("div", { role: "rowgroup", class: "rows" });
  return { node: el("div", { role: "table", "aria-label": label, class: `list ${className}`, hidden: true }, head(...names), body), body };
}

// wide is a row of one cell below another row: of a table only rows and cells are children.
export const wide = (inner) => el("div", { role: "row", hidden: true }, inner);

export const button = (text, label, run, className = "") =>
  el("button", { type: "button", class: `small ${className}`, "aria-label": label, onclick: run }, text);

// text changes a node's text only where it differs, so that a screen reader is not told twice.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

// Doing is the part of a row that says what is being done, asks before what cannot be undone, and tells what failed.
export class Doing {
  constructor() {
    this.cell = el("div", { role: "cell", class: "doing" });
    this.node = wide(this.cell);
  }

  say(words) {
    this.cell.replaceChildren(el("span", { class: "busy-dot", "aria-hidden": "true" }), el("span", {}, words));
    this.show("");
  }

  fail(words, again) {
    this.cell.replaceChildren(
      el("span", { role: "alert" }, words),
      again ?? "",
      el("button", { type: "button", class: "small quiet", "aria-label": "Dismiss", onclick: () => this.clear() }, "×"),
    );
    this.show("failed");
  }

  // ask puts a question in the row; escape is no.
  ask(words, yes, run) {
    const back = document.activeElement;
    const no = () => {
      this.clear();
      back?.focus();
    };
    const ok = el("button", { type: "button", class: "small danger solid", onclick: () => run() }, yes);
    this.cell.replaceChildren(
      el("span", { id: "sure" }, words),
      ok,
      el("button", { type: "button", class: "small", onclick: no }, "Cancel"),
    );
    ok.setAttribute("aria-describedby", "sure");
    this.node.onkeydown = (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      no();
    };
    this.show("asks");
    ok.focus();
  }

  show(kind) {
    this.cell.className = `doing ${kind}`;
    this.node.hidden = false;
  }

  clear() {
    this.node.hidden = true;
    this.node.onkeydown = null;
    this.cell.replaceChildren();
  }
}

// facts makes a list of names and values for the opened part of a row. Empty values are left out.
export function facts(pairs) {
  const list = el("dl", { class: "facts-of" });
  for (const [name, value] of pairs) if (value) list.append(el("dt", {}, name), el("dd", {}, value));
  return list;
}
