import { el } from "../dom.js";
import { button, text } from "../docker/rows.js";
import { shortID, typable } from "../docker/words.js";
import { setIcon } from "./icons.js";
import { called, instruction, many, size, spent, took } from "./words.js";

// Strip is one line about the build that is shown: how far it is, what came of it, what can be done.
export class Strip {
  // on: {cancel(), run(command), look(image), warnings()}; log(id): where the whole log is
  constructor(skew, log, on) {
    this.log = log;
    this.skew = skew;
    this.on = on;
    this.mark = el("span", { class: "mark" });
    this.title = el("strong");
    this.words = el("span", { class: "figures" });
    this.link = el("span", { class: "soft relink", role: "status" });
    this.cancel = button("cancel", "Cancel the build", () => this.on.cancel(), "danger");
    this.warnings = button("", "", () => this.on.warnings(), "warn");
    this.run = button("run it", "", () => this.on.run(this.command()));
    this.look = button("inspect", "Look inside the image, layer by layer", () => this.on.look(this.model.head.image));
    this.whole = el("a", { class: "whole", title: "The log of all steps, as docker build --progress=plain prints it" }, "whole log ↓");
    this.bar = el("div", { class: "strip-bar", "aria-hidden": "true" }, (this.fill = el("i")));
    this.node = el(
      "div",
      { class: "strip", hidden: true },
      this.mark,
      el("span", { class: "say" }, this.title, " ", this.words, " ", this.link),
      el("span", { class: "acts" }, this.whole, this.warnings, this.run, this.look, this.cancel),
      this.bar,
    );
  }

  command() {
    const { head } = this.model;
    const name = typable(String(head.tags?.[0] ?? ""), String(head.image ?? ""));
    return name && `docker run -it --rm -P ${name}`; // -P: what the image exposes appears as a chip;
  }

  show(model) {
    this.model = model;
    const { head } = model;
    this.node.hidden = false;
    this.node.className = `strip is-${["running", "succeeded", "failed", "cancelled"].includes(head.state) ? head.state : "other"}`;
    setIcon(this.mark, head.state === "succeeded" || head.state === "failed" || head.state === "cancelled" ? head.state : "running");
    text(this.title, called(head));
    this.cancel.hidden = !model.running;
    this.whole.href = this.log(model.id);
    this.whole.download = `${called(head).replace(/[^\w.-]+/g, "-")}.log`;
    const good = head.state === "succeeded" && head.image;
    this.run.hidden = !good || !this.command();
    this.look.hidden = !good;
    this.run.title = good ? this.command() : "";
    this.run.setAttribute("aria-label", `Type ${this.run.title} into the shell`);
    this.warnings.hidden = !model.warnings.length;
    text(this.warnings, many(model.warnings.length, "warning"));
    text(this.link, model.link === "lost" ? "reconnecting…" : model.link === "gone" ? "the machine has forgotten this build" : "");
    const { steps, done } = totals(model);
    this.fill.style.width = model.running ? `${steps ? Math.round((100 * done) / steps) : 0}%` : "0";
    this.tick();
  }

  tick() {
    if (!this.model) return;
    const { head } = this.model,
      { steps, done, cached } = totals(this.model),
      time = took(spent(head, this.skew()));
    const parts = {
      running: [time, steps ? `${done} of ${many(steps, "step")}` : "starting", cached ? `${cached} cached` : ""],
      succeeded: [
        `built in ${time}`,
        many(steps, "step"),
        cached ? `${cached} cached` : "",
        size(head.image_size || NaN),
        shortID(head.image),
      ],
      failed: [`failed after ${time}`, this.failedAt()],
      cancelled: [`cancelled after ${time}`, `${done} of ${many(steps, "step")} done`],
    }[head.state] ?? [String(head.state).slice(0, 20)];
    text(this.words, parts.filter(Boolean).join(" · "));
  }

  failedAt() {
    const step = this.model.failed();
    return step ? `at ${instruction(step, 80)}` : "before its first step";
  }
}

export function totals(model) {
  const t = model.head.totals ?? {},
    n = (x) => (Number.isInteger(x) && x >= 0 ? x : 0);
  return { steps: n(t.steps), done: n(t.done), cached: n(t.cached) };
}
