import { byId, el } from "./dom.js";
import { portURL } from "./porturl.js";
import { plain } from "./terminal.js";

const EVERY = 10_000, FAILED = 30_000; // ms
const STIRRED = [400, 2500]; // ms after something has moved: a server listens soon, or after it has loaded
const MOST = 8; // chips

// Ports are those on which the machine's programs listen, as links: they appear by themselves soon after something was
// started in a shell. Nothing is asked while nobody looks.
export class Ports {
  constructor(session, api) {
    this.session = session;
    this.api = api;
    this.node = byId("ports");
    this.shown = "";
    this.known = [];
    document.addEventListener("visibilitychange", () => this.ready && this.look());
  }

  start() {
    this.ready = true;
    this.look();
  }

  stop() {
    this.ready = false;
    clearTimeout(this.timer);
    clearTimeout(this.soon);
    clearTimeout(this.later);
  }

  // stir: a shell has said something. A flood of output is one such moment.
  stir() {
    if (!this.ready || document.hidden) return;
    this.soon ??= setTimeout(() => {
      this.soon = undefined;
      this.look();
    }, STIRRED[0]);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.look(), STIRRED[1]);
  }

  async look() {
    clearTimeout(this.timer);
    if (!this.ready || document.hidden || this.asking) return;
    this.asking = true;
    let wait = EVERY;
    try {
      this.show(await this.api.ports());
    } catch {
      wait = FAILED; // the shell's own link says that the machine is away
    }
    this.asking = false;
    if (this.ready) this.timer = setTimeout(() => this.look(), wait);
  }

  show(found) {
    const all = new Map();
    for (const p of Array.isArray(found) ? found : []) {
      if (Number.isInteger(p?.port) && p.port > 0 && p.port < 65536) all.set(p.port, plain(String(p.process ?? "")));
    }
    this.known = [...all].sort((a, b) => a[0] - b[0]).map(([port, process]) => ({ port, process, href: portURL(port, this.session.id) }));
    const drawn = JSON.stringify(this.known);
    if (drawn === this.shown) return;
    this.shown = drawn;
    const had = this.node.contains(document.activeElement) && document.activeElement.href;
    const more = this.known.length - MOST;
    this.node.replaceChildren(...this.known.slice(0, MOST).map(chip), more > 0 ? el("span", { class: "soft" }, `and ${more} more`) : "");
    if (had) [...this.node.children].find((c) => c.href === had)?.focus();
  }

  actions() {
    return this.known.filter((p) => p.href).map((p) => ({ name: `Open port ${p.port}`, run: () => window.open(p.href, "_blank", "noopener") }));
  }
}

function chip({ port, process, href }) {
  const of = process ? ` of ${process}` : "";
  const name = el("span", { class: "unseen" }, "port ");
  if (!href) return el("span", { class: "chip", title: `Port ${port}${of} answers. Open this page under a host name to reach it.` }, name, String(port));
  const attributes = { class: "chip", href, target: "_blank", rel: "noopener noreferrer", title: `Open port ${port}${of}` };
  return el("a", attributes, name, String(port), el("span", { "aria-hidden": "true" }, " ↗"));
}
