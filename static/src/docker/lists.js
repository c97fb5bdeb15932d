import { el } from "../dom.js";
import { part } from "./engine.js";
import { Doing, Rows, button, cell, table, text } from "./rows.js";
import { line, shortID } from "./words.js";

// Simple is a short list. A row has a name, some words, and "remove".
class Simple {
  constructor(ctx, label, kind, names) {
    Object.assign(this, { engine: ctx.engine, live: ctx.live, kind, empty: ctx.empty });
    const { node, body } = table(label, `simple ${kind}`, ...names, "");
    this.table = node;
    this.rows = new Rows(body, () => new Line(this, names.length));
    ctx.node.append(node);
  }

  paint() {
    const all = this.items();
    this.rows.show(all, (i) => i.key);
    this.table.hidden = !all.length;
    this.empty.hidden = all.length > 0;
  }

  async remove(row) {
    row.doing.say("removing…");
    try {
      await this.engine.call("DELETE", `${this.kind}/${part(row.item.key)}`);
      row.doing.clear();
    } catch (err) {
      if (err.status === 404) row.doing.clear();
      else row.doing.fail(line(err.message, 1000));
    }
    this.live.touch(this.kind);
  }

  actions() {
    return [...this.rows.byKey.values()]
      .filter((r) => !r.item.builtIn)
      .slice(0, 50)
      .map((r) => ({ name: `Remove ${this.one} ${r.item.words[0]}…`, run: () => r.ask(), panel: this.kind }));
  }
}

export class Networks extends Simple {
  constructor(ctx) {
    super(ctx, "Networks", "networks", ["name", "driver", "addresses", "containers"]);
    this.one = "network";
  }

  items() {
    const on = (n) =>
      (this.live.lists.containers ?? []).filter((c) => c.NetworkSettings?.Networks?.[n.Name]).map((c) => line(c.Names?.[0]?.slice(1), 40));
    return (this.live.lists.networks ?? [])
      .map((n) => ({
        key: n.Id,
        builtIn: ["bridge", "host", "none"].includes(n.Name),
        words: [
          line(n.Name, 80) || shortID(n.Id),
          line(n.Driver, 20) + (n.Internal ? ", internal" : ""),
          (n.IPAM?.Config ?? []).map((c) => line(c.Subnet, 50)).join(", "),
          on(n).slice(0, 20).join(", "),
        ],
        sure: "Names of containers in it are no longer found.",
      }))
      .sort((a, b) => Number(a.builtIn) - Number(b.builtIn) || a.words[0].localeCompare(b.words[0]));
  }
}

class Line {
  constructor(view, columns) {
    this.view = view;
    this.doing = new Doing();
    this.cells = Array.from({ length: columns }, (_, i) => cell(i ? "soft" : "what"));
    this.button = button("remove", "", () => this.ask(), "danger");
    this.node = el(
      "div",
      { class: "entry", role: "presentation" },
      el("div", { role: "row", class: "item" }, ...this.cells, cell("acts", this.button)),
      this.doing.node,
    );
  }

  update(item) {
    this.item = item;
    item.words.forEach((w, i) => text(this.cells[i], w));
    this.button.hidden = item.builtIn;
    this.button.setAttribute("aria-label", `Remove ${this.view.one} ${item.words[0]}`);
  }

  ask() {
    this.doing.ask(`${this.item.words[0]}: ${this.item.sure}`, "Remove it", () => this.view.remove(this));
  }
}
