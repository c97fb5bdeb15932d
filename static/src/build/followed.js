import { Model } from "./model.js";

// Followed are the builds whose events are read: the one that is shown, and one that it is compared with. At most one
// connection is open for them at a time; what runs comes first, and what has ended is read while somebody looks.
export class Followed {
  // on: as of Model; seen: whether somebody looks
  constructor(client, on) {
    this.client = client;
    this.on = on;
    this.model = this.other = null;
    this.seen = false;
  }

  show(build) {
    this.model?.stream.stop();
    this.model = build && this.follow(build);
    this.hold();
  }

  compare(build) {
    this.other?.stream.stop();
    this.other = build && this.follow(build);
    this.hold();
  }

  follow(build) {
    return new Model(this.client, build, { ...this.on, state: (m) => this.linked(m) });
  }

  linked(model) {
    if (model.link === "gone" && model.running) model.head = { ...model.head, state: "cancelled" };
    this.hold();
    this.on.state(model);
  }

  hold() {
    const open = [this.model, this.other].filter((m) => m && !m.complete),
      next = open.find((m) => m.running) ?? (this.seen ? open[0] : null);
    for (const m of open) if (m !== next) m.stream.rest();
    next?.stream.start();
  }

  stop() {
    for (const m of [this.model, this.other]) m?.stream.stop();
  }
}
