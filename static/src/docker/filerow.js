import { bytes, el } from "../dom.js";
import { join } from "./files.js";
import { preview } from "./preview.js";
import { Doing, button, cell, text, wide } from "./rows.js";
import { explanation } from "./why.js";
import { line, span, time } from "./words.js";

const KINDS = { file: "", directory: "folder", symlink: "link", device: "device", pipe: "pipe", socket: "socket" };

// FileRow is one file of a volume: what it is, whose it is, what can be done to it.
export class FileRow {
  constructor(browser) {
    this.browser = browser;
    this.doing = new Doing();
    this.name = el("strong");
    this.target = el("span", { class: "tag soft" });
    this.opener = el("button", { type: "button", class: "opener", onclick: () => this.open() }, el("span", {}, this.name, this.target));
    this.size = cell("figure size");
    this.mode = el("span", { class: "mono" });
    this.stuck = el("button", { type: "button", class: "small stuck", "aria-expanded": "false", onclick: () => this.toggle("why") }, "not writable");
    this.owner = cell("owner");
    this.changed = cell("soft changed");
    this.download = el("a", { class: "button small", download: "" }, "↓");
    this.rename = button("rename", "", () => this.askRename());
    this.remove = button("delete", "", () => this.askRemove(), "danger");
    this.inner = el("div", { role: "cell", class: "opened" });
    this.details = wide(this.inner);
    this.node = el(
      "div",
      { class: "entry", role: "presentation" },
      el(
        "div",
        { role: "row", class: "item" },
        cell("what", this.opener),
        this.size,
        cell("mode", this.mode, this.stuck),
        this.owner,
        this.changed,
        cell("acts", this.download, this.rename, this.remove),
      ),
      this.doing.node,
      this.details,
    );
  }

  get path() {
    return join(this.browser.dir, this.item.name);
  }

  update(item) {
    const before = this.item;
    this.item = item;
    const name = line(item.name, 120) || "(a name of blanks)",
      kind = KINDS[item.type] ?? "other",
      dir = item.type === "directory";
    text(this.name, name + (dir ? "/" : ""));
    text(this.target, item.target && item.type === "symlink" ? `→ ${line(item.target, 120)}` : "");
    const nameless = Boolean(item.encoded) || /\ufffd|\/|^\.{0,2}$/.test(item.name); // not UTF-8, or no name: it does not come back as it was
    this.opener.disabled = nameless || (!dir && item.type !== "file");
    this.opener.classList.toggle("into", dir);
    this.opener.setAttribute("aria-label", dir ? `${name}, folder: open` : `${name}${kind && ", " + kind}: show`);
    text(this.size, item.type === "file" ? bytes(Math.max(0, Number(item.size) || 0)) : kind);
    text(this.mode, line(item.mode, 16).replace(/^L/, "l")); // as ls(1) writes a link's
    text(this.owner, `${who(item.uid, item.owner)} : ${who(item.gid, item.group)}`);
    this.owner.title = `owner ${item.uid}, group ${item.gid}`;
    const at = time(item.mod_time);
    text(this.changed, Number.isNaN(at) ? "" : `${span(at)} ago`);
    this.changed.title = Number.isNaN(at) ? "" : new Date(at).toLocaleString();
    this.stuck.hidden = !item.why || item.why === this.browser.view?.directory?.why;
    this.stuck.setAttribute("aria-label", `Why ${name} is not writable`);
    this.rename.hidden = this.remove.hidden = nameless;
    this.download.hidden = nameless || (!dir && item.type !== "file");
    this.download.href = this.browser.files.url(this.path, dir ? { archive: "tar" } : {});
    this.download.setAttribute("aria-label", dir ? `Download ${name} as a tar` : `Download ${name}`);
    this.rename.setAttribute("aria-label", `Rename ${name}`);
    this.remove.setAttribute("aria-label", `Delete ${name}`);
    const same = before && before.size === item.size && before.mod_time === item.mod_time && before.why === item.why && before.type === item.type;
    if (!same && this.opened) this.paint();
  }

  open() {
    if (this.item.type === "directory") {
      this.browser.enter(this.path);
      return;
    }
    this.toggle("content");
  }

  toggle(what) {
    this.opened = this.opened === what ? "" : what;
    this.reading?.abort();
    this.details.hidden = !this.opened;
    this.opener.setAttribute("aria-expanded", String(this.opened === "content"));
    this.stuck.setAttribute("aria-expanded", String(this.opened === "why"));
    if (this.opened) this.paint();
  }

  async paint() {
    this.reading?.abort();
    if (this.opened === "why") {
      const all = this.item.why ? explanation(line(this.item.why, 1000), this.item.fix, this.browser.ctx.type) : [el("span", {}, "It can be written now.")];
      this.inner.replaceChildren(el("div", { class: "why" }, ...all));
      return;
    }
    const reading = (this.reading = new AbortController());
    if (!this.inner.querySelector(".preview")) this.inner.replaceChildren(el("p", { class: "soft" }, "reading…"));
    try {
      const shown = await preview(this.browser.files, this.path, this.item, reading.signal);
      if (!reading.signal.aborted) this.inner.replaceChildren(shown);
    } catch (err) {
      if (err.name !== "AbortError") this.inner.replaceChildren(el("p", { class: "failed" }, line(err.message, 400)));
    }
  }

  askRename() {
    this.browser.askName(this.doing, "New name:", this.item.name, "Rename", (name) => {
      if (name === this.item.name) return this.doing.clear();
      this.browser.do(this.doing, "renaming…", () => this.browser.files.rename(this.path, join(this.browser.dir, name)));
    });
  }

  askRemove() {
    const name = line(this.item.name, 120);
    const words = this.item.type === "directory" ? `${name}: the folder and all that is in it are deleted.` : `${name} is deleted.`;
    this.doing.ask(`${words} This cannot be undone.`, `Delete ${name}`, () =>
      this.browser.do(this.doing, "deleting…", () => this.browser.files.remove(this.path)),
    );
  }

  gone() {
    this.reading?.abort();
  }
}

const who = (id, name) => (name ? `${line(name, 32)} (${Number(id)})` : String(Number(id)));
