import { el } from "../dom.js";
import { Rows, button, text } from "../docker/rows.js";
import { line, span } from "../docker/words.js";
import { setIcon } from "./icons.js";
import { called, size, spent, took } from "./words.js";

// History lists the builds of this session, also those of `docker build` in the shell; the newest first.
export class History {
  // on: {select(build), compare(build), forget(build)}
  constructor(skew, on) {
    this.skew = skew;
    this.on = on;
    this.list = el("ul", { class: "builds" });
    this.rows = new Rows(this.list, () => new Item(this));
    this.node = el("nav", { class: "history", "aria-label": "Builds of this session", hidden: true }, el("h3", {}, "builds"), this.list);
  }

  show(builds, shown, other) {
    this.shown = shown;
    this.other = other;
    this.node.hidden = !builds.length;
    this.rows.show(builds, (b) => b.id);
  }

  tick() {
    for (const r of this.rows.byKey.values()) r.tick();
  }

  focus() {
    this.list.querySelector("[aria-current=true], .build")?.focus();
  }
}

class Item {
  constructor(view) {
    this.view = view;
    this.mark = el("span", { class: "mark" });
    this.title = el("strong");
    this.ago = el("span", { class: "soft ago" });
    this.words = el("span", { class: "soft figures" });
    this.open = el(
      "button",
      { type: "button", class: "build", onclick: () => view.on.select(this.build) },
      this.mark,
      el("span", { class: "two" }, this.title, this.ago, this.words),
    );
    this.compare = button("⇄", "", () => view.on.compare(this.build), "quiet");
    this.forget = button("×", "", () => view.on.forget(this.build), "quiet");
    this.node = el("li", {}, this.open, el("span", { class: "acts" }, this.compare, this.forget));
  }

  update(build) {
    this.build = build;
    const name = called(build),
      ended = build.state !== "running";
    this.node.className = build.id === this.view.shown ? "on" : build.id === this.view.other ? "on other" : "";
    this.open.setAttribute("aria-current", String(build.id === this.view.shown));
    setIcon(this.mark, ["succeeded", "failed", "cancelled"].includes(build.state) ? build.state : "running");
    text(this.title, name);
    this.compare.hidden = !ended || build.id === this.view.shown || !this.view.shown;
    this.forget.hidden = !ended;
    this.compare.title = "Compare with the build that is shown";
    this.compare.setAttribute("aria-label", `Compare ${name} with the build that is shown`);
    this.forget.title = "Forget this build (its image stays)";
    this.forget.setAttribute("aria-label", `Forget the build of ${name}`);
    this.tick();
  }

  tick() {
    const b = this.build,
      time = took(spent(b, this.view.skew())),
      cached = b.totals?.cached > 0 ? `${b.totals.cached}/${b.totals.steps} cached` : "";
    const ago = b.state === "running" ? "" : span(Date.parse(b.started_at), Date.now() + this.view.skew());
    text(this.words, [time, cached, b.source === "docker" && "shell"].filter(Boolean).join(" · "));
    text(this.ago, ago && `${ago} ago`);
    const said = { running: "under way", succeeded: "built", failed: "failed", cancelled: "cancelled" }[b.state] ?? "";
    this.open.setAttribute("aria-label", `${this.title.textContent}, ${said}, ${this.words.textContent}`);
    this.open.title = [
      line((b.tags ?? []).join(", "), 200),
      line(b.context, 200),
      b.target && `target ${line(b.target, 60)}`,
      size(b.image_size || NaN),
    ]
      .filter(Boolean)
      .join("\n");
  }
}
