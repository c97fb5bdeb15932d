import { linter, lintGutter } from "@codemirror/lint";
import { el } from "../dom.js";
import { RULES, fixOf } from "./rules.js";

const DELAY = 300, // ms after the last key
  PATIENCE = 10_000; // ms
const MOST = 200; // diagnostics
const DOCS = /^https:\/\/docs\.docker\.com\//; // what the machine says is not followed anywhere else

// dockerfileLint has the machine's own BuildKit look at the Dockerfile as it is typed.
export function dockerfileLint(api, told) {
  const check = async (view) => {
    const { doc } = view.state;
    try {
      const res = await fetch(api.base + "/dockerfile", {
        method: "POST", headers: { "Content-Type": "text/plain" }, body: doc.toString(), signal: AbortSignal.timeout(PATIENCE),
      });
      if (!res.ok) return told(null) ?? [];
      const found = await res.json();
      const all = diagnostics(doc, found);
      told(all.length);
      return all;
    } catch {
      return told(null) ?? []; // nobody answered: there is nothing to say about the file
    }
  };
  return [linter(check, { delay: DELAY }), lintGutter()];
}

function diagnostics(doc, { warnings = [], error }) {
  const all = (warnings ?? []).slice(0, MOST).map((w) => warning(doc, w));
  if (error) {
    const { from, to } = range(doc, error.line, error.end_line);
    all.push({ from, to, severity: "error", message: String(error.message).slice(0, 2000) });
  }
  return all.sort((a, b) => a.from - b.from);
}

// range is where a message is shown: the line without its indent. Line 0 is none in particular.
function range(doc, line, end) {
  const first = doc.line(Math.min(doc.lines, Math.max(1, line || 1))), last = doc.line(Math.min(doc.lines, Math.max(first.number, end || 0)));
  return { from: first.from + first.text.search(/\S|$/), to: last.to, first };
}

function warning(doc, w) {
  const { from, to, first } = range(doc, w.line, w.end_line);
  const rule = String(w.rule ?? ""), message = String(w.message ?? "").slice(0, 2000);
  const mended = first.number >= (w.line || 0) && (w.end_line || w.line) === w.line ? fixOf(rule, first.text, message) : null;
  return {
    from, to, severity: "warning", message: `${message} (${rule})`,
    renderMessage: () => explain(message, rule, w.url),
    actions: mended === null ? [] : [{ name: "Mend it", apply: (view, at) => mend(view, first.text, at, mended) }],
  };
}

// mend replaces the line, if it is still the one that was looked at.
function mend(view, text, at, mended) {
  const line = view.state.doc.lineAt(Math.min(at, view.state.doc.length));
  if (line.text !== text) return;
  view.dispatch({ changes: { from: line.from, to: line.to, insert: mended }, userEvent: "input.mend" });
  view.focus();
}

function explain(message, rule, url) {
  return el("div", {}, el("div", { class: "lint-message" }, message), RULES[rule] && el("div", { class: "soft" }, RULES[rule].why),
    DOCS.test(url ?? "") ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, rule) : el("span", { class: "soft" }, rule));
}
