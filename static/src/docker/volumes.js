import { bytes, el } from "../dom.js";
import { Browser } from "./browser.js";
import { part } from "./engine.js";
import { Doing, Rows, button, cell, table, text } from "./rows.js";
import { line, nameOf, shortID, span, time } from "./words.js";

// A name that is none of Docker's goes into no URL's path: ".." would lead elsewhere.
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const ANONYMOUS = /^[0-9a-f]{64}$/;

export const volumeName = (name) => (ANONYMOUS.test(name) ? shortID(name) : line(name, 80));

// Volumes is the panel with all volumes, and what is in one of them.
export class Volumes {
  constructor(ctx) {
    Object.assign(this, { engine: ctx.engine, live: ctx.live, empty: ctx.empty, node: ctx.node, toContainer: ctx.toContainer, news: ctx.news });
    const { node, body } = table("Volumes", "volumes", "name", "size", "created", "mounted by", "");
    this.table = node;
    this.rows = new Rows(body, () => new Volume(this));
    this.browser = new Browser({ ...ctx, closed: (name) => this.closed(name) });
    this.form = this.makeForm();
    ctx.node.append(this.form, node, this.browser.node);
  }

  makeForm() {
    this.name = el("input", {
      type: "text", id: "volume-name", placeholder: "a name, or none", autocomplete: "off", autocapitalize: "none", spellcheck: "false",
      maxlength: "255", "aria-describedby": "volume-hint",
    });
    this.hint = el("span", { id: "volume-hint", class: "failed", role: "alert" });
    const form = el(
      "form",
      { class: "pull-bar pull-form" },
      el("label", { for: "volume-name" }, "New volume"),
      this.name,
      el("button", { class: "small" }, "create"),
      this.hint,
    );
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.create();
    });
    return form;
  }

  async create() {
    const name = this.name.value.trim();
    if (this.list.some((v) => v.Name === name)) return text(this.hint, `There is a volume ${line(name, 60)} already.`);
    text(this.hint, "");
    try {
      const made = await this.engine.call("POST", "volumes/create", {}, undefined, { Name: name });
      this.name.value = "";
      this.news(`Volume ${volumeName(String(made?.Name))} was made`);
    } catch (err) {
      text(this.hint, line(err.message, 400));
    }
    this.live.touch("volumes");
  }

  get list() {
    return (this.live.lists.volumes?.Volumes ?? []).filter((v) => typeof v?.Name === "string");
  }

  paint() {
    const sizes = new Map((Array.isArray(this.live.lists.sizes) ? this.live.lists.sizes : []).map((s) => [s.name, s]));
    const all = this.list
      .map((v) => ({ volume: v, name: v.Name, words: volumeName(v.Name), more: sizes.get(v.Name), users: this.users(v.Name) }))
      .sort((a, b) => ANONYMOUS.test(a.name) - ANONYMOUS.test(b.name) || a.words.localeCompare(b.words));
    this.rows.show(all, (i) => i.name);
    const inside = this.browser.volume !== null;
    this.form.hidden = inside;
    this.table.hidden = !all.length || inside;
    this.empty.hidden = all.length > 0 || inside;
    if (inside) this.browser.changed(this.list.some((v) => v.Name === this.browser.volume), this.users(this.browser.volume));
  }

  // users are the containers that mount a volume, once for each place.
  users(name) {
    return (this.live.lists.containers ?? []).flatMap((c) =>
      (c.Mounts ?? [])
        .filter((m) => m.Type === "volume" && m.Name === name)
        .map((m) => ({ id: c.Id, name: nameOf(c), at: line(m.Destination, 120), rw: m.RW !== false, running: c.State === "running" })),
    );
  }

  setVisible(on) {
    this.browser.setVisible(on);
  }

  browse(name) {
    if (!NAME.test(name)) return;
    this.browser.open(name);
    this.paint();
  }

  closed(name) {
    this.paint();
    (this.rows.byKey.get(name)?.opener ?? this.node).focus();
  }

  async remove(row) {
    row.doing.say("removing…");
    try {
      await this.engine.call("DELETE", `volumes/${part(row.item.name)}`);
      row.doing.clear();
    } catch (err) {
      if (err.status === 404) row.doing.clear();
      else row.doing.fail(line(err.message, 1000));
    }
    this.live.touch("volumes");
  }

  actions() {
    const rows = [...this.rows.byKey.values()].slice(0, 50);
    const make = () => {
      this.browser.close();
      this.name.focus();
    };
    return [{ name: "Create a volume…", run: make, panel: "volumes" }, ...rows.flatMap((r) => [
      { name: `Browse volume ${r.item.words}`, run: () => this.browse(r.item.name), panel: "volumes" },
      {
        name: `Remove volume ${r.item.words}…`,
        panel: "volumes",
        run: () => {
          this.browser.close();
          r.ask();
        },
      },
    ])];
  }
}

class Volume {
  constructor(view) {
    this.view = view;
    this.doing = new Doing();
    this.name = el("strong");
    this.special = el("span", { class: "tag soft" });
    this.opener = el("button", { type: "button", class: "opener into", onclick: () => view.browse(this.item.name) }, el("span", {}, this.name, this.special));
    this.size = cell("figure size");
    this.created = cell("soft created");
    this.users = cell("users");
    this.browse = button("browse", "", () => view.browse(this.item.name));
    this.remove = button("remove", "", () => this.ask(), "danger");
    this.node = el(
      "div",
      { class: "entry", role: "presentation" },
      el("div", { role: "row", class: "item" }, cell("what", this.opener), this.size, this.created, this.users, cell("acts", this.browse, this.remove)),
      this.doing.node,
    );
  }

  update(item) {
    this.item = item;
    const { volume, words, more, users } = item;
    text(this.name, words);
    this.opener.disabled = this.browse.hidden = !NAME.test(item.name);
    const o = volume.Options ?? {};
    text(this.special, o.type === "tmpfs" ? "in memory" : o.type ? line(o.device, 60) : "");
    this.opener.setAttribute("aria-label", `Browse volume ${words}`);
    this.browse.setAttribute("aria-label", `Look into volume ${words}`);
    this.remove.setAttribute("aria-label", `Remove volume ${words}`);
    text(this.size, more ? sizeOf(more) : "");
    text(this.created, Number.isNaN(time(volume.CreatedAt)) ? "" : span(time(volume.CreatedAt)) + " ago");
    const key = JSON.stringify(users);
    if (key === this.drawn) return;
    this.drawn = key;
    const shown = users.slice(0, 12).map((u) =>
      el(
        "button",
        { type: "button", class: "small link-like", title: `${u.at}${u.rw ? "" : ", read only"}`, "aria-label": `Container ${u.name}`, onclick: () => this.view.toContainer(u.id) },
        u.name + (u.rw ? "" : " (ro)"),
      ),
    );
    this.users.replaceChildren(...shown);
    if (users.length > 12) this.users.append(el("span", { class: "soft" }, `and ${users.length - 12} more`));
  }

  ask() {
    this.doing.ask(`${this.item.words}: the files in it are deleted. This cannot be undone.`, "Remove it", () => this.view.remove(this));
  }
}

function sizeOf(more) {
  if (more.hidden) return "";
  return Number.isFinite(more.size) && more.size !== null ? bytes(more.size) : "very many files";
}
