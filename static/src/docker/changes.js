import { bytes, el } from "../dom.js";
import { ChangeTree } from "./changetree.js";
import { Keep } from "./keep.js";
import { button, text } from "./rows.js";
import { line, nameOf } from "./words.js";

const EVERY = 2000; // ms between two looks at a container that runs
const LOAD = 20; // a look that took n ms is not repeated within LOAD × n: one of 40,000 files takes 200 ms of a CPU
const MOST = 2000; // paths that are drawn
const SETTLE = 300; // ms: a filter is being typed, events come in bursts

// Changes is the panel with what one container has changed of its image's files, as it goes on.
export class Changes {
  constructor(ctx) {
    Object.assign(this, { engine: ctx.engine, live: ctx.live, node: ctx.node, empty: ctx.empty });
    this.pick = el("select", { "aria-label": "Container", onchange: () => this.choose(this.pick.value) });
    this.filter = el("input", { type: "search", placeholder: "filter", "aria-label": "Only paths with this text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    this.filter.addEventListener("input", () => {
      this.tag = "";
      this.plan(SETTLE);
    });
    this.figures = el("span", { class: "soft figures", role: "status" });
    this.keep = new Keep(this, ctx);
    this.said = el("p", { class: "none-yet", role: "status" });
    this.tree = new ChangeTree();
    this.bar = el(
      "div",
      { class: "log-bar changes-bar" },
      this.pick,
      this.filter,
      this.figures,
      el("span", { class: "acts" }, button("keep as image", "Keep this container's files as an image", () => this.keep.toggle())),
    );
    this.view = el("div", { class: "changes", hidden: true }, this.bar, this.keep.node, this.said, this.tree.node);
    ctx.node.append(this.view);
    document.addEventListener("visibilitychange", () => this.plan(0));
  }

  get list() {
    return (this.live.lists.containers ?? []).filter((c) => typeof c?.Id === "string");
  }

  get item() {
    return this.list.find((c) => c.Id === this.id);
  }

  // paint shows the containers as they are now: those that run first.
  paint() {
    const all = [...this.list].sort((a, b) => (b.State === "running") - (a.State === "running"));
    this.view.hidden = !all.length;
    this.empty.hidden = all.length > 0;
    const words = (c) => `${nameOf(c)}${c.State === "running" ? "" : ` (${line(c.State, 12)})`}`;
    const key = JSON.stringify(all.map((c) => [c.Id, words(c)]));
    if (key !== this.drawn) this.pick.replaceChildren(...all.map((c) => el("option", { value: c.Id }, words(c))));
    this.drawn = key;
    if (!this.item && all.length) this.choose(all[0].Id);
    this.pick.value = this.id ?? "";
  }

  choose(id) {
    this.id = id;
    this.tag = "";
    this.keep.close();
    this.tree.clear();
    text(this.figures, "");
    text(this.said, "looking…");
    this.said.hidden = false;
    this.plan(0);
  }

  // open shows one container's.
  open(id) {
    this.filter.value = "";
    this.choose(id);
    this.paint();
    this.pick.focus();
  }

  setVisible(on) {
    this.visible = on;
    this.plan(0);
  }

  // happened: what a container does may change its files.
  happened(e) {
    if (e.type === "container" && e.id === this.id) this.plan(SETTLE);
  }

  plan(after) {
    clearTimeout(this.timer);
    if (this.visible && !document.hidden && this.id) this.timer = setTimeout(() => this.look(), after);
  }

  async look() {
    const turn = (this.turn = (this.turn ?? 0) + 1),
      began = performance.now();
    const query = { container: this.id, limit: MOST, filter: this.filter.value };
    try {
      const signal = AbortSignal.timeout(20_000);
      const res = await this.engine.fetch("GET", "/changes", query, signal, { headers: this.tag ? { "If-None-Match": this.tag } : {}, cache: "no-store" });
      const found = res.status === 304 ? null : await res.json();
      if (turn !== this.turn) return;
      if (found) this.show(found);
      this.tag = res.headers.get("ETag") ?? "";
    } catch (err) {
      if (turn !== this.turn) return;
      this.tag = "";
      text(this.said, line(err.message, 400));
      this.said.hidden = false;
    }
    if (this.item?.State === "running") this.plan(Math.max(EVERY, LOAD * (performance.now() - began)));
  }

  show(found) {
    const parts = [
      [found.added, "added"],
      [found.changed, "changed"],
      [found.removed, "removed"],
    ].filter(([n]) => n > 0);
    text(this.figures, parts.length ? `${parts.map(([n, word]) => `${n} ${word}`).join(", ")} · ${bytes(found.bytes)}` : "");
    const said = found.more
      ? `The first ${found.changes.length} of ${found.total} paths are shown: narrow them with the filter.`
      : found.total
        ? ""
        : this.filter.value
          ? "No path that has changed contains that."
          : "Nothing has changed: its files are those of its image.";
    text(this.said, said);
    this.said.hidden = !said;
    this.tree.show(found.changes);
  }

  actions() {
    return this.list.slice(0, 50).map((c) => ({ name: `What changed in ${nameOf(c)}`, run: () => this.open(c.Id), panel: "changes" }));
  }
}
