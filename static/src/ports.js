import { portURL } from "./docker/words.js";
import { byId, el } from "./dom.js";

const EVERY = 2000; // ms
const MOST = 8; // chips; a program that opens hundreds does not push the rest of the page away

// Ports are the TCP ports on which the session's programs listen, as links. They come and go by themselves while the page is
// seen: nobody is asked when nobody looks.
export class Ports {
  constructor(session, api) {
    this.session = session;
    this.api = api;
    this.root = byId("ports");
    this.chips = new Map();
    this.more = el("span", { class: "more" });
    document.addEventListener("visibilitychange", () => this.look());
  }

  start() {
    this.running = true;
    this.look();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
  }

  async look() {
    clearTimeout(this.timer);
    if (!this.running || this.looking || document.hidden) return;
    this.looking = true;
    try {
      this.show(await this.api.ports());
    } catch (err) {
      if (err.status === 404) this.stop(); // a machine of an earlier version, or none any more
    }
    this.looking = false;
    if (this.running) this.timer = setTimeout(() => this.look(), EVERY);
  }

  show(found) {
    const shown = [...found].sort((a, b) => a.port - b.port).slice(0, MOST);
    for (const [port, chip] of this.chips) {
      if (shown.some((p) => p.port === port)) continue;
      chip.remove();
      this.chips.delete(port);
    }
    let before = null;
    for (const p of shown) {
      const chip = this.chips.get(p.port) ?? this.chip(p);
      if (before ? before.nextSibling !== chip : this.root.firstChild !== chip) this.root.insertBefore(chip, before ? before.nextSibling : this.root.firstChild);
      before = chip;
    }
    const rest = found.length - shown.length;
    this.more.textContent = rest > 0 ? `and ${rest} more` : "";
    this.root.append(this.more);
    this.root.hidden = found.length === 0;
  }

  // actions are for the palette.
  actions() {
    return [...this.chips].filter(([, chip]) => chip.href).map(([port, chip]) => ({ name: `Open port ${port}`, run: () => chip.click() }));
  }

  chip({ port, process }) {
    const href = portURL(port, this.session.id), what = `Port ${port}` + (process ? ` (${process})` : "");
    const chip = href
      ? el("a", { href, target: "_blank", rel: "noopener noreferrer", title: `Open ${what.toLowerCase()} in a new tab` }, `${port} ↗`)
      : el("span", { title: `${what}. Open this page under a host name, not an address, to reach it.` }, String(port));
    this.chips.set(port, chip);
    return chip;
  }
}
