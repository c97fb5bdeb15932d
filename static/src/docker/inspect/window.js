import { el } from "../../dom.js";

const SPARE = 8; // rows above and below what is seen

// Window shows the rows of a long list of which only those in sight are elements. One of them is current: the keyboard moves it,
// and a screen reader follows it by aria-activedescendant.
export class Window {
  // role, label: of the list; make(i) → the element of row i; on: current(i), press(i, event), key(event, i) → true: taken
  constructor({ role, label, make, on = {}, rowRole }) {
    this.make = make;
    this.on = on;
    this.rowRole = rowRole;
    this.length = 0;
    this.current = 0;
    this.rows = new Map();
    this.space = el("div", { class: "window-space", role: "presentation" });
    this.node = el("div", { class: "window", role, "aria-label": label, tabindex: "0" }, this.space);
    this.id = "w" + Math.random().toString(36).slice(2, 8);
    this.node.addEventListener("scroll", () => this.draw(), { passive: true });
    this.node.addEventListener("keydown", (e) => this.key(e));
    this.node.addEventListener("mousedown", (e) => this.press(e));
    this.node.addEventListener("click", (e) => this.click(e));
    this.node.addEventListener("focus", () => this.mark());
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.node);
  }

  get rowHeight() {
    return this.height || (this.height = Number.parseFloat(getComputedStyle(this.node).getPropertyValue("--row")) || 24);
  }

  // resized: on a phone rows are higher.
  resized() {
    const before = this.height;
    this.height = 0;
    if (before && this.rowHeight !== before) this.stretch();
    else this.draw();
  }

  stretch() {
    this.space.style.height = `${this.length * this.rowHeight}px`;
    this.redraw();
  }

  // show sets how many rows there are, and draws all anew.
  show(length, { keep = false } = {}) {
    this.length = length;
    this.height = 0;
    if (!keep) {
      this.current = 0;
      this.node.scrollTop = 0;
    }
    this.current = Math.max(0, Math.min(this.current, length - 1));
    this.stretch();
  }

  redraw() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.draw();
  }

  // draw makes the rows that have come into sight, and drops those that have left.
  draw() {
    if (!this.node.clientHeight) return;
    const h = this.rowHeight;
    const from = Math.max(0, Math.floor(this.node.scrollTop / h) - SPARE);
    const to = Math.min(this.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / h) + SPARE);
    for (const [i, row] of this.rows) {
      if (i >= from && i < to) continue;
      row.remove();
      this.rows.delete(i);
    }
    for (let i = from; i < to; i++) {
      if (this.rows.has(i)) continue;
      const row = this.make(i);
      row.id = `${this.id}-${i}`;
      row.dataset.i = i;
      row.setAttribute("role", this.rowRole);
      row.style.transform = `translateY(${i * h}px)`;
      this.rows.set(i, row);
      this.space.append(row);
    }
    this.mark();
  }

  mark() {
    for (const [i, row] of this.rows) row.classList.toggle("current", i === this.current);
    if (this.rows.has(this.current)) this.node.setAttribute("aria-activedescendant", `${this.id}-${this.current}`);
    else this.node.removeAttribute("aria-activedescendant");
  }

  go(i) {
    if (!this.length) return;
    this.current = Math.max(0, Math.min(this.length - 1, i));
    const h = this.rowHeight,
      top = this.current * h;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + h > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + h - this.node.clientHeight;
    this.draw();
    this.on.current?.(this.current);
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight) - 1);
    const to = {
      ArrowDown: this.current + 1,
      ArrowUp: this.current - 1,
      PageDown: this.current + page,
      PageUp: this.current - page,
      Home: 0,
      End: this.length - 1,
    }[e.key];
    if (to !== undefined) this.go(to);
    else if (e.key === "Enter" || e.key === " ") this.length && this.on.press?.(this.current, e);
    else if (!this.on.key?.(e, this.current)) return;
    e.preventDefault();
    e.stopPropagation();
  }

  rowOf(e) {
    const row = e.target.closest?.("[data-i]");
    return row && this.node.contains(row) ? Number(row.dataset.i) : -1;
  }

  press(e) {
    const i = this.rowOf(e);
    if (i < 0) return;
    this.current = i;
    this.mark();
  }

  click(e) {
    const i = this.rowOf(e);
    if (i >= 0) this.on.press?.(i, e);
  }
}
