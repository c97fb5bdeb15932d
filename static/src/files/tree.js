import { bytes, el } from "../dom.js";
import { rowsOf } from "./model.js";
import { shown } from "./paths.js";

const AROUND = 12; // rows that are made above and below what is seen
const FORGET = 800; // ms: what is typed within is one beginning of a name

// Tree shows rows in a window: as many elements as are seen, whatever a folder holds. One element has the focus, and says
// which row is active.
export class Tree {
  // on: {open(node), toggle(node, open), rename(node), remove(node), menu(node, x, y), active(node)}
  constructor(node, on) {
    this.node = node;
    this.on = on;
    this.rows = [];
    this.spacer = el("div", { class: "tree-rows", role: "presentation" });
    this.painted = new Map(); // by node: {row, shows}
    node.append(this.spacer);
    this.active = null; // node
    this.extra = null; // a row in which a name is typed: {parent, node?, box}
    this.typed = "";
    node.addEventListener("scroll", () => this.paint(), { passive: true });
    node.addEventListener("keydown", (e) => this.key(e));
    node.addEventListener("focus", () => this.active || this.rows[0]?.node && this.activate(this.rows[0].node));
    this.spacer.addEventListener("click", (e) => this.click(e));
    this.spacer.addEventListener("contextmenu", (e) => this.context(e));
    new ResizeObserver(() => this.paint()).observe(node);
  }

  get height() {
    return parseFloat(getComputedStyle(this.node).getPropertyValue("--row")) || 24;
  }

  // show takes the tree as it is now.
  show(root) {
    this.root = root;
    this.rows = rowsOf(root, this.extra);
    if (this.active && this.indexOf(this.active) < 0) this.active = this.near(this.active);
    this.spacer.style.height = `${this.rows.length * this.height}px`;
    this.paint();
    this.on.active(this.active);
  }

  // near is what is active where that has gone: the folder it was in, if that is seen.
  near(node) {
    for (let n = node.parent; n; n = n.parent) if (this.indexOf(n) >= 0) return n;
    return this.rows.find((r) => r.node)?.node ?? null;
  }

  indexOf(node) {
    return this.rows.findIndex((r) => r.node === node);
  }

  // paint leaves elements where they are that show the same as before: one that is made anew, or moved, between a press and
  // its release is not clicked.
  paint() {
    const h = this.height, from = Math.max(0, Math.floor(this.node.scrollTop / h) - AROUND);
    const to = Math.min(this.rows.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / h) + AROUND);
    const typing = this.extra?.box.contains(document.activeElement) && document.activeElement;
    const before = this.painted;
    this.painted = new Map();
    for (const r of this.rows.slice(from, to)) {
      const row = this.row(r), shows = row.outerHTML, was = before.get(r.node ?? r.extra);
      this.painted.set(r.node ?? r.extra, was?.shows === shows && !this.typedIn(r) ? was : { row, shows });
    }
    for (const [key, was] of before) if (this.painted.get(key) !== was) was.row.remove();
    let next = this.spacer.firstElementChild, i = from;
    for (const { row } of this.painted.values()) {
      this.place(row, i++);
      if (row === next) next = next.nextElementSibling;
      else this.spacer.insertBefore(row, next);
    }
    if (typing?.isConnected && document.activeElement !== typing) typing.focus();
    const at = this.active ? this.indexOf(this.active) : -1;
    if (at >= from && at < to) this.node.setAttribute("aria-activedescendant", `file-${at}`);
    else this.node.removeAttribute("aria-activedescendant");
  }

  // place says what of a row changes while it shows the same.
  place(row, i) {
    row.id = `file-${i}`;
    row.dataset.at = i;
    row.style.transform = `translateY(${i * this.height}px)`;
    row.setAttribute("aria-selected", String(Boolean(this.rows[i].node) && this.rows[i].node === this.active));
  }

  // typedIn is what a name is typed into in a row.
  typedIn({ node, extra }) {
    return extra ?? (this.extra?.node === node ? this.extra : null);
  }

  row(r) {
    const { node, extra, depth, place, of } = r, typed = this.typedIn(r);
    const row = el("div", {
      class: "file", role: "treeitem", "aria-level": depth, "aria-setsize": of, "aria-posinset": place,
      "aria-expanded": node?.isFolder ? String(node.open) : null,
    });
    row.style.setProperty("--depth", depth - 1);
    if (!node) {
      row.append(el("span", { class: `mark ${extra.kind}`, "aria-hidden": "true" }), typed.box);
      return row;
    }
    row.classList.add(node.isFolder ? "folder" : node.entry.type);
    row.title = `${node.name}\n${describe(node)}`;
    row.append(el("span", { class: "mark", "aria-hidden": "true" }));
    if (typed) row.append(typed.box);
    else row.append(el("span", { class: "name" }, node.name), node.problem ? el("span", { class: "failed", title: node.problem }, "!") : "",
      el("button", { type: "button", class: "quiet row-menu", tabindex: "-1", "aria-label": `Actions for ${node.name}` }, "⋯"));
    return row;
  }

  at(e) {
    const row = e.target.closest(".file");
    return row && this.rows[row.dataset.at]?.node;
  }

  click(e) {
    const node = this.at(e);
    if (!node || e.target.closest("input")) return;
    const box = e.target.closest(".row-menu")?.getBoundingClientRect(); // before the rows are made anew
    this.activate(node);
    if (box) this.on.menu(node, box.left, box.bottom);
    else this.enter(node);
  }

  context(e) {
    const node = this.at(e);
    if (!node || e.target.closest("input")) return;
    e.preventDefault();
    this.activate(node);
    this.on.menu(node, e.clientX, e.clientY);
  }

  enter(node) {
    if (node.isFolder) this.on.toggle(node, !node.open);
    else this.on.open(node);
  }

  activate(node) {
    this.active = node;
    const h = this.height, top = this.indexOf(node) * h;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + h > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + h - this.node.clientHeight;
    this.paint();
    this.on.active(node);
  }

  focus() {
    this.node.focus();
  }

  key(e) {
    if (e.target !== this.node || e.ctrlKey || e.metaKey || e.altKey) return;
    const act = this.move(e) ?? this.act(e) ?? this.search(e);
    if (!act) return;
    e.preventDefault();
    e.stopPropagation();
    act();
  }

  // step goes to another row, past one in which a name is typed.
  step(to, by) {
    let i = Math.min(this.rows.length - 1, Math.max(0, to));
    while (this.rows[i] && !this.rows[i].node) i += by;
    return this.rows[i] ? () => this.activate(this.rows[i].node) : null;
  }

  move(e) {
    const at = this.active ? this.indexOf(this.active) : -1, page = Math.max(1, Math.floor(this.node.clientHeight / this.height) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + page, PageUp: at - page }[e.key];
    if (to !== undefined) return this.step(to, to < at ? -1 : 1) ?? (() => {});
    const n = this.active;
    if (!n) return null;
    if (e.key === "ArrowRight") return n.isFolder ? (n.open ? this.step(at + 1, 1) : () => this.on.toggle(n, true)) : () => {};
    if (e.key === "ArrowLeft") return n.isFolder && n.open ? () => this.on.toggle(n, false) : () => n.parent !== this.root && this.activate(n.parent);
    return null;
  }

  act(e) {
    const n = this.active;
    if (!n) return null;
    switch (e.key) {
      case "Enter":
        return () => this.enter(n);
      case " ":
        return this.typed ? null : () => this.enter(n);
      case "F2":
        return () => this.on.rename(n);
      case "Delete":
        return () => this.on.remove(n);
      case "ContextMenu":
      case "F10":
        if (e.key === "F10" && !e.shiftKey) return null;
        return () => {
          const box = this.spacer.querySelector(`[data-at="${this.indexOf(n)}"]`).getBoundingClientRect();
          this.on.menu(n, box.left + 24, box.bottom);
        };
    }
    return null;
  }

  // search goes to the next name that begins with what is typed.
  search(e) {
    if (e.key.length !== 1) return null;
    return () => {
      clearTimeout(this.forgetting);
      this.forgetting = setTimeout(() => (this.typed = ""), FORGET);
      this.typed += e.key.toLowerCase();
      const same = [...this.typed].every((c) => c === this.typed[0]) ? this.typed[0] : this.typed;
      const from = Math.max(0, this.active ? this.indexOf(this.active) : 0) + (same.length === 1 ? 1 : 0);
      for (let i = 0; i < this.rows.length; i++) {
        const { node } = this.rows[(from + i) % this.rows.length];
        if (node?.name.toLowerCase().startsWith(same)) return this.activate(node);
      }
    };
  }
}

// describe says what is known of a file: what it is, mode, owner and group, time.
export function describe({ entry, isFolder }) {
  const what = entry.type === "symlink" ? `→ ${shown(entry.target ?? "?")}` : isFolder ? "folder" : entry.type === "file" ? bytes(entry.size) : entry.type;
  return `${what} · ${entry.mode} · ${entry.uid}:${entry.gid} · ${new Date(entry.mod_time).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}`;
}
