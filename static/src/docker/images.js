import { byId, bytes, el } from "../dom.js";
import { Inspector } from "./inspect/inspector.js";
import { Pulls } from "./pulls.js";
import { Doing, Rows, button, cell, facts, table, text, wide } from "./rows.js";
import { part } from "./engine.js";
import { Remote } from "./remote.js";
import { line, shortID, span, time, typable } from "./words.js";

// Images is the panel with all images: a row for each name, as `docker images` has it.
export class Images {
  constructor(ctx) {
    Object.assign(this, { engine: ctx.engine, live: ctx.live, type: ctx.type, node: ctx.node });
    const { node, body } = table("Images", "images", "name", "id", "size", "created", "used by", "");
    this.table = node;
    this.empty = ctx.empty;
    this.total = byId("images-total");
    this.rows = new Rows(body, () => new Image(this));
    ctx.node.append(node);
    this.pulls = new Pulls(this.engine, ctx.session.id, {
      news: ctx.news,
      count: ctx.pulling,
      done: () => ["images", "usage"].forEach((k) => this.live.touch(k)),
    });
    this.inspector = new Inspector(
      ctx,
      () => this.named(),
      () => this.uncover(),
    );
    this.remote = new Remote(
      ctx,
      (reference) => this.pulls.add(reference),
      () => this.uncover(),
    );
    ctx.node.append(this.inspector.node, this.remote.node);
    const look = button("look first", "Look at its tags and sizes before it is pulled", () => {
      const name = this.pulls.name();
      if (!name) return;
      this.cover(look);
      this.remote.look(name);
    });
    byId("pull-form").querySelector("button").after(look);
  }

  // named are all images with what to call them.
  named() {
    return entries(this.live.lists.images ?? []).map((i) => ({ id: i.image.Id, name: i.name }));
  }

  // cover has the inspector in the place of the list. back: what has the focus again when it goes.
  cover(back) {
    this.backTo = back;
    if (!this.inspector.node.hidden) this.inspector.close();
    if (!this.remote.node.hidden) this.remote.close();
    this.backTo = back;
    this.node.classList.add("covered");
  }

  uncover() {
    this.node.classList.remove("covered");
    const again = this.backTo?.isConnected ? this.backTo : this.node;
    this.backTo = null;
    again.focus();
  }

  // inspect opens the inspector. image: a name or an ID; layer: the index of one of its layers.
  inspect({ image, name = image, layer }, back = document.activeElement) {
    this.cover(back);
    this.inspector.open(image, { name, layer });
  }

  paint() {
    const all = entries(this.live.lists.images ?? []);
    this.used = new Map();
    for (const c of this.live.lists.containers ?? []) this.used.set(c.ImageID, (this.used.get(c.ImageID) ?? 0) + 1);
    this.rows.show(all, (i) => i.key);
    this.table.hidden = !all.length;
    this.empty.hidden = all.length > 0;
    const usage = this.live.lists.usage,
      size = usage?.ImageUsage?.TotalSize ?? usage?.LayersSize;
    text(this.total, size >= 0 && all.length ? `${bytes(size)} of the disk` : "");
  }

  async remove(row, force) {
    if (row.busy) return;
    row.busy = true;
    row.doing.say("removing…");
    try {
      await this.engine.call("DELETE", `images/${part(row.item.call)}`, force ? { force: 1 } : {});
      row.doing.clear();
    } catch (err) {
      const more =
        /must (be )?force/i.test(err.message) &&
        !force &&
        button("remove anyway", `Remove ${row.item.name} anyway`, () => this.remove(row, true), "danger");
      if (err.status === 404) row.doing.clear();
      else row.doing.fail(line(err.message, 1000), more || "");
    }
    row.busy = false;
    this.live.touch("images");
    this.live.touch("usage");
  }

  actions() {
    return [...this.rows.byKey.values()]
      .slice(0, 50)
      .flatMap((row) => [
        { name: `Inspect ${row.item.name}`, run: () => row.inspect(), panel: "images" },
        row.command() && { name: `Run ${row.item.name}`, run: () => this.type(row.command()) },
        { name: `Remove image ${row.item.name}…`, run: () => row.ask(), panel: "images" },
      ])
      .filter(Boolean);
  }
}

// entries makes one entry of each name. call: what the API is asked for it.
function entries(images) {
  return images
    .flatMap((i) => {
      const tags = (i.RepoTags ?? []).filter((t) => t && t !== "<none>:<none>");
      const names = tags.length ? tags : [""];
      return names.map((tag) => ({ image: i, tag, key: tag + " " + i.Id, call: tag || i.Id, name: line(tag, 120) || shortID(i.Id) }));
    })
    .sort((a, b) => (b.image.Created || 0) - (a.image.Created || 0) || a.key.localeCompare(b.key));
}

class Image {
  constructor(view) {
    this.view = view;
    this.doing = new Doing();
    this.title = el("strong");
    this.tag = el("span", { class: "tag soft" });
    this.opener = el(
      "button",
      { type: "button", class: "opener", "aria-expanded": "false", onclick: () => this.toggle() },
      el("span", {}, this.title, this.tag),
    );
    this.id = cell("mono soft id");
    this.size = el("span", { class: "value" });
    this.unique = el("span", { class: "soft" });
    this.created = cell("soft created");
    this.used = cell("soft used");
    this.look = button("inspect", "", () => this.inspect());
    this.run = button("run", "", () => this.view.type(this.command()));
    this.remove = button("remove", "", () => this.ask(), "danger");
    this.inner = el("div", { role: "cell", class: "opened" });
    this.details = wide(this.inner);
    this.node = el(
      "div",
      { class: "entry", role: "presentation" },
      el(
        "div",
        { role: "row", class: "item" },
        cell("what", this.opener),
        this.id,
        cell("figure size", this.size, " ", this.unique),
        this.created,
        this.used,
        cell("acts", this.look, this.run, this.remove),
      ),
      this.doing.node,
      this.details,
    );
  }

  command() {
    const name = typable(this.item.tag, this.item.image.Id);
    return name && `docker run -it --rm ${name}`;
  }

  update(item) {
    this.item = item;
    const { image, tag, name } = item,
      colon = tag.lastIndexOf(":");
    text(this.title, tag ? line(colon > tag.lastIndexOf("/") ? tag.slice(0, colon) : tag, 120) : "no name");
    text(this.tag, tag && colon > tag.lastIndexOf("/") ? ":" + line(tag.slice(colon + 1), 60) : "");
    this.opener.setAttribute("aria-label", `${tag ? name : `no name, ${name}`}: details`);
    text(this.id, shortID(image.Id));
    text(this.size, image.Size >= 0 ? bytes(image.Size) : "");
    const shared = image.SharedSize > 0 ? image.SharedSize : 0;
    text(this.unique, shared ? `${bytes(Math.max(0, image.Size - shared))} its own, ${bytes(shared)} shared` : "");
    const age = span(image.Created * 1000);
    text(this.created, image.Created > 0 ? `${age} ago` : "");
    const n = this.view.used.get(image.Id) ?? 0;
    text(this.used, n ? `${n} container${n > 1 ? "s" : ""}` : "");
    this.run.hidden = !this.command();
    this.run.setAttribute("aria-label", `Type docker run ${name} into the shell`);
    this.run.title = this.command();
    this.look.setAttribute("aria-label", `Inspect ${name}`);
    this.remove.setAttribute("aria-label", `Remove ${name}`);
  }

  inspect() {
    this.view.inspect({ image: this.item.call, name: this.item.name }, this.look);
  }

  ask() {
    this.doing.ask(`${this.item.name} can be pulled or built again; what is only here is lost.`, `Remove ${this.item.name}`, () =>
      this.view.remove(this),
    );
  }

  async toggle(open = this.details.hidden) {
    this.details.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    this.inner.replaceChildren(el("p", { class: "soft" }, "looking…"));
    try {
      this.inner.replaceChildren(about(await this.view.engine.get(`images/${part(this.item.call)}/json`)));
    } catch (err) {
      this.inner.replaceChildren(el("p", { class: "failed" }, line(err.message)));
    }
  }
}

function about(i) {
  const c = i.Config ?? {},
    quote = (all) => (all ?? []).map((a) => (/^[\w./:=@%+-]+$/.test(a) ? a : JSON.stringify(String(a)))).join(" ");
  const many = (all) =>
    all
      .slice(0, 30)
      .map((x) => line(x, 160))
      .join("\n");
  return facts([
    ["id", line(i.Id)],
    ["digests", many(i.RepoDigests ?? [])],
    ["platform", line([i.Os, i.Architecture, i.Variant].filter(Boolean).join("/"), 60)],
    ["layers", i.RootFS?.Layers ? String(i.RootFS.Layers.length) : ""],
    ["made", Number.isNaN(time(i.Created)) ? "" : new Date(i.Created).toLocaleString()],
    ["entrypoint", line(quote(c.Entrypoint))],
    ["command", line(quote(c.Cmd))],
    ["works in", line(c.WorkingDir)],
    ["user", line(c.User)],
    [
      "exposes",
      Object.keys(c.ExposedPorts ?? {})
        .slice(0, 30)
        .map((p) => line(p, 20))
        .join(", "),
    ],
    ["volumes", many(Object.keys(c.Volumes ?? {}))],
    ["environment", many(c.Env ?? [])],
  ]);
}
