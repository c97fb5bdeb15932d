import { bytes } from "../dom.js";
import { line } from "../docker/words.js";

// Words for what a build says. Everything of it goes through line before it is shown.

export const STATES = {
  waiting: "waiting",
  running: "running",
  cached: "cached",
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
};

// kindOf tells instructions of the Dockerfile from what BuildKit does around them: before, which is its own affair, and
// after, when the image is written.
const NUMBERED = /^\[[^\]]*\d+\/\d+\] /,
  WRITES = /^(exporting|writing|unpacking|naming|pushing|merging|sending|copying)\b/;
export function kindOf(step) {
  const name = String(step.name ?? "");
  if (step.internal) return "internal";
  if (step.stage || step.line > 0 || NUMBERED.test(name)) return "instruction";
  return WRITES.test(name) ? "output" : "internal";
}

export const stateOf = (x) => (x.state in STATES ? x.state : "waiting");

// took says a duration in ms.
export function took(ms) {
  if (!(ms >= 0)) return "";
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} min`;
}

// spent is how long something has run, in ms, by the machine's clock; null: it has not begun.
// skew: how far the machine's clock is ahead of ours, in ms.
export function spent(x, skew) {
  if (x.state === "cached") return x.duration_ms > 0 ? x.duration_ms : 0;
  const from = Date.parse(x.started_at ?? ""),
    to = Date.parse(x.ended_at ?? "");
  if (x.state === "running" && from > 0) return Math.max(0, Date.now() + skew - from);
  if (x.duration_ms > 0) return x.duration_ms;
  return from > 0 && to >= from ? to - from : null;
}

export const size = (n) => (Number.isFinite(n) && n >= 0 ? bytes(n) : "");

// instruction is a step's as its author wrote it, without what BuildKit adds.
export function instruction(step, most = 400) {
  const text = String(step.instruction || String(step.name ?? "").replace(/^\[[^\]]{0,80}\]\s*/, "") || step.name || "step");
  return line(text.replace(/@sha256:[0-9a-f]{64}/g, "").replace(/\bdocker\.io\/(library\/)?/g, ""), most);
}

// place is what a build is called in lists: its first tag, or where it was built.
export function called(build) {
  const tag = Array.isArray(build.tags) ? build.tags.find((t) => typeof t === "string" && t) : "";
  if (tag) return line(tag.replace(/:latest$/, "").replace(/^docker\.io\/(library\/)?/, ""), 120);
  const context = line(build.context, 120);
  return context ? context.split("/").filter(Boolean).pop() || context : "no name";
}

// pathOf is where the Dockerfile of a build lies in the machine; "" where that is not known.
export function pathOf(build) {
  const context = String(build.context ?? ""),
    file = String(build.dockerfile || "Dockerfile");
  if (file.startsWith("/")) return tidy(file);
  return context.startsWith("/") ? tidy(`${context}/${file}`) : "";
}

// tidy writes an absolute path without empty parts, . and ..
export function tidy(path) {
  const parts = [];
  for (const p of path.split("/")) {
    if (p === "..") parts.pop();
    else if (p && p !== ".") parts.push(p);
  }
  return "/" + parts.join("/");
}

export const folderOf = (path) => tidy(path + "/..");
export const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// tagFor makes the name of an image of a directory's.
export function tagFor(context) {
  const base = tidy(context).split("/").pop();
  const name = base
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "")
    .slice(0, 64);
  return context === "/root" || !name ? "app" : name;
}
