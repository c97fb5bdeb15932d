import { byId } from "../dom.js";
import { stash, take } from "../prefs.js";
import { Pull } from "./pull.js";
import { text } from "./rows.js";

const AT_ONCE = 2; // a browser has six connections to one host

// Pulls are those of this page: the form, what is under way, what waits. A reload goes on with them.
export class Pulls {
  constructor(engine, session, on) {
    this.engine = engine;
    this.key = "pulls." + session;
    this.on = on;
    this.all = [];
    this.field = byId("pull-name");
    this.hint = byId("pull-hint");
    byId("pull-form").addEventListener("submit", (e) => {
      e.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => text(this.hint, ""));
    for (const reference of take(this.key) ?? []) this.add(String(reference));
  }

  // name is what the form says, or "" where that is no image; then it says so.
  name() {
    const name = this.field.value.trim().replace(/^docker\s+pull\s+/, "");
    const wrong = !name ? "Say which image, for example nginx:alpine." : /\s/.test(name) ? "The name of an image has no spaces." : "";
    text(this.hint, wrong);
    if (wrong) this.field.focus();
    return wrong ? "" : name;
  }

  submit() {
    const name = this.name();
    if (!name) return;
    this.field.value = "";
    this.add(name);
  }

  add(reference) {
    if (this.all.some((p) => !p.over && p.reference === reference)) return;
    const pull = new Pull(this.engine, reference, {
      news: this.on.news,
      done: () => {
        this.on.done();
        this.next();
      },
      closed: (p) => (this.all = this.all.filter((other) => other !== p)),
      again: (r) => this.add(r),
    });
    this.all.push(pull);
    byId("pulls").append(pull.node);
    this.next();
  }

  next() {
    const under = this.all.filter((p) => !p.over);
    for (const p of under.slice(0, AT_ONCE)) {
      if (p.abort) continue;
      p.start();
    }
    stash(
      this.key,
      under.map((p) => p.reference),
    );
    this.on.count(under.length);
  }
}
