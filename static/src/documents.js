import { byId, confirmIn, el } from "./dom.js";
import { keyOf, nameOf, isBelow, pathOf, shown, shownKey } from "./files/paths.js";
import { stash, take } from "./prefs.js";
import { Drafts } from "./drafts.js";
import { fontSize } from "./terminal.js";

// Document is an open file: its tab, and the frame that the editor fills when it is first seen.
class Document {
  constructor(key, owner) {
    this.key = key;
    this.owner = owner;
    this.node = el("div", { class: "pane document", role: "tabpanel", id: `file-pane-${owner.count++}`, tabindex: "-1", hidden: true },
      el("p", { class: "wait", role: "status" }, "Opening…"));
    this.setFont(fontSize());
    this.watch(true);
  }

  get name() {
    return shown(pathOf(nameOf(this.key)));
  }

  get path() {
    return pathOf(this.key);
  }

  watch(on) {
    const { watch } = this.owner.ctx;
    if (on) watch.want(this.key, true);
    else watch.release(this.key);
  }

  setTitle() {
    this.tab.label.textContent = this.name;
    this.tab.button.title = shownKey(this.key) + (this.dirty ? " (not saved)" : "");
    this.tab.button.setAttribute("aria-label", this.name + (this.dirty ? ", not saved" : ""));
    this.tab.closer.setAttribute("aria-label", `Close ${this.name}`);
    this.tab.item.classList.toggle("unsaved", Boolean(this.dirty));
    if (!this.node.hidden) this.tab.item.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  setDirty(on) {
    if (this.dirty === on) return;
    this.dirty = on;
    this.setTitle();
  }

  show() {
    this.node.hidden = false;
    if (this.view) this.view.shown();
    else this.load();
  }

  // load fetches the editor once, and where that fails is tried again when the tab is next shown.
  load() {
    this.loading ??= this.owner.editor()
      .then(({ FileView }) => {
        this.node.replaceChildren();
        this.view = new FileView(this, this.owner.ctx);
        if (!this.node.hidden) this.view.shown();
        return this.view;
      })
      .catch((err) => {
        this.loading = null;
        console.error(err);
        this.node.replaceChildren(el("p", { class: "wait" }, "The editor did not load. ", el("button", { type: "button", class: "small", onclick: () => this.load() }, "Try again")));
      });
    return this.loading;
  }

  hide() {
    this.node.hidden = true;
    this.view?.flush();
  }

  focus() {
    if (this.view) this.view.focus();
    else this.node.focus();
  }

  setFont(size) {
    this.node.style.setProperty("--code-size", `${size}px`);
    this.view?.measure();
  }

  setTheme() {
    this.view?.setTheme();
  }

  // mayClose asks where something would be lost.
  async mayClose() {
    if (!this.dirty) return true;
    const answer = await confirmIn({ title: `Close ${this.name}?`, text: "It has changes that are not saved.", yes: "Discard them", more: "Save and close" });
    if (answer === "more") {
      const view = await this.load();
      return Boolean(view && (await view.loaded) && (await view.save()));
    }
    if (answer) this.owner.drafts.drop(this.key);
    return answer;
  }

  close() {
    this.view?.destroy();
    this.node.remove();
    this.watch(false);
    this.owner.forget(this);
  }

  stop() {
    this.view?.flush();
    return true;
  }
}

// Documents are the files that are open, as tabs in the row of shells. A reload finds them again, with what was not saved.
export class Documents {
  // ctx: {session, api, store, watch, tabs, notices, toShell()}
  constructor(ctx) {
    this.ctx = { ...ctx, drafts: (this.drafts = new Drafts(ctx.session.id)), marks: (this.marks = new Map()) };
    this.list = [];
    this.count = 0;
    this.stashKey = "documents." + ctx.session.id;
    ctx.tabs.restore = () => this.restore();
    const on = (name, f) => document.addEventListener(name, (e) => f(e.detail));
    on("berth:open-file", (d) => this.open(d));
    on("berth:file-moved", ({ from, to }) => this.moved(from, to));
    on("berth:build-marks", (d) => this.mark(keyOf(d.path), d.marks ?? []));
    addEventListener("pagehide", () => this.list.forEach((d) => d.view?.flush()));
    addEventListener("beforeunload", (e) => this.list.some((d) => d.dirty && d.view?.unkept) && e.preventDefault()); // the browser asks
  }

  editor() {
    this.loading ??= import(byId("files").dataset.editor).catch((err) => {
      this.loading = null;
      throw err;
    });
    return this.loading;
  }

  restore() {
    for (const key of take(this.stashKey) ?? []) this.add(key);
    this.keep();
  }

  add(key) {
    const doc = new Document(key, this);
    doc.dirty = this.drafts.has(key);
    doc.tab = this.ctx.tabs.addDocument(doc);
    doc.setTitle();
    this.list.push(doc);
    this.keep();
    return doc;
  }

  // open shows a file, at a place in it. key is its path, where that is not UTF-8.
  async open({ path, key = keyOf(String(path)), line, column }) {
    if (!key.startsWith("/") || key.endsWith("/")) return;
    const doc = this.list.find((d) => d.key === key) ?? this.add(key);
    this.ctx.toShell();
    this.ctx.tabs.activate(doc.tab);
    const view = await doc.load();
    if (view && line) (await view.loaded) && view.goTo(line, column);
  }

  // moved: what was renamed in the tree stays open under its new name.
  moved(from, to) {
    for (const d of this.list.filter((d) => isBelow(d.key, from))) {
      d.view?.flush();
      d.watch(false);
      this.drafts.move(d.key, to + d.key.slice(from.length));
      d.key = to + d.key.slice(from.length);
      d.tab.name = "file:" + d.key;
      d.watch(true);
      d.setTitle();
      d.view?.moved();
    }
    this.keep();
  }

  mark(key, marks) {
    if (marks.length) this.marks.set(key, marks);
    else this.marks.delete(key);
    this.list.find((d) => d.key === key)?.view?.setMarks(marks);
  }

  forget(doc) {
    this.list = this.list.filter((d) => d !== doc);
    this.keep();
  }

  keep() {
    stash(this.stashKey, this.list.map((d) => d.key));
  }

  actions() {
    const view = this.ctx.tabs.active?.document?.view;
    return view?.actions() ?? [];
  }
}
