import { bytes, el } from "../../dom.js";
import { pref, setPref } from "../../prefs.js";
import { button, text } from "../rows.js";
import { Nodes } from "./nodes.js";
import { MARKS, count, fullNameOf, nameOf, plural, shown } from "./shown.js";
import { Window } from "./window.js";

const TYPING = 200; // ms without a key before a filter is asked for

// Tree is the files of one layer, or of all up to it.
export class Tree {
  // source: Source; open(entry): a file is to be read
  constructor(source, open) {
    this.source = source;
    this.open = open;
    this.nodes = new Nodes(source, () => this.paint());
    this.merged = pref("inspect-merged") === "on";
    this.own = this.toggle("this layer", "only what this layer adds, changes and removes", false);
    this.all = this.toggle("merged up to here", "all files as they are after this layer", true);
    this.filter = el("input", {
      type: "search",
      class: "tree-filter",
      placeholder: "filter",
      "aria-label": "Filter files by name or path",
      spellcheck: "false",
      autocapitalize: "none",
    });
    this.change = select("Which changes", { "": "all files", added: "+ added", changed: "~ changed", removed: "− removed" });
    this.sort = select("Order", { "": "by name", size: "by size" });
    this.total = el("span", { class: "soft", role: "status" });
    this.window = new Window({
      role: "tree",
      rowRole: "treeitem",
      label: "Files",
      make: (i) => this.row(i),
      on: { press: (i, e) => this.press(i, e), key: (e, i) => this.key(e, i) },
    });
    this.word = el("p", { class: "wait", role: "status", hidden: true });
    const bar = el(
      "div",
      { class: "tree-bar" },
      el("span", { class: "pair", role: "group", "aria-label": "Which files" }, this.own, this.all),
      this.filter,
      this.change,
      this.sort,
      this.total,
    );
    this.node = el("div", { class: "inspect-tree" }, bar, this.word, this.window.node);
    this.filter.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.load(), TYPING);
    });
    for (const s of [this.change, this.sort]) s.addEventListener("change", () => this.load());
  }

  toggle(words, title, merged) {
    return button(words, words, () => {
      this.merged = merged;
      setPref("inspect-merged", merged ? "on" : "off");
      this.load();
    });
  }

  // show loads the tree of a layer.
  show(image, layer) {
    this.image = image;
    this.layer = layer;
    this.load();
  }

  load() {
    this.own.setAttribute("aria-pressed", String(!this.merged));
    this.all.setAttribute("aria-pressed", String(this.merged));
    this.window.node.setAttribute("aria-busy", "true");
    this.nodes.load({
      image: this.image.id,
      layer: this.layer.index,
      merged: this.merged,
      filter: this.filter.value.trim(),
      change: this.change.value,
      sort: this.sort.value,
    });
  }

  paint(keep = false) {
    const { state, error, length, total } = this.nodes;
    const nothing = this.layer.empty && !this.merged ? "This step changed no files: it only says how the image is run." : "No files match.";
    text(this.word, state === "failed" ? error : state === "reading" ? "reading…" : nothing);
    this.word.hidden = state === "fine" && length > 0;
    this.word.classList.toggle("failed", state === "failed");
    this.window.node.hidden = !this.word.hidden;
    this.window.node.setAttribute("aria-busy", String(state === "reading"));
    text(this.total, state === "fine" && this.nodes.flat ? plural(total, "match", "matches") : "");
    this.window.show(length, { keep: keep || this.nodes.keep });
  }

  row(i) {
    const r = this.nodes.at(i);
    if (!r) return el("div", { class: "row" }, el("span", { class: "soft" }, "…"));
    if (r.more)
      return el(
        "div",
        { class: "row", "aria-label": "load more" },
        indent(r.level),
        el("span", { class: "soft" }, `${count(r.more)} more: press to load`),
      );
    const { entry, level } = r,
      dir = entry.type === "directory";
    const name = this.nodes.flat ? fullNameOf(entry) : nameOf(entry);
    const node = el(
      "div",
      { class: `row ${entry.change ?? ""} ${dir ? "dir" : ""}`, title: this.nodes.flat ? "" : shown(entry.path) },
      el("span", { class: "mark", "aria-hidden": "true" }, MARKS[entry.change] ?? ""),
      indent(level),
      el("span", { class: "caret", "aria-hidden": "true" }, dir && !this.nodes.flat ? (r.open ? "▾" : "▸") : ""),
      el(
        "span",
        { class: "file-name" },
        name + (dir ? "/" : ""),
        entry.target !== undefined && el("span", { class: "soft" }, ` → ${shown(entry.target)}`),
      ),
      el("span", { class: "below", "aria-hidden": "true" }, below(entry)),
      el("span", { class: "file-size" }, sizeOf(entry)),
      el("span", { class: "file-mode" }, shown(entry.mode)),
      el("span", { class: "file-owner" }, `${shown(entry.owner ?? entry.uid)}:${shown(entry.group ?? entry.gid)}`),
    );
    node.setAttribute("aria-level", String(level + 1));
    if (dir && !this.nodes.flat) node.setAttribute("aria-expanded", String(Boolean(r.open)));
    node.setAttribute(
      "aria-label",
      [name, dir ? "directory" : entry.type, entry.change, sizeOf(entry), entry.mode, below(entry)].filter(Boolean).join(", "),
    );
    return node;
  }

  press(i) {
    const r = this.nodes.at(i);
    if (!r) return;
    if (r.more) this.nodes.more(i).then(() => this.paint(true));
    else if (r.entry.type === "directory" && !this.nodes.flat) this.fold(i);
    else if (r.entry.type === "directory") this.into(r.entry);
    else this.open(r.entry);
  }

  async fold(i) {
    await this.nodes.fold(i);
    this.paint(true);
  }

  // into leaves the flat list of matches for the tree, at a directory that was found.
  async into(entry) {
    this.filter.value = "";
    this.change.value = "";
    this.load();
    const at = await this.nodes.reveal(entry.path);
    this.paint(true);
    this.window.go(Math.max(0, at));
  }

  key(e, i) {
    const r = this.nodes.at(i);
    if (!r?.entry || this.nodes.flat) return false;
    const dir = r.entry.type === "directory";
    if (e.key === "ArrowRight" && dir) r.open ? this.window.go(i + 1) : this.fold(i);
    else if (e.key === "ArrowLeft" && dir && r.open) this.fold(i);
    else if (e.key === "ArrowLeft") this.window.go(this.nodes.parent(i));
    else return false;
    return true;
  }

  focus() {
    this.window.node.focus();
  }
}

function select(label, options) {
  return el("select", { "aria-label": label }, ...Object.entries(options).map(([value, words]) => el("option", { value }, words)));
}

function indent(level) {
  const node = el("span", { class: "indent" });
  node.style.width = `${Math.min(level, 24) * 14}px`;
  return node;
}

function sizeOf(entry) {
  if (entry.type === "directory") return entry.below?.bytes ? bytes(entry.below.bytes) : "";
  if (entry.type !== "file") return "";
  return entry.before !== undefined && entry.before !== entry.size ? `${bytes(entry.before)} → ${bytes(entry.size)}` : bytes(entry.size);
}

function below({ below: b }) {
  if (!b) return "";
  return [b.added && `+${count(b.added)}`, b.changed && `~${count(b.changed)}`, b.removed && `−${count(b.removed)}`]
    .filter(Boolean)
    .join(" ");
}
