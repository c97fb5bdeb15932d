import { instruction, pathOf, spent, stateOf, took } from "./words.js";

// marks are what the editor draws beside the lines of the Dockerfile that was built.
export function marks(model) {
  const all = [];
  for (const s of model.steps.values()) {
    if (!(s.line > 0) || s.kind !== "instruction") continue;
    const state = stateOf(s),
      kind = { cached: "cached", succeeded: "ran", failed: "failed", running: "running" }[state];
    if (!kind) continue;
    const time = state === "running" ? "running" : took(spent(s, 0));
    const words = {
      cached: "from the cache",
      ran: `ran in ${time}`,
      failed: `failed: ${instruction({ instruction: s.error || "see its log" }, 200)}`,
      running: "running",
    }[kind];
    all.push({ line: s.line, end_line: s.end_line || s.line, kind, text: words });
  }
  const error = model.head.error;
  if (error?.line > 0 && !all.some((m) => m.kind === "failed")) {
    all.push({
      line: error.line,
      end_line: error.end_line || error.line,
      kind: "failed",
      text: instruction({ instruction: error.message }, 400),
    });
  }
  for (const w of model.warnings) {
    if (w?.line > 0)
      all.push({
        line: w.line,
        end_line: w.end_line || w.line,
        kind: "warning",
        text: instruction({ instruction: w.message || w.rule }, 400),
      });
  }
  return all.sort((a, b) => a.line - b.line);
}

// Marks tells the editor, and only where something has changed.
export class Marks {
  tell(model) {
    const path = pathOf(model.head);
    if (!path) return;
    const found = marks(model),
      key = JSON.stringify([path, found]);
    if (key === this.key) return;
    this.key = key;
    document.dispatchEvent(new CustomEvent("berth:build-marks", { detail: { path, marks: found } }));
  }
}
