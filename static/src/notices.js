import { byId, el } from "./dom.js";

const MOST = 3;
const ROOM = 0.05; // of the disk: with more than that left the server takes it for no longer full (sessions, roomAgain)

// Notices stand in a row of their own above the shell, never over it. A newer one of a kind replaces the older.
export class Notices {
  constructor() {
    this.box = byId("notices");
    this.byKind = new Map();
  }

  // action, where there is one, is what the visitor can do about it: {name, run}.
  show(kind, text, action) {
    this.hide(kind);
    const row = el("div", { class: `notice ${kind === "good" ? "good" : ""}` }, el("span", {}, text),
      action && el("button", { type: "button", onclick: action.run }, action.name),
      el("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => this.hide(kind) }, "×"));
    this.byKind.set(kind, row);
    this.box.append(row);
    if (this.byKind.size > MOST) this.hide(this.byKind.keys().next().value);
  }

  // settle takes away what is true no more: a disk that has room again. usage, limits: the server's.
  settle(usage, limits) {
    if (usage.disk_free > ROOM * limits.disk_bytes) this.hide("disk");
    if (usage.inodes_free > ROOM * limits.disk_inodes) this.hide("inodes");
  }

  clear() {
    for (const kind of [...this.byKind.keys()]) this.hide(kind);
  }

  hide(kind) {
    this.byKind.get(kind)?.remove();
    this.byKind.delete(kind);
  }
}
