import { el } from "../dom.js";
import { button, text } from "../docker/rows.js";
import { line } from "../docker/words.js";
import { compared, cost, verdict } from "./compared.js";
import { icon } from "./icons.js";
import { totals } from "./strip.js";
import { STATES, called, instruction, size, spent, stateOf, took } from "./words.js";

// Compare shows two builds side by side, step by step.
export class Compare {
  // on: {close()}
  constructor(on) {
    this.title = el("h3");
    this.words = el("p", { class: "verdict" });
    this.table = el("table", { class: "compared" });
    this.node = el(
      "section",
      { class: "compare", "aria-label": "Two builds compared", tabindex: "-1", hidden: true },
      el(
        "header",
        {},
        button("←", "Back to the build", () => on.close()),
        this.title,
      ),
      this.words,
      this.table,
    );
    this.node.addEventListener("keydown", (e) => e.key === "Escape" && on.close());
  }

  // show takes both; the older is told first, whichever was chosen first.
  show(one, other) {
    const [a, b] = Date.parse(one.head.started_at) <= Date.parse(other.head.started_at) ? [one, other] : [other, one];
    this.models = [a, b];
    this.paint();
  }

  paint() {
    const [a, b] = this.models ?? [];
    if (!a) return;
    text(this.title, called(a.head) === called(b.head) ? `two builds of ${called(b.head)}` : `${called(a.head)} and ${called(b.head)}`);
    if (!(a.complete && b.complete)) text(this.words, "Reading both builds…");
    const pairs = compared(a, b);
    if (a.complete && b.complete) text(this.words, verdict(a, b, pairs));
    const key = JSON.stringify([a.head, b.head, pairs.length, a.complete, b.complete]);
    if (key === this.key) return;
    this.key = key;
    const longest = Math.max(1, ...pairs.flatMap((p) => [cost(p.a), cost(p.b)]));
    this.table.replaceChildren(headOf(a, b), el("tbody", {}, ...pairs.map((p) => row(p, longest))), footOf(a, b));
  }
}

const when = (m) => {
  const at = new Date(m.head.started_at);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
};

function headOf(a, b) {
  const column = (words, m) => el("th", { scope: "col" }, words, " ", el("span", { class: "soft" }, when(m)));
  return el(
    "thead",
    {},
    el("tr", {}, el("th", { scope: "col" }, "step"), column("older", a), column("newer", b), el("th", { scope: "col" }, "difference")),
  );
}

function row({ a, b, changed }, longest) {
  const s = b ?? a,
    note = !a ? "added" : !b ? "removed" : changed ? "changed" : "";
  const less = cost(a) - cost(b);
  const words = el("th", { scope: "row" }, el("span", { class: "soft stage-of" }, line(s.stage, 40)), instruction(s, 200));
  if (note) words.append(" ", el("span", { class: "note" }, note));
  if (changed) words.append(el("del", { class: "soft" }, instruction(a, 200)));
  const delta = Math.abs(less) < 50 ? "" : `${less > 0 ? "−" : "+"}${took(Math.abs(less))}`;
  const grown =
    a && b && a.size !== null && b.size !== null && a.size !== b.size
      ? `${b.size > a.size ? "+" : "−"}${size(Math.abs(b.size - a.size))}`
      : "";
  return el(
    "tr",
    { class: note },
    words,
    side(a, longest),
    side(b, longest),
    el("td", { class: "figures" }, [delta, grown].filter(Boolean).join(" · ")),
  );
}

function side(s, longest) {
  if (!s) return el("td", { class: "soft" }, "—");
  const state = stateOf(s),
    bar = el("i", { class: `is-${state}` });
  bar.style.width = `${Math.round((100 * cost(s)) / longest)}%`;
  const time = state === "cached" || state === "waiting" ? STATES[state] : took(cost(s));
  return el(
    "td",
    { class: `side is-${state}` },
    icon(state),
    el("span", { class: "figures" }, [time, s.size > 0 ? size(s.size) : ""].filter(Boolean).join(" · ")),
    el("span", { class: "length" }, bar),
  );
}

function footOf(a, b) {
  const cell = (m) => {
    const { steps, cached } = totals(m);
    return el(
      "td",
      { class: "figures" },
      [took(spent(m.head, 0)), `${cached} of ${steps} cached`, size(m.head.image_size || NaN)].filter(Boolean).join(" · "),
    );
  };
  const less = (spent(a.head, 0) ?? 0) - (spent(b.head, 0) ?? 0);
  const delta = Math.abs(less) < 50 ? "" : `${less > 0 ? "−" : "+"}${took(Math.abs(less))}`;
  return el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "whole build"), cell(a), cell(b), el("td", { class: "figures" }, delta)));
}
