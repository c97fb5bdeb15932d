import { Lines } from "./lines.js";
import { Stream } from "./stream.js";
import { kindOf } from "./words.js";

const MOST_STEPS = 2_000; // that a page draws

// Model is one build as its events tell it.
export class Model {
  // on: {changed(model), log(step id), state(model)}
  constructor(client, head, on) {
    this.client = client;
    this.head = head;
    this.on = on;
    this.steps = new Map();
    this.logs = new Map();
    this.warnings = Array.isArray(head.warnings) ? [...head.warnings] : [];
    this.fromEvents = false; // warnings come again as events
    this.text = head.dockerfile_text || null; // empty: not known yet
    this.link = "live";
    this.stream = new Stream((after) => client.events(head.id, after), {
      event: (name, data) => this.event(name, data),
      state: (s) => this.linked(s),
    });
  }

  get id() {
    return this.head.id;
  }
  get running() {
    return this.head.state === "running";
  }
  get complete() {
    return this.link === "over" || this.link === "gone";
  }

  linked(state) {
    this.link = state;
    this.on.state(this);
  }

  event(name, data) {
    switch (name) {
      case "build":
        this.head = { ...this.head, ...data };
        this.text = data.dockerfile_text || this.text;
        return this.on.changed(this);
      case "step":
        if (typeof data.id !== "string" || (!this.steps.has(data.id) && this.steps.size >= MOST_STEPS)) return;
        this.steps.set(data.id, tidied({ ...this.steps.get(data.id), ...data }));
        return this.on.changed(this);
      case "log":
        if (typeof data.text !== "string") return;
        this.lines(String(data.step)).add(data.text, data.stream === 2 ? 2 : 1);
        return this.on.log(String(data.step));
      case "warning":
        if (!this.fromEvents) this.warnings = [];
        this.fromEvents = true;
        this.warnings.push(data);
        return this.on.changed(this);
    }
  }

  lines(step) {
    let l = this.logs.get(step);
    if (!l) this.logs.set(step, (l = new Lines()));
    return l;
  }

  // dockerfile is the text that was built, which the events leave out.
  async dockerfile() {
    if (this.text === null) this.text = (await this.client.get(this.id))?.dockerfile_text || null;
    return String(this.text ?? "");
  }

  // failed is the step at which the build broke, if it was a step.
  failed() {
    const named = this.steps.get(this.head.error?.step);
    return named ?? [...this.steps.values()].find((s) => s.state === "failed") ?? null;
  }
}

// tidied is a step of which the rest can rely on: kind ("instruction", "internal", "output"), stage, line, inputs.
function tidied(step) {
  const inputs = (Array.isArray(step.inputs) ? step.inputs : []).filter((id) => typeof id === "string");
  return { ...step, kind: kindOf(step), stage: String(step.stage ?? ""), line: step.line > 0 ? step.line : 0, inputs };
}
