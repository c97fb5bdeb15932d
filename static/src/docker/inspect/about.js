import { bytes, el } from "../../dom.js";
import { facts } from "../rows.js";
import { grid } from "./smaller.js";
import { shown } from "./shown.js";

const MOST = 200; // of a list

const when = (text) => {
  const ms = Date.parse(text);
  return ms > 0 ? new Date(ms).toLocaleString() : "";
};
const quoted = (all) => (all ?? []).map((a) => (/^[\w./:=@%+-]+$/.test(a) ? a : shown(JSON.stringify(String(a))))).join(" ");
const many = (all) =>
  (all ?? [])
    .slice(0, MOST)
    .map((x) => shown(x))
    .join("\n");
const keys = (o) => many(Object.keys(o ?? {}));

// about is an image's configuration, environment and history.
export function about(image) {
  const c = image.config ?? {};
  const health = c.Healthcheck?.Test?.length ? quoted(c.Healthcheck.Test) : "";
  const list = facts([
    ["id", shown(image.id)],
    ["names", many(image.names)],
    ["digests", many(image.digests)],
    ["platform", shown([image.os, image.architecture, image.variant].filter(Boolean).join("/"))],
    ["made", when(image.created)],
    ["author", shown(image.author)],
    ["entrypoint", quoted(c.Entrypoint)],
    ["command", quoted(c.Cmd)],
    ["works in", shown(c.WorkingDir)],
    ["user", shown(c.User)],
    ["exposes", keys(c.ExposedPorts)],
    ["volumes", keys(c.Volumes)],
    ["stop signal", shown(c.StopSignal)],
    ["health check", health],
    ["shell", quoted(c.Shell)],
    ["on build", many(c.OnBuild)],
    ["labels", many(Object.entries(c.Labels ?? {}).map(([k, v]) => `${k}=${v}`))],
  ]);
  const env = (c.Env ?? []).slice(0, MOST).map((e) => {
    const at = e.indexOf("=");
    return el(
      "tr",
      {},
      el("td", { class: "mono" }, shown(e.slice(0, at < 0 ? e.length : at))),
      el("td", { class: "mono path" }, at < 0 ? "" : shown(e.slice(at + 1))),
    );
  });
  const history = image.layers.map((l) =>
    el(
      "tr",
      {},
      el("td", { class: "number" }, String(l.index + 1)),
      el("td", {}, when(l.created)),
      el("td", { class: "number" }, l.empty ? "" : bytes(l.size)),
      el("td", { class: "mono path" }, shown(l.created_by) || "—", l.comment && el("span", { class: "soft" }, ` (${shown(l.comment)})`)),
    ),
  );
  return el(
    "div",
    { class: "inspect-page" },
    el("h3", {}, "Configuration"),
    list,
    el("h3", {}, "Environment"),
    env.length ? grid(["name", "value"], env) : el("p", { class: "soft" }, "It sets no variables."),
    el("h3", {}, "History"),
    grid(["", "when", "size", "made by"], history),
  );
}
