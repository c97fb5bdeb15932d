import { StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, GutterMarker, gutter } from "@codemirror/view";

// What the last build says of the lines: [{line, end_line, kind, text}]. A mark goes when one of its lines is edited.
const KINDS = { cached: "✓", ran: "●", failed: "✕", warning: "!", running: "…" };
const MOST = 1000; // marks

export const setMarks = StateEffect.define();

class Mark extends GutterMarker {
  constructor(kind, text) {
    super();
    this.kind = kind;
    this.text = text;
  }

  eq(other) {
    return this.kind === other.kind && this.text === other.text;
  }

  toDOM() {
    const node = document.createElement("span");
    node.className = `build-mark ${this.kind}`;
    node.textContent = KINDS[this.kind];
    node.title = this.text;
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", this.text || this.kind);
    return node;
  }
}

// place turns lines into positions. Marks of lines that there are not are left out.
function place(doc, marks) {
  return marks.filter((m) => m.kind in KINDS && m.line >= 1 && m.line <= doc.lines).slice(0, MOST).map((m) => ({
    from: doc.line(m.line).from, to: doc.line(Math.min(doc.lines, Math.max(m.line, m.end_line || 0))).from,
    kind: m.kind, marker: new Mark(m.kind, String(m.text ?? "").slice(0, 500)),
  }));
}

// keep maps marks over changes, without those of which a line has changed.
function keep(marks, tr) {
  const touched = [];
  tr.changes.iterChangedRanges((fromA, toA) => touched.push([tr.startState.doc.lineAt(fromA).from, tr.startState.doc.lineAt(toA).to]));
  return marks.filter((m) => !touched.some(([from, to]) => m.from <= to && tr.startState.doc.lineAt(m.to).to >= from))
    .map((m) => ({ ...m, from: tr.changes.mapPos(m.from), to: tr.changes.mapPos(m.to) }));
}

const field = StateField.define({
  create: () => ({ marks: [], lines: Decoration.none, byLine: new Map() }),
  update(value, tr) {
    const told = tr.effects.find((e) => e.is(setMarks));
    if (!told && !tr.docChanged) return value;
    const marks = told ? place(tr.newDoc, told.value) : keep(value.marks, tr);
    const byLine = new Map();
    for (const m of marks) {
      for (let n = tr.newDoc.lineAt(m.from).number; n <= tr.newDoc.lineAt(m.to).number; n++) byLine.set(tr.newDoc.line(n).from, m);
    }
    const lines = [...byLine].sort((a, b) => a[0] - b[0]).map(([at, m]) => Decoration.line({ class: `build-line ${m.kind}` }).range(at));
    return { marks, byLine, lines: Decoration.set(lines) };
  },
  provide: (f) => EditorView.decorations.from(f, (v) => v.lines),
});

export const buildMarks = [field, gutter({
  class: "build-gutter",
  lineMarker: (view, line) => view.state.field(field).byLine.get(line.from)?.marker ?? null,
  lineMarkerChange: (u) => u.startState.field(field) !== u.state.field(field),
})];
