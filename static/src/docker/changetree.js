import { bytes, el } from "../dom.js";
import { line } from "./words.js";

const ALL_OPEN = 80; // up to so many paths every folder is open at first
const MARKS = { added: "+", changed: "~", removed: "−" };

// ChangeTree draws changed paths as a tree of folders, and keeps what the visitor has opened and where they are.
export class ChangeTree {
  constructor() {
    this.node = el("div", { class: "tree" });
    this.clear();
  }

  clear() {
    this.open = new Map(); // path → whether the visitor has it open
    this.known = null; // path → size and kind, of the last time
    this.node.replaceChildren();
  }

  show(changes) {
    const root = grow(changes),
      few = changes.length <= ALL_OPEN,
      focused = document.activeElement?.dataset?.path;
    const before = this.known;
    this.known = new Map(changes.map((c) => [c.path, `${c.kind} ${c.size}`]));
    const fresh = (c) => before && before.get(c.path) !== `${c.kind} ${c.size}`;
    this.node.replaceChildren(this.list(root, few, fresh, 0));
    if (focused !== undefined) [...this.node.querySelectorAll("summary")].find((s) => s.dataset.path === focused)?.focus();
  }

  list(folder, few, fresh, depth) {
    return el("ul", {}, ...[...folder.children.values()].map((n) => el("li", {}, this.item(n, few, fresh, depth))));
  }

  item(n, few, fresh, depth) {
    let label = n.name;
    // Folders that only lead to one other are one line.
    while (n.children.size === 1 && n.change?.kind !== "added" && n.change?.kind !== "removed") {
      const [only] = n.children.values();
      if (!only.children.size) break;
      label += "/" + only.name;
      n = only;
    }
    if (!n.children.size) return row(n, label, fresh);
    const details = el("details", {}, row(n, label + "/", fresh, "summary"));
    let filled = false;
    const fill = () => {
      if (!filled) details.append(this.list(n, few, fresh, depth + 1));
      filled = true;
    };
    details.open = this.open.get(n.path) ?? (few || depth === 0);
    if (details.open) fill();
    details.addEventListener("toggle", () => {
      fill();
      this.open.set(n.path, details.open);
    });
    return details;
  }
}

function row(n, label, fresh, tag = "div") {
  const c = n.change,
    inside = n.children.size > 0;
  const size = inside ? (n.bytes ? bytes(n.bytes) : "") : c?.type === "file" ? bytes(c.size) : c?.type === "symlink" ? "link" : "";
  return el(
    tag,
    { class: `change ${c?.kind ?? ""} ${c && !inside && fresh(c) ? "fresh" : ""}`, "data-path": tag === "summary" && n.path },
    el("span", { class: "mark", title: c?.kind, "aria-hidden": "true" }, MARKS[c?.kind] ?? ""),
    el("span", { class: "path" }, line(label, 300) || "?"),
    c && el("span", { class: "unseen" }, c.kind),
    el("span", { class: "soft size" }, inside ? [`${n.count}`, size].filter(Boolean).join(" · ") : size),
  );
}

// grow makes the tree: {name, path, change, children, bytes, count}.
function grow(changes) {
  const root = made("", "");
  for (const c of changes) {
    let at = root;
    for (const name of String(c.path).split("/").filter(Boolean)) {
      let next = at.children.get(name);
      if (!next) at.children.set(name, (next = made(name, `${at.path}/${name}`)));
      at = next;
      at.bytes += c.size;
      at.count += 1;
    }
    at.change = c;
    at.count -= 1; // itself
  }
  return root;
}

const made = (name, path) => ({ name, path, change: null, children: new Map(), bytes: 0, count: 0 });
