import { el } from "../dom.js";
import { line } from "../docker/words.js";
import { svg } from "./icons.js";
import { layout } from "./layout.js";
import { StepBox } from "./stepbox.js";

// All in px.
const LEAST = 168,
  MOST = 600,
  BETWEEN = 32,
  MARGIN = 16;
const NAMED = 28, // above the boxes, with names of stages and without
  NAMELESS = 12;
const TALL = { box: 48, row: 64 }, // two lines, where columns are narrow
  FLAT = { box: 32, row: 46 };
const NARROW = 320;

// Graph draws the stages as columns of boxes. The boxes are buttons over an SVG with the edges: arrows move between them.
export class Graph {
  // on: {select(step id)}; skew: see words.js
  constructor(on, skew) {
    this.on = on;
    this.skew = skew;
    this.boxes = new Map();
    this.edges = svg("svg", { class: "edges", "aria-hidden": "true" });
    this.heads = el("div", { class: "stages" });
    this.area = el("div", { class: "graph-area" }, this.edges, this.heads);
    this.node = el("div", { class: "graph", role: "group", "aria-label": "Steps of the build: arrows move, enter selects" }, this.area);
    this.node.addEventListener("keydown", (e) => this.arrows(e));
    for (const by of ["wheel", "pointerdown", "keydown"]) this.node.addEventListener(by, () => (this.led = true), { passive: true });
    new ResizeObserver(() => this.shape && this.place()).observe(this.node);
  }

  clear() {
    for (const b of this.boxes.values()) b.node.remove();
    this.boxes.clear();
    this.shape = null;
    this.led = false; // whether the visitor scrolls
    this.key = "";
  }

  // show draws the steps anew only where their order has changed.
  show(steps, selected) {
    const key = steps.map((s) => `${s.id} ${s.stage} ${s.line} ${s.kind} ${s.inputs}`).join("\n");
    if (key !== this.key) {
      this.key = key;
      this.shape = layout(steps);
      this.make();
      this.place();
    }
    for (const s of steps) this.boxes.get(s.id)?.update(s, s.id === selected);
    this.colourEdges();
    const tab = this.boxes.get(selected) ?? this.boxes.values().next().value;
    for (const b of this.boxes.values()) b.node.tabIndex = b === tab ? 0 : -1;
  }

  make() {
    const seen = new Set();
    for (const c of this.shape.columns)
      for (const { step } of c.boxes) {
        seen.add(step.id);
        if (this.boxes.has(step.id)) continue;
        const box = new StepBox(step.id, this.on.select, this.skew);
        this.boxes.set(step.id, box);
        this.area.append(box.node);
      }
    for (const [id, b] of this.boxes) {
      if (seen.has(id)) continue;
      b.node.remove();
      this.boxes.delete(id);
    }
    this.heads.replaceChildren(
      ...this.shape.columns.map((c) =>
        el("span", { class: "stage" }, line(c.name, 80) || (this.shape.columns.length > 1 ? "other images" : "")),
      ),
    );
    this.lines = this.shape.edges.map(([from, to]) => ({ from, to, path: svg("path", { class: "edge" }) }));
    this.edges.replaceChildren(...this.lines.map((l) => l.path));
  }

  place() {
    const { columns, rows } = this.shape,
      n = Math.max(1, columns.length);
    const free = this.node.clientWidth - 2 * MARGIN - (n - 1) * BETWEEN;
    const width = Math.round(Math.min(MOST, Math.max(LEAST, free / n)));
    const { box, row } = width < NARROW ? TALL : FLAT;
    this.head = this.heads.textContent ? NAMED : NAMELESS;
    const whole = 2 * MARGIN + n * width + (n - 1) * BETWEEN,
      high = this.head + rows * row + MARGIN - (row - box);
    this.at = new Map();
    columns.forEach((c, i) => {
      const x = MARGIN + i * (width + BETWEEN);
      Object.assign(this.heads.children[i].style, { left: `${x}px`, width: `${width}px` });
      for (const b of c.boxes) {
        const y = this.head + b.row * row;
        this.at.set(b.step.id, { x, y, width, box, column: i, row: b.row });
        Object.assign(this.boxes.get(b.step.id).node.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${box}px` });
      }
    });
    this.heads.hidden = this.head === NAMELESS;
    this.area.classList.toggle("flat", box === FLAT.box);
    Object.assign(this.area.style, { width: `${whole}px`, height: `${high}px` });
    Object.assign(this.edges.style, { width: `${whole}px`, height: `${high}px` });
    for (const l of this.lines) l.path.setAttribute("d", this.curve(this.at.get(l.from), this.at.get(l.to), row - box));
  }

  // curve leads from the foot of one box to the head of another; to another column it turns in the gap above that.
  curve(a, b, gap) {
    if (!a || !b) return "";
    const from = { x: a.x + (a.column === b.column ? 20 : a.width / 2), y: a.y + a.box },
      to = { x: b.x + (a.column === b.column ? 20 : b.width / 2), y: b.y };
    if (a.column === b.column) return `M${from.x} ${from.y}V${to.y}`;
    const bend = Math.min(gap * 2, Math.max(gap, (to.y - from.y) / 2));
    return `M${from.x} ${from.y}C${from.x} ${from.y + bend} ${to.x} ${to.y - bend} ${to.x} ${to.y}`;
  }

  colourEdges() {
    for (const l of this.lines ?? []) {
      const to = this.boxes.get(l.to)?.state;
      l.path.setAttribute("class", `edge ${to === "running" ? "live" : to === "waiting" ? "idle" : ""}`);
    }
  }

  // follow brings a running step into sight, unless the visitor scrolls.
  follow(id) {
    if (this.led || !this.at?.has(id)) return;
    const { y, box, x, width } = this.at.get(id);
    const { scrollTop: top, clientHeight: high, scrollLeft: left, clientWidth: wide } = this.node;
    if (y + box + 8 > top + high || y - this.head < top) this.node.scrollTop = y - high / 2;
    if (x + width > left + wide || x < left) this.node.scrollLeft = x - MARGIN;
  }

  tick() {
    for (const b of this.boxes.values()) b.tick();
  }

  arrows(e) {
    const id = e.target.closest?.(".step")?.dataset.step,
      here = id !== undefined && this.at?.get(id);
    const way = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[e.key];
    if (!here || !way) return;
    e.preventDefault();
    const [dx, dy] = way;
    let best = null;
    for (const [other, at] of this.at) {
      const inWay = dy ? at.column === here.column && (at.row - here.row) * dy > 0 : (at.column - here.column) * dx > 0;
      const far = Math.abs(at.column - here.column) * 1000 + Math.abs(at.row - here.row);
      if (inWay && (!best || far < best.far)) best = { other, far };
    }
    if (!best) return;
    const to = this.boxes.get(best.other).node;
    for (const b of this.boxes.values()) b.node.tabIndex = b.node === to ? 0 : -1;
    to.focus();
  }
}
