import { bytes, el } from "../dom.js";
import { button, text } from "../docker/rows.js";
import { line } from "../docker/words.js";
import { Broke } from "./broke.js";
import { setIcon } from "./icons.js";
import { LogView } from "./logview.js";
import { STATES, instruction, pathOf, size, spent, stateOf, took } from "./words.js";

// Detail is what there is to know of the step that is selected, its log above all.
export class Detail {
  // on: {debug(model, step), fold()}
  constructor(skew, on) {
    this.skew = skew;
    this.on = on;
    this.mark = el("span", { class: "mark" });
    this.title = el("h3", {});
    this.facts = el("span", { class: "soft figures" });
    this.at = button("", "", () => openFile(pathOf(this.model.head), this.step.line), "texty");
    this.shell = button("open a shell here", "", () => this.on.debug(this.model, this.step));
    this.copy = button("copy", "Copy the log of this step", () => this.copyLog(), "quiet");
    this.fold = button("×", "Fold this step", () => this.on.fold(), "quiet");
    this.progress = el("ul", { class: "pulling" });
    this.refused = el("p", { class: "refused failed", role: "alert" });
    this.broke = new Broke(openFile);
    this.log = new LogView();
    this.head = el(
      "header",
      {},
      el("div", { class: "title" }, this.mark, this.title, this.fold),
      el("div", { class: "under" }, this.facts, this.at, el("span", { class: "acts" }, this.shell, this.copy)),
    );
    this.node = el(
      "section",
      { class: "detail", "aria-label": "Step" },
      this.head,
      this.refused,
      this.broke.node,
      this.progress,
      this.log.node,
    );
  }

  // show takes a step of a build; null: the build itself, which broke before its first step, or has none selected.
  show(model, step) {
    if (this.step?.id !== step?.id) this.refuse("");
    this.model = model;
    this.step = step;
    const error = model.head.error;
    const mine = error && (step ? error.step === step.id || (step.state === "failed" && model.failed() === step) : true);
    this.broke.show(model, mine ? error : null);
    this.head.hidden = !step;
    if (!step)
      return this.log.show(null, error ? "" : model.running ? "The first step is about to begin." : "Select a step to see its log.");
    const state = stateOf(step);
    setIcon(this.mark, state);
    text(this.title, instruction(step, 1000));
    this.tick();
    this.at.hidden = !(step.line > 0) || !pathOf(model.head);
    text(this.at, `line ${step.line}`);
    this.at.setAttribute("aria-label", `Open line ${step.line} of the Dockerfile`);
    this.offerShell(step, state);
    this.pulling(step, state);
    const lines = model.logs.get(step.id);
    this.copy.hidden = !lines?.count;
    this.log.show(lines, silence(step, state, model));
  }

  offerShell(step, state) {
    this.shell.hidden = step.kind !== "instruction" || !["succeeded", "cached", "failed"].includes(state);
    const broke = state === "failed";
    this.shell.classList.toggle("debug", broke);
    text(this.shell, broke ? "debug here" : "open a shell here");
    const where = broke ? "as this step left it" : "as it was after this step";
    this.shell.title = `A shell in the file system ${where}`;
  }

  // refuse says why there is no shell.
  refuse(words) {
    text(this.refused, words);
  }

  tick() {
    if (!this.step) return;
    const state = stateOf(this.step),
      ms = state === "cached" ? null : spent(this.step, this.skew());
    const word = state === "cached" ? "from the cache" : STATES[state];
    text(this.facts, [word, ms === null ? "" : took(ms), this.step.size > 0 ? size(this.step.size) : ""].filter(Boolean).join(" · "));
  }

  // pulling shows the bars of what a step fetches and unpacks.
  pulling(step, state) {
    const all = (state === "running" && Array.isArray(step.progress) ? step.progress : []).filter((p) => p && p.name).slice(0, 40);
    this.progress.hidden = !all.length;
    this.progress.replaceChildren(
      ...all.map((p) => {
        const total = p.total > 0 ? p.total : 0,
          current = p.current > 0 ? p.current : 0;
        const words = total ? `${bytes(Math.min(current, total))} of ${bytes(total)}` : current ? bytes(current) : "";
        const bar = el("progress", { max: total || null, value: total ? Math.min(current, total) : null, "aria-label": line(p.name, 80) });
        return el("li", {}, el("span", { class: "mono" }, line(p.name, 60)), bar, el("span", { class: "soft" }, words));
      }),
    );
  }

  async copyLog() {
    const words = this.model.logs.get(this.step.id)?.plain() ?? "";
    try {
      await navigator.clipboard.writeText(words);
      this.say("copied");
    } catch {
      this.say("the browser refused: use the whole log");
    }
  }

  say(words) {
    text(this.copy, words);
    clearTimeout(this.said);
    this.said = setTimeout(() => text(this.copy, "copy"), 2000);
  }

  logged(step) {
    if (this.step?.id !== step) return;
    if (!this.log.lines) this.show(this.model, this.step);
    else this.log.soon();
  }
}

export function openFile(path, at) {
  if (path) document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path, line: at > 0 ? at : undefined } }));
}

function silence(step, state, model) {
  if (state === "cached") return "It was taken from the cache: nothing ran, so it printed nothing this time.";
  if (state === "waiting") return model.running ? "It waits for the steps before it." : "It was not reached.";
  if (state === "running") return "Nothing printed yet.";
  return model.complete || !model.running ? "It printed nothing." : "";
}
