import { el } from "../dom.js";
import { FileRow } from "./filerow.js";
import { Files, join, parentOf } from "./files.js";
import { Doing, Rows, button, table, text } from "./rows.js";
import { Uploads } from "./uploads.js";
import { explanation } from "./why.js";
import { line } from "./words.js";

const EVERY = 4000; // ms between two looks at an open directory
const LOAD = 20; // a look that took n ms is not repeated within LOAD × n
const PAGE = 1000; // entries that are asked for at once

// Browser shows what is in one volume: its directories, one at a time, as a container that mounts it sees them.
export class Browser {
  // ctx: {engine, closed(volume), type(command), toContainer(id), news(words)}
  constructor(ctx) {
    this.ctx = ctx;
    this.volume = null;
    this.back = button("←", "Back to all volumes", () => this.close());
    this.back.append(el("span", { class: "wide" }, "all volumes"));
    this.crumbs = el("nav", { class: "crumbs", "aria-label": "Directory" });
    this.as = el("select", { "aria-label": "As which container sees it", onchange: () => this.look() });
    this.who = el("span", { class: "soft who" });
    this.picker = el("input", { type: "file", multiple: true, hidden: true, onchange: () => this.picked() });
    this.tar = el("a", { class: "button small", download: "", "aria-label": "Download this folder as a tar" }, "↓ tar");
    this.acts = el(
      "span",
      { class: "acts" },
      button("↑ upload", "Upload files into this directory", () => this.picker.click()),
      button("new folder", "Make a folder in this directory", () => this.askFolder()),
      this.tar,
    );
    this.why = el("div", { class: "why", role: "note", hidden: true });
    this.said = new Doing();
    this.box = el("div", { role: "table", "aria-label": "What is being done" }, this.said.node);
    const { node, body } = table("Files", "files", "name", "size", "mode", "owner", "changed", "");
    this.table = node;
    this.rows = new Rows(body, () => new FileRow(this));
    this.none = el("p", { class: "none-yet", hidden: true }, "Nothing is in here. Drop files to upload them.");
    this.more = button("show more", "Show more entries", () => this.page(), "more");
    this.uploads = new Uploads(this);
    this.node = el(
      "div",
      { class: "browser", hidden: true },
      el(
        "div",
        { class: "log-bar" },
        this.back,
        this.crumbs,
        this.who,
        this.as,
        this.acts,
      ),
      this.picker,
      this.why,
      this.box,
      this.uploads.node,
      node,
      this.none,
      this.more,
    );
    this.node.addEventListener("keydown", (e) => e.key === "Escape" && this.close());
    document.addEventListener("visibilitychange", () => this.plan(0));
  }

  open(volume) {
    this.volume = volume;
    this.files = new Files(this.ctx.engine, volume);
    this.dir = "/";
    this.users = "";
    this.node.hidden = false;
    this.seen = null;
    this.as.replaceChildren();
    this.said.clear();
    this.rows.show([], (e) => e.name);
    this.blank(true);
    this.visible = true;
    this.go("/");
    this.back.focus();
  }

  close() {
    if (this.volume === null) return;
    const { volume } = this;
    this.volume = null;
    this.stop();
    this.uploads.stop();
    this.node.hidden = true;
    this.ctx.closed(volume);
  }

  setVisible(on) {
    this.visible = on;
    if (on) this.plan(0);
    else this.stop();
  }

  stop() {
    clearTimeout(this.timer);
    this.asked = (this.asked ?? 0) + 1; // what is on its way comes too late
  }

  // changed is told what the lists say of the volume: whether it is there, and who mounts it.
  changed(there, users) {
    if (!there) return this.close();
    const key = JSON.stringify(users);
    if (key === this.users) return;
    this.users = key;
    const before = this.as.value;
    this.as.replaceChildren(...users.map((u) => el("option", { value: u.id }, `as ${u.name}${u.running ? "" : " (not running)"}`)));
    this.as.hidden = users.length < 2;
    const best = users.find((u) => u.id === before) ?? users.find((u) => u.running) ?? users[0];
    this.as.value = best?.id ?? "";
    this.plan(0);
  }

  go(dir) {
    this.dir = dir;
    this.limit = PAGE;
    this.seen = null;
    this.paintCrumbs();
    return this.look();
  }

  // enter goes to a directory by the keyboard: the focus stays in the list.
  async enter(dir) {
    await this.go(dir);
    (this.rows.node.querySelector(".opener:not(:disabled)") ?? this.back).focus();
  }

  page() {
    this.limit = Math.min(10_000, this.limit + PAGE);
    this.look();
  }

  plan(after) {
    clearTimeout(this.timer);
    if (this.volume === null || !this.visible || document.hidden) return;
    this.timer = setTimeout(() => this.look(), after);
  }

  // look asks for the directory, and draws it where it is not as before.
  async look() {
    clearTimeout(this.timer);
    const turn = (this.asked = (this.asked ?? 0) + 1),
      began = performance.now();
    try {
      const found = await this.files.look(this.dir, { container: this.as.value, limit: this.limit });
      if (turn !== this.asked) return;
      const drawn = JSON.stringify(found);
      if (drawn !== this.seen) this.paint(found);
      this.seen = drawn;
      if (this.failing) this.said.clear();
      this.failing = false;
    } catch (err) {
      if (turn !== this.asked) return;
      this.failed(err);
    }
    this.plan(Math.max(EVERY, LOAD * (performance.now() - began)));
  }

  failed(err) {
    if (err.status === 404 && this.dir !== "/") return this.go(parentOf(this.dir));
    if (err.status === 409) {
      this.blank(true); // it is no directory that can be read now, and Docker's engine says why
      return this.paintWhy({ why: err.message });
    }
    this.failing = true;
    this.said.fail(line(err.message, 600));
  }

  // blank takes away what can only be done in a directory that is there.
  blank(on) {
    this.acts.hidden = on;
    if (!on) return;
    this.seen = this.view = null;
    this.table.hidden = this.none.hidden = this.more.hidden = this.why.hidden = true;
    text(this.who, "");
  }

  paint(found) {
    this.blank(false);
    this.tar.href = this.files.url(this.dir, { archive: "tar" });
    const entries = (found.entries ?? []).map((e) => ({ ...e, name: String(e.name) }));
    entries.sort((a, b) => (b.type === "directory") - (a.type === "directory") || a.name.localeCompare(b.name));
    this.view = found;
    this.rows.show(entries, (e) => e.name);
    this.table.hidden = !entries.length;
    this.none.hidden = entries.length > 0;
    this.more.hidden = !found.more;
    text(this.more, `show more: ${entries.length} of ${found.total} are here`);
    this.paintWho(found.container);
    this.paintWhy(found.directory ?? {});
  }

  paintWho(c) {
    const name = c && (c.user ? `${line(c.user, 32)}, uid ${Number(c.uid)}` : `uid ${Number(c.uid)}`);
    text(this.who, c ? `${this.as.hidden ? line(c.name, 60) + " is " : ""}${name}` : "no container mounts it");
  }

  paintWhy({ why, fix }) {
    this.why.hidden = !why;
    this.why.replaceChildren(...(why ? explanation(line(why, 1000), fix, this.ctx.type) : []));
  }

  paintCrumbs() {
    const names = this.dir.split("/").filter(Boolean);
    const step = (label, path, last) =>
      last
        ? el("strong", { "aria-current": "location" }, label)
        : el("button", { type: "button", class: "small link-like", onclick: () => this.enter(path) }, label);
    const all = [step(this.title(), "/", !names.length)];
    names.forEach((n, i) => {
      all.push(el("span", { class: "soft", "aria-hidden": "true" }, "/"));
      all.push(step(line(n, 60), "/" + names.slice(0, i + 1).join("/"), i === names.length - 1));
    });
    this.crumbs.replaceChildren(...all);
  }

  title() {
    return /^[0-9a-f]{64}$/.test(this.volume) ? this.volume.slice(0, 12) : line(this.volume, 60);
  }

  picked() {
    this.uploads.add([...this.picker.files].map((file) => ({ file, name: file.name })));
    this.picker.value = "";
  }

  has(name) {
    return this.rows.byKey.has(name);
  }

  // askName asks for a name of something in this directory.
  askName(doing, label, value, yes, run) {
    const input = el("input", { type: "text", value, "aria-label": label, maxlength: "255", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    const hint = el("span", { class: "failed", role: "alert" });
    const form = el(
      "form",
      { class: "name-form" },
      el("span", {}, label),
      input,
      el("button", { class: "small" }, yes),
      el("button", { type: "button", class: "small", onclick: () => doing.clear() }, "Cancel"),
      hint,
    );
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      const name = input.value;
      if (!name || name === "." || name === ".." || name.includes("/")) return text(hint, "A name without slashes, please.");
      if (name !== value && this.has(name)) return text(hint, "There is something of that name.");
      run(name);
    });
    form.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      doing.clear();
    });
    doing.cell.replaceChildren(form);
    doing.show("");
    input.focus();
    input.select();
  }

  askFolder() {
    this.askName(this.said, "Name of the folder:", "", "Make it", (name) => this.do(this.said, "making…", () => this.files.mkdir(join(this.dir, name))));
  }

  // do does something and tells in a row, and looks again.
  async do(doing, busy, what) {
    doing.say(busy);
    try {
      await what();
      doing.clear();
    } catch (err) {
      if (err.name === "AbortError") doing.clear();
      else doing.fail(line(err.message, 600));
    }
    this.look();
  }
}
