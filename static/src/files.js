import { byId, confirmIn, el } from "./dom.js";
import { icon } from "./icons.js";
import { menu } from "./files/menu.js";
import { Node, find, opened } from "./files/model.js";
import { isBelow, join, nameOf, parentOf, pathOf, shownKey } from "./files/paths.js";
import { Reader } from "./files/reader.js";
import { Tree, describe } from "./files/tree.js";
import { Uploads } from "./files/uploads.js";
import { askName } from "./files/naming.js";
import { stash, take } from "./prefs.js";

const HOME = "/root"; // of the shell; where there is none, the root
const LONGEST = 255; // bytes of a name: NAME_MAX
const MOST_KEPT = 50; // open folders that a reload finds open

// Files is the tree of the machine's files left of the shell.
export class Files {
  // ctx: {session, store, watch, notices}
  constructor(node, ctx) {
    Object.assign(this, ctx, { node });
    this.waitText = byId("files-wait");
    this.top = el("button", { type: "button", class: "quiet up", title: "The folder above", "aria-label": "The folder above", onclick: () => this.go(parentOf(this.root.key)) }, icon("up"));
    this.title = byId("files-title");
    const tool = (words, sign, run) => el("button", { type: "button", class: "quiet", title: words, "aria-label": words, onclick: run }, icon(sign));
    byId("files-tools").append(this.top, tool("New file", "new-file", () => this.create("file")), tool("New folder", "new-folder", () => this.create("folder")),
      tool("Upload files", "upload", () => this.pick()), tool("Download this folder as a tar", "download", () => this.store.download(this.root.key, true)));
    this.picker = el("input", { type: "file", multiple: true, hidden: true, onchange: () => this.picked() });
    this.scroller = el("div", { class: "filetree", role: "tree", tabindex: "0", "aria-label": "Files" });
    this.uploads = new Uploads(this);
    this.facts = el("p", { class: "facts-line", hidden: true });
    node.append(this.picker, this.scroller, this.uploads.box, this.facts);
    this.tree = new Tree(this.scroller, {
      open: (n) => this.openFile(n), toggle: (n, on) => this.toggle(n, on), rename: (n) => this.rename(n), remove: (n) => this.remove(n),
      active: (n) => this.tell(n), menu: (n, x, y) => menu(this.actionsOf(n), x, y, () => this.tree.focus()),
    });
    this.reader = new Reader(this.store, (n, gone) => this.came(n, gone), (n, err) => this.failed(n, err));
    this.watch.listen((e) => this.heard(e));
    document.addEventListener("berth:file-saved", (e) => this.saved(e.detail.key));
    this.uploads.droppable(this.scroller, (target) => this.folderAt(target));
    this.lost = false;
    this.stashKey = "tree." + ctx.session.id;
    this.restore(take(this.stashKey));
  }

  // restore opens what was open before a reload, from the top down.
  async restore(before) {
    await this.go(before?.root ?? HOME);
    for (const key of before?.open ?? []) await this.unfold(key);
  }

  keep() {
    const open = [...opened(this.root)].map((n) => n.key).slice(0, MOST_KEPT);
    stash(this.stashKey, { root: this.root.key, open });
  }

  setSeen(on) {
    this.seen = on;
    this.watch.setRoot(on ? this.root.key : null);
  }

  // go makes a folder the top of the tree.
  go(key) {
    for (const n of this.root ? opened(this.root) : []) this.watch.release(n.key);
    this.root = new Node(null, { name: pathOf(nameOf(key)), type: "directory", mode: "", uid: 0, gid: 0 }, key);
    this.tree.active = this.tree.extra = null;
    this.title.textContent = this.title.title = shownKey(key) || "/";
    this.top.disabled = key === "/";
    this.say("Reading the files…");
    this.scroller.hidden = true;
    if (this.seen) this.watch.setRoot(key);
    this.keep();
    return this.reader.read(this.root);
  }

  say(words) {
    this.waitText.textContent = words;
    this.waitText.hidden = !words;
  }

  // came: a folder's entries are there, or some of them; others have gone.
  came(node, gone) {
    for (const n of gone) if (n.open) [n, ...opened(n)].forEach((o) => this.watch.release(o.key));
    node.problem = null;
    if (node === this.root) {
      this.scroller.hidden = false;
      this.say(node.children.length || this.tree.extra ? "" : "This folder is empty. Make a file above, or drop files here.");
    }
    this.tree.show(this.root);
  }

  failed(node, err) {
    if (node === this.root && node.key === HOME && err.status === 404 && !node.children) return this.go("/");
    node.problem = err.message;
    if (node.open && !err.passing) {
      for (const n of [node, ...opened(node)]) this.watch.release(n.key);
      node.open = false;
    }
    if (err.status === 404) node.children = null;
    if (node === this.root) {
      this.scroller.hidden = err.status === 404;
      if (!err.passing || !node.children) this.say(err.status === 404 ? "This folder is gone. Go to the one above." : err.message);
      if (err.passing) setTimeout(() => this.root === node && this.seen && this.reader.read(node), 3000);
    } else if (err.status === 404) {
      this.reader.soon(node.parent); // it was deleted or renamed
    } else if (!err.passing) {
      this.notices.show("files", `${shownKey(node.key)}: ${err.message}`);
    }
    this.tree.show(this.root);
  }

  // tell shows what is known of the active file, or that the tree may be from before.
  tell(node = this.tree.active) {
    const words = this.lost ? "Reconnecting… the tree is from before." : node ? describe(node) : "";
    this.facts.hidden = !words;
    if (this.facts.textContent !== words) this.facts.textContent = words;
  }

  heard(e) {
    if (!this.seen) return;
    if ((e.kind === "lost") !== this.lost && (e.kind === "lost" || e.kind === "ready")) {
      this.lost = e.kind === "lost";
      this.tell();
    }
    if (e.kind === "ready" || e.kind === "overflow") {
      this.reader.soon(this.root);
      for (const n of opened(this.root)) this.reader.soon(n);
    } else if (e.kind === "gone") {
      this.failed(this.root, { status: 404, message: "gone" });
    } else if (e.key) {
      const folder = find(this.root, parentOf(e.key));
      if (folder?.children) this.reader.soon(folder, e.kind === "changed");
    }
  }

  saved(key) {
    const folder = find(this.root, parentOf(key));
    if (folder?.children) this.reader.soon(folder);
  }

  toggle(node, on) {
    node.open = on;
    if (on) {
      this.watch.want(node.key);
      this.reader.read(node);
    } else {
      for (const n of [node, ...opened(node)]) this.watch.release(n.key);
      for (const n of [...opened(node)]) n.open = false;
    }
    this.keep();
    this.tree.show(this.root);
  }

  openFile(node) {
    const type = node.entry.target_type ?? node.entry.type;
    if (type === "symlink" || node.entry.type === "symlink" && !type) return this.notices.show("files", `${node.name} leads to nothing.`);
    if (type !== "file") return this.notices.show("files", `${node.name} is a ${type}: it cannot be opened here.`);
    document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: pathOf(node.key), key: node.key } }));
  }

  folderOf(node) {
    return !node ? this.root : node.isFolder ? node : node.parent;
  }

  // folderAt is the folder that something dropped on an element goes to.
  folderAt(target) {
    const row = target.closest?.(".file");
    return this.folderOf(row ? this.tree.rows[row.dataset.at]?.node : null);
  }

  async create(kind) {
    const folder = this.folderOf(this.tree.active);
    if (folder !== this.root && !folder.open) this.toggle(folder, true);
    const name = await this.name({ parent: folder, kind, value: "" });
    if (name === null) return;
    const key = join(folder.key, encodeURIComponent(name));
    const done = await this.attempt(`Make ${shownKey(key)}`, () => (kind === "folder" ? this.makeFolder(key) : this.store.write(key, "", "")));
    if (!done) return;
    await this.reader.read(folder);
    this.show(key);
    if (kind === "file") document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: pathOf(key), key } }));
  }

  // makeFolder: mkdir is content with one that is there, a visitor who wants a new one is not.
  async makeFolder(key) {
    if (find(this.root, key)) throw new Error("There is something of that name.");
    await this.store.mkdir(key);
  }

  async rename(node) {
    const typed = await this.name({ parent: node.parent, node, kind: "rename", value: node.name });
    if (typed === null || typed === node.name) return;
    const to = join(node.parent.key, encodeURIComponent(typed)), open = node.open ? [node, ...opened(node)].map((n) => to + n.key.slice(node.key.length)) : [];
    if (!(await this.attempt(`Rename ${node.name}`, () => this.store.rename(node.key, to)))) return;
    document.dispatchEvent(new CustomEvent("berth:file-moved", { detail: { from: node.key, to } }));
    await this.reader.read(node.parent);
    this.show(to);
    for (const key of open) await this.unfold(key);
  }

  // unfold opens a folder, which is in one that is open.
  async unfold(key) {
    const folder = find(this.root, key);
    if (!folder?.isFolder || folder.open) return;
    this.toggle(folder, true);
    await this.reader.read(folder);
  }

  // name asks for a name in the tree, at its place, and answers null where none was wanted.
  async name(extra) {
    const name = await askName(this.tree, this.root, { ...extra, check: (text) => this.wrong(text) });
    this.say(this.root.children?.length || this.root.problem ? this.waitText.textContent : "This folder is empty. Make a file above, or drop files here.");
    return name;
  }

  wrong(name) {
    if (name.includes("/")) return "A name cannot hold /";
    if (name === "." || name === "..") return "That name has a meaning already";
    if (new TextEncoder().encode(name).length > LONGEST) return "That name is too long";
    return "";
  }

  async remove(node) {
    const sure = await confirmIn({
      title: `Delete ${node.name}?`, yes: "Delete it",
      text: node.isFolder && node.entry.type !== "symlink" ? "The folder and everything in it are deleted. This cannot be undone." : "This cannot be undone.",
    });
    this.tree.focus();
    if (!sure) return;
    const at = this.tree.indexOf(node);
    if (!(await this.attempt(`Delete ${node.name}`, () => this.store.remove(node.key)))) return;
    await this.reader.read(node.parent);
    const next = this.tree.rows[Math.min(at, this.tree.rows.length - 1)]?.node;
    if (next) this.tree.activate(next);
  }

  show(key) {
    const node = find(this.root, key);
    if (node && this.tree.indexOf(node) >= 0) this.tree.activate(node);
  }

  // attempt does what may fail, and then says so.
  async attempt(what, run) {
    try {
      await run();
      this.notices.hide("files");
      return true;
    } catch (err) {
      const why = err.status === 412 || err.status === 409 && /exists/.test(err.message) ? "There is something of that name." : err.message;
      this.notices.show("files", `${what}: ${why}`);
      return false;
    }
  }

  pick(folder = this.folderOf(this.tree.active)) {
    this.into = folder;
    this.picker.click();
  }

  picked() {
    this.uploads.send(this.into ?? this.folderOf(this.tree.active), [...this.picker.files].map((file) => ({ path: file.name, file })));
    this.picker.value = "";
  }

  actionsOf(node) {
    const folder = this.folderOf(node);
    const inside = (run) => () => {
      if (node.isFolder && !node.open) this.toggle(node, true);
      run();
    };
    return [
      node.isFolder ? { name: node.open ? "Close" : "Open", run: () => this.tree.enter(node) } : { name: "Open", run: () => this.openFile(node) },
      node.isFolder && { name: "Show only this folder", run: () => this.go(node.key) },
      { name: "New file", run: inside(() => this.create("file")) },
      { name: "New folder", run: inside(() => this.create("folder")) },
      { name: "Upload files", run: () => this.pick(folder) },
      { name: node.isFolder ? "Download as a tar" : "Download", run: () => this.store.download(node.key, node.isFolder) },
      { name: "Copy the path", run: () => navigator.clipboard?.writeText(pathOf(node.key)) },
      { name: "Rename", keys: "F2", run: () => this.rename(node) },
      { name: "Delete", keys: "Del", danger: true, run: () => this.remove(node) },
    ].filter(Boolean);
  }

  // below says whether a key is in what is shown.
  below(key) {
    return isBelow(key, this.root.key);
  }

  stop() {
    this.uploads.stop();
  }
}
