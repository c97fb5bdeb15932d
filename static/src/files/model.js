import { canonical, join, shown } from "./paths.js";

const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const BIG = 5000; // entries: more than that are sorted by code points, which is quicker by far

// Node is one file or folder of the tree. children: null where they were not read.
export class Node {
  constructor(parent, entry, key) {
    this.parent = parent;
    this.key = key;
    this.open = false;
    this.children = null;
    this.set(entry);
  }

  set(entry) {
    this.entry = entry;
    this.name = shown(entry.name);
    this.isFolder = (entry.target_type ?? entry.type) === "directory";
    this.depth = this.parent ? this.parent.depth + 1 : 0;
  }

  // adopt takes what a folder holds now; folders that are open stay so. It returns the nodes that have gone.
  adopt(entries) {
    const before = new Map((this.children ?? []).map((n) => [n.key, n]));
    const all = entries.map((e) => {
      const key = join(this.key, e.encoded ? canonical(e.encoded) : encodeURIComponent(e.name));
      const known = before.get(key);
      if (!known) return new Node(this, e, key);
      before.delete(key);
      known.set(e);
      return known;
    });
    this.children = sorted(all);
    return [...before.values()];
  }
}

function sorted(nodes) {
  const order = nodes.length > BIG ? (a, b) => (a.entry.name < b.entry.name ? -1 : 1) : (a, b) => byName(a.name, b.name);
  return nodes.sort((a, b) => b.isFolder - a.isFolder || order(a, b));
}

// rowsOf is what is seen of a tree, from top to bottom. Each row knows its place among its siblings.
export function rowsOf(root, extra) {
  const rows = [];
  const walk = (parent) => {
    if (extra?.parent === parent && !extra.node) rows.push({ extra, depth: parent.depth + 1, place: 1, of: 1 });
    const all = parent.children ?? [];
    for (let i = 0; i < all.length; i++) {
      rows.push({ node: all[i], depth: all[i].depth, place: i + 1, of: all.length });
      if (all[i].open && all[i].isFolder) walk(all[i]);
    }
  };
  walk(root);
  return rows;
}

// find is the node of a key, where it has been read.
export function find(root, key) {
  if (root.key === key) return root;
  for (const n of root.children ?? []) {
    if (n.key === key) return n;
    if (n.children && key.startsWith(n.key + "/")) return find(n, key);
  }
  return null;
}

export function* opened(node) {
  for (const n of node.children ?? []) if (n.open) {
    yield n;
    yield* opened(n);
  }
}
