import { bytes, el } from "../dom.js";
import { ACTIONS, act, allowed, askRemove } from "./actions.js";
import { Doing, button, cell, facts, text, wide } from "./rows.js";
import { limits, line, nameOf, portURL, ports, shortID, stateOf, typable } from "./words.js";

const HIGH = 0.85; // of a limit: from here on the figure is marked

// Container is one row: what it is, how it does, what it uses, what can be done.
export class Container {
  constructor(view) {
    this.view = view;
    this.doing = new Doing();
    this.name = el("strong");
    this.image = el("span", { class: "mono soft" });
    this.opener = el(
      "button",
      { type: "button", class: "opener", "aria-expanded": "false", onclick: () => this.toggle() },
      el("span", {}, this.name),
    );
    this.dot = el("i", { class: "dot", "aria-hidden": "true" });
    this.word = el("span");
    this.more = el("span", { class: "soft" });
    this.ports = cell("ports");
    this.cpu = meter();
    this.memory = meter();
    this.actions = cell("acts");
    this.inner = el("div", { role: "cell", class: "opened" });
    this.details = wide(this.inner);
    this.row = el(
      "div",
      { role: "row", class: "item" },
      cell("what", this.opener, this.image),
      cell("state", el("span", { class: "state-word" }, this.dot, this.word), this.more),
      this.ports,
      cell("figure cpu", ...this.cpu.parts),
      cell("figure memory", ...this.memory.parts),
      this.actions,
    );
    this.node = el("div", { class: "entry", role: "presentation" }, this.row, this.doing.node, this.details);
  }

  update(item) {
    this.item = item;
    this.paint();
  }

  paint() {
    const { item } = this,
      seen = this.view.inspected(item.Id);
    const name = nameOf(item),
      s = stateOf(item, seen);
    text(this.name, name);
    text(this.image, line(item.Image, 120));
    this.image.title = line(item.Image);
    text(this.word, s.word);
    text(this.more, s.more.filter(Boolean).join(" · "));
    this.dot.className = `dot ${s.state} ${s.bad ? "bad" : ""}`;
    this.row.classList.toggle("bad", s.bad);
    this.node.classList.toggle("off", !s.on);
    this.opener.setAttribute("aria-label", `${name}, ${s.word}: details`);
    this.paintPorts(name);
    this.paintActions(name, s.state);
    this.paintUsage();
    if (!this.details.hidden) this.paintDetails();
  }

  paintPorts(name) {
    const all = ports(this.item),
      drawn = JSON.stringify(all);
    if (drawn === this.drawnPorts) return;
    this.drawnPorts = drawn;
    this.ports.replaceChildren(...all.slice(0, 12).map((p) => portOf(p, name, this.view.session)));
    if (all.length > 12) this.ports.append(el("span", { class: "soft" }, `and ${all.length - 12} more`));
  }

  paintActions(name, state) {
    const running = state === "running",
      key = `${name} ${state} ${Boolean(this.busy)}`;
    if (key === this.drawnActions) return;
    this.drawnActions = key;
    const had = this.actions.contains(document.activeElement) && document.activeElement.textContent;
    const made = [
      running && typable(name, this.item.Id) && button("shell", `Shell in ${name}`, () => this.view.shell(this.item)),
      button("logs", `Logs of ${name}`, () => this.view.openLogs(this.item)),
      allowed("stop", state) && state !== "paused" && this.do("stop", name),
      allowed("start", state) && this.do("start", name),
      state === "paused" && this.do("unpause", name),
      button("remove", `Remove ${name}`, () => askRemove(this.view, this), "danger"),
    ].filter(Boolean);
    for (const b of made) if (this.busy && !/logs|shell/.test(b.textContent)) b.disabled = true;
    this.actions.replaceChildren(...made);
    if (had !== false) (made.find((b) => b.textContent === had && !b.disabled) ?? this.opener).focus();
  }

  do(action, name) {
    return button(ACTIONS[action].word, `${ACTIONS[action].word} ${name}`, () => act(this.view, this, action));
  }

  // use takes a reading of Stats; null: it does not run.
  use(reading) {
    this.reading = reading;
    this.paintUsage();
  }

  paintUsage() {
    const own = limits(this.view.inspected(this.item.Id)),
      machine = this.view.limits;
    const r = this.item.State === "running" ? this.reading : null;
    const cpus = own.cpus || machine.cpus,
      most = own.memory || machine.memory_bytes;
    show(
      this.cpu,
      r && Number.isFinite(r.cpu) ? `${(r.cpu * 100).toFixed(r.cpu < 0.1 ? 1 : 0)}%` : "",
      own.cpus ? `${r ? "of" : "up to"} ${number(own.cpus)}` : "",
      r?.cpu / cpus,
    );
    show(
      this.memory,
      r && Number.isFinite(r.memory) ? bytes(r.memory) : "",
      own.memory ? `${r ? "of" : "up to"} ${bytes(own.memory)}` : "",
      r?.memory / most,
    );
  }

  toggle(open = this.details.hidden) {
    this.details.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    this.paintDetails();
    this.view.inspect(this.item.Id);
  }

  paintDetails() {
    const { item } = this,
      seen = this.view.inspected(item.Id),
      own = limits(seen),
      name = nameOf(item);
    const rest = ["restart", "pause", "kill"].filter((a) => allowed(a, item.State));
    const made = facts([
      ["id", shortID(item.Id)],
      ["command", line(item.Command)],
      ["limits", seen ? words(own) : "…"],
      ["restart", line(seen?.HostConfig?.RestartPolicy?.Name, 40).replace(/^no$/, "")],
      [
        "networks",
        Object.entries(item.NetworkSettings?.Networks ?? {})
          .map(([n, at]) => line(`${n} ${at?.IPAddress ?? ""}`, 60))
          .join(", "),
      ],
      [
        "mounts",
        (item.Mounts ?? [])
          .slice(0, 20)
          .map((m) => line(`${m.Name ?? m.Source} → ${m.Destination}${m.RW ? "" : " (read only)"}`, 120))
          .join("\n"),
      ],
      ["processes", this.reading?.pids >= 0 ? String(this.reading.pids) : ""],
    ]);
    const key = made.textContent + rest.join() + this.busy;
    if (key === this.drawnDetails) return;
    this.drawnDetails = key;
    const had = this.details.contains(document.activeElement) && document.activeElement.textContent;
    const acts = rest.map((a) => this.do(a, name));
    acts.forEach((b) => (b.disabled = Boolean(this.busy)));
    const volumes = (item.Mounts ?? []).filter((m) => m.Type === "volume" && typeof m.Name === "string").slice(0, 6);
    const browse = (name) => document.dispatchEvent(new CustomEvent("berth:browse-volume", { detail: { name } }));
    acts.unshift(...volumes.map((m) => button(`browse ${line(m.Name, 12)}`, `Browse volume ${line(m.Name, 80)} of ${name}`, () => browse(m.Name))));
    acts.unshift(button("what changed", `What changed in ${name}`, () => this.view.whatChanged(item.Id)));
    this.inner.replaceChildren(made, el("div", { class: "acts" }, ...acts));
    if (had) (acts.find((b) => b.textContent === had && !b.disabled) ?? this.opener).focus();
  }
}

function meter() {
  const value = el("span", { class: "value" }),
    of = el("span", { class: "soft" }),
    fill = el("i");
  const bar = el("span", { class: "bar-of", "aria-hidden": "true", hidden: true }, fill);
  return { value, of, fill, bar, parts: [el("span", {}, value, " ", of), bar] };
}

function show(m, value, of, share) {
  text(m.value, value);
  text(m.of, of);
  m.bar.hidden = !value;
  if (Number.isFinite(share)) m.fill.style.width = `${Math.min(100, Math.max(1, share * 100))}%`;
  m.bar.parentElement.classList.toggle("high", share >= HIGH);
}

const number = (n) => String(Number(n.toFixed(2)));

function words({ memory, cpus, pids }) {
  const all = [memory && `${bytes(memory)} memory`, cpus && `${number(cpus)} CPU`, pids && `${pids} processes`].filter(Boolean);
  return all.length ? all.join(", ") : "none of its own: those of the machine";
}

function portOf(p, name, session) {
  const href = p.open && p.type === "tcp" ? portURL(p.open, session) : "";
  if (!href) return el("span", { class: "port soft" }, p.open ? `${p.open} → ${p.inner}/${p.type}` : `${p.inner}/${p.type}`);
  return el(
    "a",
    { class: "port", href, target: "_blank", rel: "noopener noreferrer", title: `Open port ${p.open} of ${name}` },
    `${p.open} → ${p.inner}`,
    el("span", { "aria-hidden": "true" }, " ↗"),
  );
}
