import { el } from "./dom.js";
import { text } from "./docker/rows.js";
import { line } from "./docker/words.js";
import { Client, reason } from "./build/client.js";
import { Compare } from "./build/compare.js";
import { Detail } from "./build/detail.js";
import { Followed } from "./build/followed.js";
import { Form } from "./build/form.js";
import { Graph } from "./build/graph.js";
import { History } from "./build/history.js";
import { Internal } from "./build/internal.js";
import { Marks } from "./build/marks.js";
import { StepList } from "./build/steplist.js";
import { Strip } from "./build/strip.js";
import { Warnings } from "./build/warnings.js";
import { called, instruction, many, pathOf, stateOf } from "./build/words.js";

const PACE = 80; // ms between two pictures
const TICK = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 200; // ms
const NARROW = 860; // px: below there is a list in place of the graph

// Build is the panel: what to build, the build that is shown, and all that there were. It follows one build at a time.
export class Build {
  // ctx: {session, api, tabs, notices, builds, skew(), toShell()}
  constructor(node, ctx) {
    this.ctx = ctx;
    this.node = node;
    this.client = new Client(ctx.api);
    const skew = ctx.skew,
      select = { select: (id) => this.choose(id) };
    this.form = new Form(this.client, ctx.session.id, { build: (wanted) => this.start(wanted) });
    this.strip = new Strip(skew, this.client.log, {
      cancel: () => this.cancel(),
      run: (command) => this.type(command),
      look: (image) => tell("berth:inspect-image", { image }),
      warnings: () => this.warnings.toggle(this.model),
    });
    this.graph = new Graph(select, skew);
    this.steps = new StepList(select, skew);
    this.internal = new Internal(select, skew);
    this.detail = new Detail(skew, { debug: (model, step) => this.debug(model, step), fold: () => this.fold(true) });
    this.history = new History(skew, { select: (b) => this.open(b), compare: (b) => this.compareWith(b), forget: (b) => this.forget(b) });
    this.compare = new Compare({ close: () => this.endCompare() });
    this.marks = new Marks();
    this.followed = new Followed(this.client, {
      changed: (m) => this.changed(m),
      log: (step) => this.detail.logged(step),
      state: () => this.later(),
    });
    this.warnings = new Warnings();
    this.said = el("p", { class: "unseen", role: "status", "aria-live": "polite" });
    this.empty = el(
      "div",
      { class: "no-builds" },
      el("h3", {}, "Nothing has been built here yet."),
      el("p", { class: "soft" }, "Say above what to build, or run docker build in the shell: it shows up here by itself, step by step."),
    );
    this.place = el("div", {}); // for the details of what is in no list, where there is no room beside
    this.canvas = el("div", { class: "canvas" }, this.internal.node, this.place, this.graph.node, this.steps.node);
    this.side = el("div", { class: "side-pane" });
    this.main = el("div", { class: "build-main" }, this.history.node, this.canvas, this.side, this.compare.node);
    node.replaceChildren(
      el("div", { class: "build-panel" }, this.form.node, this.strip.node, this.warnings.node, this.empty, this.main, this.said),
    );
    this.root = node.firstChild;
    this.root.addEventListener("keydown", (e) => this.key(e), true);
    new ResizeObserver(() => this.measure()).observe(this.root);
    this.measure();
    this.unwatch = ctx.builds.watch((list) => this.listed(list));
  }

  key(e) {
    if (e.key !== "Enter" || !e.ctrlKey) return;
    e.preventDefault();
    e.stopPropagation();
    this.form.submit();
  }

  // show is told whether the panel is seen; null: it is not. What runs is followed in any case, for the editor's marks.
  show(name) {
    this.seen = this.followed.seen = name === "build";
    if (this.seen) this.ctx.builds.touch();
    this.followed.hold();
    this.ticking();
    if (this.seen) this.paint();
  }

  listed(list) {
    this.list = list;
    const known = list.find((b) => b.id === this.model?.id);
    if (known && this.model.complete) this.model.head = { ...this.model.head, ...known };
    if (this.model && !known && this.model.complete && list.length) this.close();
    const fresh = list.find((b) => b.state === "running" && b.id !== this.model?.id && !this.met?.has(b.id));
    this.met = new Set(list.map((b) => b.id));
    if (!this.model && list.length) this.open(list[0]);
    else if (fresh && !this.other && !this.model?.running) this.open(fresh);
    this.later();
  }

  open(build) {
    this.endCompare();
    if (this.model?.id === build.id) return this.later();
    this.followed.show(build);
    this.chosen = this.auto = null;
    this.folded = false;
    this.root.classList.remove("folded");
    this.graph.clear();
    this.steps.clear();
    this.internal.clear();
    this.ticking();
    this.later();
  }

  get model() {
    return this.followed.model;
  }
  get other() {
    return this.followed.other;
  }

  close() {
    this.followed.show(null);
    this.strip.node.hidden = true;
    this.graph.clear();
    this.steps.clear();
  }

  changed(model) {
    if (model === this.model && model.head.state !== this.told) this.announce(model);
    this.later();
  }

  announce({ head, id }) {
    const was = this.toldOf === id ? this.told : "";
    this.told = head.state;
    this.toldOf = id;
    if (was === "running") {
      this.auto = null; // the step that took longest, rather than the last
      if (head.state === "failed") this.chosen = null; // to where it broke
      if (head.state === "failed") this.fold(false);
      this.ctx.builds.tell(this.ctx.builds.list.map((b) => (b.id === id ? { ...b, ...head } : b)));
      this.ctx.builds.touch();
    }
    if (head.state === "running") text(this.said, `Building ${called(head)}`);
    else if (was)
      text(
        this.said,
        `The build of ${called(head)} ${head.state === "succeeded" ? "is done" : head.state === "failed" ? "has failed" : "was cancelled"}`,
      );
  }

  later() {
    this.planned ??= setTimeout(() => this.paint(), PACE);
  }

  paint() {
    clearTimeout(this.planned);
    this.planned = undefined;
    const { model } = this;
    if (model && this.list?.find((b) => pathOf(b) === pathOf(model.head))?.id === model.id) this.marks.tell(model);
    if (!this.seen) return;
    this.history.show(this.list ?? [], model?.id, this.other?.id);
    this.empty.hidden = Boolean(model);
    this.main.hidden = !model;
    if (!model) return;
    this.strip.show(model);
    if (this.other) return this.compare.paint();
    this.warnings.show(model);
    this.paintSteps(model);
    this.ticking();
  }

  paintSteps(model) {
    const steps = [...model.steps.values()],
      selected = this.folded ? null : this.selected(model);
    this.internal.show(steps, selected?.id);
    if (this.narrow) this.steps.show(steps, selected?.kind === "internal" ? null : selected?.id, this.detail.node);
    else this.graph.show(steps, selected?.id);
    const home = this.narrow && selected && selected.kind !== "internal" ? null : this.narrow ? this.place : this.side;
    if (home && this.detail.node.parentNode !== home) home.append(this.detail.node);
    this.place.hidden = this.folded && !model.head.error;
    this.detail.show(model, selected);
    if (!this.narrow && selected && !this.chosen) this.graph.follow(selected.id);
  }

  // selected is the step that the visitor chose, else where the build is or where it broke.
  selected(model) {
    const all = [...model.steps.values()].filter((s) => s.kind !== "internal");
    if (this.chosen && model.steps.has(this.chosen)) return model.steps.get(this.chosen);
    const failed = model.failed();
    if (failed) return failed;
    if (model.head.error) return null;
    const running = all.filter((s) => stateOf(s) === "running").sort((a, b) => began(b) - began(a));
    this.auto =
      running.find((s) => s.id === this.auto)?.id ?? running[0]?.id ?? (model.steps.has(this.auto) ? this.auto : longest(all)?.id);
    return model.steps.get(this.auto) ?? null;
  }

  // choose shows a step; what is chosen already is folded.
  choose(id) {
    const open = this.narrow ? this.detail.step?.id : this.chosen;
    if (open === id && !this.folded) return this.fold(true);
    this.chosen = id;
    this.fold(false);
  }

  fold(on) {
    const step = on && this.detail.node.contains(document.activeElement) && this.detail.step?.id;
    this.folded = on;
    this.root.classList.toggle("folded", on);
    this.paint();
    if (step) this.root.querySelector(`.step[data-step="${CSS.escape(step)}"]`)?.focus();
  }

  measure() {
    const narrow = this.root.clientWidth > 0 && this.root.clientWidth < NARROW;
    if (narrow === this.narrow || !this.root.clientWidth) return;
    this.narrow = narrow;
    this.root.classList.toggle("narrow", narrow);
    this.graph.node.hidden = narrow;
    this.steps.node.hidden = !narrow;
    this.later();
  }

  // ticking counts the seconds of what runs, while somebody looks.
  ticking() {
    const on = this.seen && (this.model?.running || this.list?.some((b) => b.state === "running"));
    if (!on) {
      clearInterval(this.timer);
      this.timer = null;
      return;
    }
    this.timer ??= setInterval(() => {
      for (const part of [this.strip, this.history, this.detail, this.narrow ? this.steps : this.graph]) part.tick();
    }, TICK);
  }

  async start(wanted) {
    if (this.starting) return;
    this.starting = this.form.go.disabled = true;
    try {
      const build = await this.client.start(wanted);
      this.form.say("");
      this.met?.add(build.id);
      this.open(build);
      this.ctx.builds.put(build);
    } catch (err) {
      this.form.say(line(reason(err), 1000), true);
    }
    this.starting = this.form.go.disabled = false;
  }

  // buildFile builds a Dockerfile at once, with what the form remembers of it.
  buildFile(path) {
    if (!path.startsWith("/")) return;
    this.form.forFile(path);
    this.form.submit();
  }

  async cancel() {
    try {
      await this.client.cancel(this.model.id);
    } catch (err) {
      if (err.status !== 409) this.form.say(reason(err), true);
    }
    this.ctx.builds.touch();
  }

  async forget(build) {
    try {
      await this.client.forget(build.id);
    } catch (err) {
      if (err.status !== 404) return this.form.say(reason(err), true);
    }
    if (this.model?.id === build.id) this.close();
    this.ctx.builds.tell(this.ctx.builds.list.filter((b) => b.id !== build.id));
    this.ctx.builds.touch();
  }

  async debug(model, step) {
    const { shell } = this.detail;
    shell.disabled = true;
    try {
      const { terminal } = await this.client.debug(model.id, step.id);
      this.detail.refuse("");
      tell("berth:open-terminal", { name: terminal, title: instruction(step, 60) });
    } catch (err) {
      this.detail.refuse(line(reason(err), 600));
    }
    shell.disabled = false;
  }

  compareWith(build) {
    if (!this.model || build.id === this.model.id) return;
    this.followed.compare(build);
    this.root.classList.add("comparing");
    this.compare.node.hidden = false;
    this.compare.show(this.model, this.other);
    this.paint();
    this.compare.node.focus({ preventScroll: true });
    this.root.scrollTop = 0;
  }

  endCompare() {
    if (!this.other) return;
    this.followed.compare(null);
    this.root.classList.remove("comparing");
    this.compare.node.hidden = true;
    this.later();
  }

  type(command) {
    if (!command) return;
    this.ctx.toShell();
    this.ctx.tabs.type(command);
  }

  toForm() {
    this.form.focus();
  }

  toHistory() {
    this.history.focus();
  }

  stop() {
    this.unwatch();
    this.followed.stop();
    clearInterval(this.timer);
  }

  actions() {
    const all = [{ name: "Build again, as the form says", run: () => this.form.submit() }];
    if (!this.model) return all;
    const name = called(this.model.head);
    if (this.model.running) all.push({ name: `Cancel the build of ${name}`, run: () => this.cancel() });
    if (this.model.head.image)
      all.push({ name: `Look inside ${name}`, run: () => tell("berth:inspect-image", { image: this.model.head.image }) });
    const n = this.list?.length ?? 0;
    if (n > 1) all.push({ name: `Compare with the build before (${many(n, "build")})`, run: () => this.compareWith(this.before()) });
    return all;
  }

  before() {
    const at = this.list.findIndex((b) => b.id === this.model.id);
    return this.list[at + 1] ?? this.list[at - 1];
  }
}

const began = (s) => Date.parse(s.started_at) || 0;

function longest(steps) {
  return (
    steps.reduce(
      (best, s) => (s.kind === "instruction" && (s.duration_ms ?? 0) > (best?.duration_ms ?? -1) && stateOf(s) !== "cached" ? s : best),
      null,
    ) ?? steps[steps.length - 1]
  );
}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}
