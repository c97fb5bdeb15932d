import { bytes, el } from "../../dom.js";
import { grid } from "./smaller.js";
import { MARKS, count, fullNameOf, plural, shown } from "./shown.js";
import { Window } from "./window.js";

const title = (side) =>
  shown(
    side.names?.[0] ??
      String(side.id)
        .replace(/^sha256:/, "")
        .slice(0, 12),
  );
const signed = (n) => (n < 0 ? `−${bytes(-n)}` : `+${bytes(n)}`);

// compared are two images side by side. c: the answer of /image/compare.
export function compared(c) {
  const f = c.files,
    [a, b] = [title(c.a), title(c.b)];
  const page = el("div", { class: "inspect-page" });
  page.append(
    grid(
      ["", a, b],
      [
        line("size", bytes(c.a.size), `${bytes(c.b.size)} (${signed(c.b.size - c.a.size)})`),
        line("platform", shown(`${c.a.os}/${c.a.architecture}`), shown(`${c.b.os}/${c.b.architecture}`)),
        line("layers", ...sides(c)),
      ],
    ),
    el(
      "p",
      {},
      `They share ${plural(c.shared.layers, "layer")} of ${bytes(c.shared.bytes)}. ` +
        `${b} has ${plural(f.added, "more file", "more files")} (+${bytes(f.added_bytes)}), lacks ${count(f.removed)} (−${bytes(f.removed_bytes)}), and has ${count(f.changed)} differently (${signed(f.changed_bytes)}).` +
        (f.unread ? ` ${plural(f.unread, "file")} of one size were compared by their times alone.` : ""),
    ),
  );
  page.append(
    el("h3", {}, "Layers"),
    grid(
      ["in", "size", "made by"],
      c.layers.map((l) =>
        el(
          "tr",
          {},
          el("td", {}, { a, b, both: "both" }[l.in]),
          el("td", { class: "number" }, bytes(l.size)),
          el("td", { class: "mono path" }, shown(l.instruction)),
        ),
      ),
    ),
  );
  if (c.config.length)
    page.append(
      el("h3", {}, "Configuration"),
      grid(
        ["", a, b],
        c.config.map((x) => line(shown(x.name), shown(x.a) || "—", shown(x.b) || "—", "mono path")),
      ),
    );
  page.append(el("h3", {}, "Files"));
  if (!f.entries.length) page.append(el("p", { class: "soft" }, "All files are the same."));
  else page.append(files(f));
  return page;
}

function line(name, x, y, className = "") {
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: className }, x), el("td", { class: className }, y));
}

function sides(c) {
  const own = (side) => c.layers.filter((l) => l.in === side).length;
  return ["a", "b"].map((s) => `${c.shared.layers} shared, ${own(s)} of its own`);
}

// files are the largest differences.
function files(f) {
  const list = new Window({ role: "listbox", rowRole: "option", label: "Files that differ", make: (i) => row(f.entries[i]) });
  const box = el("div", { class: "compare-files" }, list.node);
  if (f.count > f.entries.length)
    box.append(el("p", { class: "soft" }, `These are the ${count(f.entries.length)} largest of ${count(f.count)}.`));
  list.show(f.entries.length);
  return box;
}

function row(d) {
  const dir = d.type === "directory";
  const name = fullNameOf(d);
  const size =
    d.change === "changed"
      ? d.before === d.after
        ? bytes(d.after)
        : `${bytes(d.before)} → ${bytes(d.after)}`
      : bytes(d.change === "added" ? d.after : d.before);
  const more = dir && d.change !== "changed" ? plural(d.files, "file") : (d.why ?? "");
  const node = el(
    "div",
    { class: `row ${d.change} ${dir ? "dir" : ""}` },
    el("span", { class: "mark", "aria-hidden": "true" }, MARKS[d.change]),
    el("span", { class: "file-name" }, name + (dir ? "/" : "")),
    el("span", { class: "below" }, more),
    el("span", { class: "file-size" }, size),
  );
  node.setAttribute("aria-label", [name, d.change, size, more].filter(Boolean).join(", "));
  node.setAttribute("aria-selected", "false");
  return node;
}
