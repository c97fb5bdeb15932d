import { bytes, el } from "../../dom.js";
import { button } from "../rows.js";
import { count, percent, plural, shown } from "./shown.js";

// smaller says what an image wastes, and what to write instead. toLayer(index, path): shows it there.
export function smaller(image, toLayer) {
  const w = image.waste;
  const node = el("div", { class: "inspect-page" });
  const sums = w.bytes
    ? `${bytes(w.bytes)} of ${bytes(image.size)} are in the image and never seen: ${plural(w.count, "file")} ` +
      `that a later layer rewrote or removed. Its efficiency is ${percent(w.efficiency)}.`
    : `No file is rewritten or removed by a later layer. Its efficiency is ${percent(w.efficiency)}.`;
  node.append(el("p", {}, sums));
  if (!w.advice.length) node.append(el("p", { class: "soft" }, "There is nothing that would obviously make it smaller."));
  else node.append(el("h3", {}, "What would make it smaller"), el("ol", { class: "advice" }, ...w.advice.map((a) => advice(a, toLayer))));
  if (w.files.length) node.append(el("h3", {}, "Bytes that nobody sees"), wasted(w, toLayer));
  return node;
}

function advice(a, toLayer) {
  return el(
    "li",
    {},
    el("p", {}, ...coded(a.text)),
    el(
      "p",
      { class: "advice-foot" },
      el("span", { class: "soft" }, `about ${bytes(a.bytes)}`),
      button(`layer ${a.layer + 1}`, `Show layer ${a.layer + 1}`, () => toLayer(a.layer)),
    ),
  );
}

// coded sets what stands between backticks as code.
function coded(text) {
  return shown(text)
    .split("`")
    .map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

function wasted(w, toLayer) {
  const rows = w.files.map((f) =>
    el(
      "tr",
      {},
      el("td", { class: "number" }, bytes(f.bytes)),
      el("td", {}, f.kind),
      el("td", { class: "mono path" }, shown(f.path)),
      el("td", { class: "layers-of" }, ...f.layers.slice(0, 12).map((l) => button(String(l + 1), `Show layer ${l + 1}`, () => toLayer(l)))),
    ),
  );
  const more = w.count > w.files.length && el("p", { class: "soft" }, `and ${count(w.count - w.files.length)} smaller ones`);
  return el("div", {}, grid(["bytes", "what", "file", "in layers"], rows), more);
}

// grid is a table of the inspector.
export function grid(names, rows) {
  const head = el("tr", {}, ...names.map((n) => el("th", { scope: "col" }, n)));
  return el("div", { class: "grid-of" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}
