import { el } from "../dom.js";
import { act, allowed, askRemove } from "./actions.js";
import { Container } from "./container.js";
import { Logs } from "./logs.js";
import { Rows, table } from "./rows.js";
import { Stats } from "./stats.js";
import { nameOf, typable } from "./words.js";

const INSPECT_EVERY = 25; // ms between inspections: a hundred containers are no burst
const TICK = 10_000; // ms: "4 min" becomes "5 min"

// Containers is the panel with all containers, and the logs of one of them.
export class Containers {
  constructor(ctx) {
    Object.assign(this, {
      engine: ctx.engine,
      live: ctx.live,
      tabs: ctx.tabs,
      shellFirst: ctx.toShell,
      session: ctx.session.id,
      limits: ctx.session.limits,
      whatChanged: ctx.whatChanged,
    });
    this.node = ctx.node;
    this.seen = new Map(); // inspections
    this.queue = [];
    const { node, body } = table("Containers", "containers", "name", "state", "ports", "cpu", "memory", "");
    this.table = node;
    this.empty = ctx.empty;
    this.rows = new Rows(body, () => new Container(this));
    this.stats = new Stats(this.engine, (id, reading) => this.rows.byKey.get(id)?.use(reading));
    this.logs = new Logs(this);
    this.node.append(this.table, this.logs.node);
    setInterval(() => this.visible && this.rows.byKey.forEach((r) => r.paint()), TICK);
  }

  get list() {
    return (this.live.lists.containers ?? []).filter((c) => typeof c?.Id === "string");
  }

  setVisible(on) {
    this.visible = on;
    this.watch();
    this.logs.setVisible(on);
  }

  // paint shows the list as it is now.
  paint() {
    const all = this.list;
    this.rows.show(all, (c) => c.Id);
    const ids = new Set(all.map((c) => c.Id));
    for (const id of this.seen.keys()) if (!ids.has(id)) this.seen.delete(id);
    for (const id of ids) if (!this.seen.has(id)) this.inspect(id);
    const reading = Boolean(this.logs.item);
    this.table.hidden = !all.length || reading;
    this.empty.hidden = all.length > 0 || reading;
    this.logs.changed();
    this.watch();
  }

  watch() {
    const running = this.visible && !this.logs.item ? this.list.filter((c) => c.State === "running").map((c) => c.Id) : [];
    this.stats.watch(running);
  }

  inspected(id) {
    return this.seen.get(id);
  }

  // inspect asks for what the list does not say: limits, times, exit status.
  inspect(id) {
    if (!this.queue.includes(id)) this.queue.push(id);
    if (!this.inspecting) this.work();
  }

  async work() {
    this.inspecting = true;
    for (let id; (id = this.queue.shift());) {
      try {
        this.seen.set(id, await this.engine.get(`containers/${encodeURIComponent(id)}/json`));
        this.rows.byKey.get(id)?.paint();
      } catch {
        // It has gone meanwhile, or the link is down: the next list brings it again.
      }
      await new Promise((done) => setTimeout(done, INSPECT_EVERY));
    }
    this.inspecting = false;
  }

  // happened: an event makes what was inspected old.
  happened(e) {
    if (e.type === "container" && this.rows.byKey.has(e.id)) this.inspect(e.id);
    this.logs.happened(e);
  }

  shell(c) {
    const name = typable(nameOf(c), c.Id);
    if (!name) return;
    this.shellFirst();
    this.tabs.run(`docker exec -it ${name} sh -c 'command -v bash >/dev/null && exec bash || exec sh'`);
  }

  // reveal shows one container's details.
  reveal(id) {
    if (this.logs.item) this.closeLogs();
    const row = this.rows.byKey.get(id);
    if (!row) return;
    row.toggle(true);
    row.node.scrollIntoView({ block: "nearest" });
    row.opener.focus();
  }

  openLogs(c) {
    this.logs.open(c);
    this.paint();
  }

  closeLogs() {
    const id = this.logs.item?.Id;
    this.logs.close();
    this.paint();
    (this.rows.byKey.get(id)?.opener ?? this.node).focus();
  }

  // actions are for the palette.
  actions() {
    return this.list.slice(0, 50).flatMap((c) => {
      const row = this.rows.byKey.get(c.Id),
        name = nameOf(c);
      if (!row) return [];
      const running = c.State === "running";
      return [
        running && typable(name, c.Id) && { name: `Shell in ${name}`, run: () => this.shell(c) },
        { name: `Logs of ${name}`, run: () => this.openLogs(c), panel: "containers" },
        ...["start", "stop", "restart", "pause", "unpause", "kill"]
          .filter((a) => allowed(a, c.State))
          .map((a) => ({ name: `${a[0].toUpperCase()}${a.slice(1)} ${name}`, run: () => act(this, row, a), panel: "containers" })),
        { name: `Remove ${name}…`, run: () => this.remove(row), panel: "containers" },
      ].filter(Boolean);
    });
  }

  remove(row) {
    if (this.logs.item) this.closeLogs();
    row.node.scrollIntoView({ block: "nearest" });
    askRemove(this, row);
  }
}

// emptyText is what the panel says where there is no container.
export function emptyText(type) {
  const command = "docker run -d -p 8080:80 nginx";
  return el(
    "p",
    { class: "none-yet" },
    "No containers yet. Start one in the shell, for example ",
    el("button", { type: "button", class: "small mono", title: "Type this into the shell", onclick: () => type(command) }, command),
  );
}
