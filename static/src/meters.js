import uPlot from "uplot";
import { byId, bytes, el } from "./dom.js";
import { onTheme } from "./themes.js";

const POINTS = 120; // about two minutes
const HIGH = 0.85; // of the limit: from here on the figure is marked
const PHONE = matchMedia("(max-width: 600px)");

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const atTime = (s) => new Date(s * 1000).toLocaleTimeString([], { hour12: false });

// The meters: what is shown, of what, and in which words.
function kinds(limits) {
  const percent = (v) => `${Math.round(v * 100)}%`;
  const rate = (v) => bytes(v) + "/s";
  return [
    { id: "cpu", name: "cpu", limit: limits.cpus, short: (v) => percent(v / limits.cpus), long: (v) => `${v.toFixed(2)} of ${limits.cpus} CPU`, axis: (v) => v.toFixed(1) },
    { id: "memory", name: "mem", limit: limits.memory_bytes, short: (v) => percent(v / limits.memory_bytes), long: (v) => `${bytes(v)} of ${bytes(limits.memory_bytes)} memory`, axis: bytes },
    { id: "disk", name: "disk", limit: limits.disk_bytes, short: (v) => percent(v / limits.disk_bytes), long: (v) => `${bytes(v)} of ${bytes(limits.disk_bytes)} disk`, axis: bytes },
    { id: "pids", name: "procs", limit: limits.pids, short: (v) => String(v), long: (v) => `${v} of ${limits.pids} processes`, axis: String },
    { id: "network", name: "net", limit: limits.bandwidth / 8, short: rate, long: (v) => `${rate(v)}${limits.bandwidth ? ` of ${rate(limits.bandwidth / 8)}` : ""} network`, axis: bytes },
  ];
}

export class Meters {
  constructor(limits) {
    this.kinds = kinds(limits);
    this.times = [];
    this.root = byId("meters");
    this.panel = byId("panel");
    for (const k of this.kinds) this.build(k);
    onTheme(() => this.redraw());
    PHONE.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.resize()).observe(this.panel);
  }

  build(k) {
    k.values = [];
    k.figure = el("span", { class: "meter-value" }, "–");
    k.spark = el("span", { class: "meter-spark", "aria-hidden": "true" });
    k.button = el("button", { type: "button", class: "meter quiet", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.toggle() },
      el("span", { class: "meter-name" }, k.name), k.spark, k.figure);
    this.root.append(k.button);
  }

  // add takes one usage event. Counters become rates; a machine that was found again starts anew.
  add(u) {
    const at = Date.parse(u.at) / 1000, before = this.last;
    this.last = u;
    if (!before) return this.push(at, [null, u.memory_bytes, u.disk_bytes, u.pids, null]);
    const dt = at - Date.parse(before.at) / 1000;
    if (dt <= 0) return;
    const perSecond = (now, then) => Math.max(0, now - then) / dt;
    this.push(at, [perSecond(u.cpu_ns, before.cpu_ns) / 1e9, u.memory_bytes, u.disk_bytes, u.pids,
      perSecond(u.received_bytes + u.sent_bytes, before.received_bytes + before.sent_bytes)]);
  }

  push(at, values) {
    this.times.push(at);
    if (this.times.length > POINTS) this.times.shift();
    this.kinds.forEach((k, i) => {
      k.values.push(values[i]);
      if (k.values.length > POINTS) k.values.shift();
      const v = values[i];
      if (v === null) return;
      k.figure.textContent = k.short(v);
      k.button.title = k.long(v);
      k.button.setAttribute("aria-label", k.long(v));
      k.button.classList.toggle("high", k.limit > 0 && v >= k.limit * HIGH);
      if (k.caption) k.caption.textContent = k.long(v);
      this.draw(k);
    });
  }

  data(k) {
    return k.limit > 0 ? [this.times, k.values, this.times.map(() => k.limit)] : [this.times, k.values];
  }

  draw(k) {
    if (!PHONE.matches) {
      k.plot ??= this.plot(k, k.spark, { width: 48, height: 20 });
      k.plot.setData([this.times, k.values]);
    }
    k.large?.setData(this.data(k));
  }

  range(k) {
    return (_, __, most) => [0, k.limit > 0 ? Math.max(k.limit, most ?? 0) * 1.02 : Math.max(1, (most ?? 0) * 1.1)];
  }

  plot(k, where, { width, height, large = false }) {
    const ours = css("--ours"), grid = css("--line"), text = css("--soft");
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: `11px ${css("--sans")}` };
    const series = [{}, { stroke: ours, width: 1.5, fill: ours + "26", points: { show: false }, spanGaps: true }];
    if (large && k.limit > 0) series.push({ stroke: css("--danger"), width: 1, dash: [4, 4], points: { show: false } });
    return new uPlot({
      width, height, series, legend: { show: false }, cursor: { show: false }, padding: large ? [8, 8, 0, 0] : [1, 0, 1, 0],
      scales: { x: { time: large }, y: { range: this.range(k) } },
      axes: large ? [{ ...axis, space: 72, size: 24, values: (_, all) => all.map(atTime) }, { ...axis, size: 64, values: (_, all) => all.map(k.axis), ...(k.limit > 0 && { splits: [0, k.limit / 2, k.limit] }) }] : [{ show: false }, { show: false }],
    }, large ? this.data(k) : [this.times, k.values], where);
  }

  toggle(open = this.panel.hidden) {
    this.panel.hidden = !open;
    this.kinds.forEach((k) => k.button.setAttribute("aria-expanded", String(open)));
    if (open) this.fill();
    else this.empty();
  }

  fill() {
    this.panel.replaceChildren(el("button", { type: "button", class: "quiet panel-close", "aria-label": "Close", onclick: () => this.toggle(false) }, "×"));
    const row = el("div", { class: "charts" });
    this.panel.append(row);
    for (const k of this.kinds) {
      k.caption = el("figcaption", {}, k.button.title || k.name);
      k.chart = el("div", { class: "chart" });
      row.append(el("figure", {}, k.caption, k.chart));
    }
    for (const k of this.kinds) k.large = this.plot(k, k.chart, { width: Math.max(160, k.chart.clientWidth), height: 112, large: true });
  }

  empty() {
    for (const k of this.kinds) {
      k.large?.destroy();
      k.large = k.caption = k.chart = null;
    }
    this.panel.replaceChildren();
  }

  resize() {
    for (const k of this.kinds) if (k.large) k.large.setSize({ width: Math.max(160, k.chart.clientWidth), height: 112 });
  }

  redraw() {
    for (const k of this.kinds) {
      k.plot?.destroy();
      k.plot = null;
    }
    if (!this.panel.hidden) {
      this.empty();
      this.fill();
    }
    if (this.times.length) this.kinds.forEach((k) => this.draw(k));
  }
}
