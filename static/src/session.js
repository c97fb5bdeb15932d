import { API } from "./api.js";
import { Builds } from "./builds.js";
import { Clock } from "./clock.js";
import { Column } from "./column.js";
import { Dock } from "./dock.js";
import { Documents } from "./documents.js";
import { byId, confirmIn } from "./dom.js";
import { Feed } from "./feed.js";
import { Store } from "./files/store.js";
import { Watch } from "./files/watch.js";
import { keyRow } from "./keys.js";
import { Meters } from "./meters.js";
import { Notices } from "./notices.js";
import { Palette } from "./palette.js";
import { Ports } from "./ports.js";
import { pref, setPref } from "./prefs.js";
import { Tabs } from "./tabs.js";
import { isDark, toggleTheme } from "./themes.js";

const start = JSON.parse(document.body.dataset.session);
const api = new API(start.session.id);
const notices = new Notices();
const tabs = new Tabs(start.session, api, notices);
const store = new Store(api.base);
const watch = new Watch(store);
const column = new Column({ session: start.session, store, watch, notices });
const time = new Clock(start.now);
const builds = new Builds(api);
const dock = new Dock({ session: start.session, api, tabs, notices, column, builds, skew: () => time.skew });
builds.watch((list) => dock.building(list));
const documents = new Documents({ session: start.session, api, store, watch, tabs, notices, toShell: () => dock.leave() });
const ports = new Ports(start.session, api);
const meters = new Meters(start.session.limits);
let state = "";

function onSession(s) {
  time.set(s);
  if (s.state === "queued") {
    const place = byId("place");
    if (place) place.textContent = String(Math.max(1, s.queue_position ?? 1));
  }
  if (s.state === state) return;
  state = s.state;
  document.body.dataset.state = state;
  switch (state) {
    case "starting":
      return wait(`Starting ${start.title}`, "Its disk, network and shell are being made. This usually takes less than a second.");
    case "ready":
      dock.ready();
      column.ready();
      ports.start();
      builds.start();
      return void tabs.load();
    case "ending":
      tabs.stop();
      stopFiles();
      dock.stop();
      ports.stop();
      builds.stop();
      notices.clear();
      return wait("Ending", "The machine is being taken down. This takes a second or two.");
    case "ended":
      return leave();
  }
}

function stopFiles() {
  column.stop();
  watch.stop();
}

function wait(title, text) {
  byId("place")?.remove();
  byId("waiting-title").textContent = title;
  byId("waiting-text").textContent = text;
  byId("waiting").hidden = false;
}

// leave shows why the session ended: the same address is that page now.
function leave() {
  feed.stop();
  tabs.stop();
  stopFiles();
  dock.stop();
  ports.stop();
  builds.stop();
  time.stop();
  location.reload();
}

const feed = new Feed(api, {
  session: onSession,
  usage: (u) => {
    meters.add(u);
    notices.settle(u, start.session.limits);
  },
  notice: (n) => notices.show(n.kind, n.message, n.kind === "pids" && { name: "End all programs", run: endPrograms }),
  gone: leave,
});

async function extend() {
  if (byId("extend").disabled) return;
  byId("extend").disabled = true;
  try {
    const s = await api.extend();
    onSession(s);
    notices.hide("expiring");
    notices.show("good", `Extended: it ends at ${new Date(Date.parse(s.expires_at) - time.skew).toLocaleTimeString([], { timeStyle: "short" })}.`);
    setTimeout(() => notices.hide("good"), 6000);
  } catch (err) {
    notices.show("extend", err.message);
    byId("extend").disabled = false;
  }
  tabs.focus();
}

async function end() {
  const sure = await confirmIn({ title: "End this session?", text: "The machine and every file on it are deleted. This cannot be undone.", yes: "End it" });
  if (!sure) return tabs.focus();
  byId("end").disabled = true;
  try {
    await api.end();
  } catch (err) {
    if (err.status === 404 || err.status === 410) return leave();
    byId("end").disabled = false;
    notices.show("end", err.message);
  }
}

async function endPrograms() {
  const sure = await confirmIn({ title: "End all programs?", text: "Every program of this machine ends, the shells too. Files stay, and shells can be started again.", yes: "End them" });
  if (!sure) return tabs.focus();
  try {
    const { ended } = await api.endProcesses();
    notices.hide("pids");
    notices.show("good", `${ended} programs ended.`);
    setTimeout(() => notices.hide("good"), 6000);
  } catch (err) {
    notices.show("end", err.message);
  }
  tabs.focus();
}

function toggle(name, on, off) {
  const next = pref(name) === on ? off : on;
  setPref(name, next);
  return next === on;
}

function actions() {
  const ready = state === "ready";
  return [
    { name: "Go to the shell", keys: "ctrl-`", run: () => dock.toShell(), off: !ready },
    { name: "New terminal", run: () => toTab(() => tabs.open()), off: !ready || byId("new-tab").disabled },
    { name: tabs.active?.document ? "Close this file" : "Close this terminal", run: () => tabs.close(tabs.active), off: !ready || !tabs.active },
    ...tabs.list.slice(0, 9).map((t, i) => ({ name: `${t.document ? "File" : "Terminal"} ${t.label.textContent}`, keys: `ctrl-${i + 1}`, run: () => toTab(() => tabs.activate(t)), off: !ready })),
    { name: "Copy the selection", keys: "ctrl-shift-c", run: () => tabs.active.terminal.copy(), off: !tabs.active?.terminal?.term.hasSelection() },
    { name: "Extend the session", run: extend, off: byId("extend").disabled },
    { name: "End all programs", run: endPrograms, off: !ready },
    { name: "End the session", run: end, off: byId("end").disabled },
    { name: "Show or hide what the machine uses", run: () => meters.toggle() },
    { name: "Larger text", keys: "ctrl-alt-+", run: () => tabs.zoom(1) },
    { name: "Smaller text", keys: "ctrl-alt--", run: () => tabs.zoom(-1) },
    { name: "Text as at first", keys: "ctrl-alt-0", run: () => tabs.zoom(0) },
    { name: isDark() ? "Light theme" : "Dark theme", run: toggleTheme },
    { name: "Screen reader mode on or off", run: screenReader },
    { name: "Draw with WebGL or without", run: renderer },
    { name: "To the first page", run: () => location.assign("/") },
    ...ports.actions(),
    ...documents.actions(),
    ...column.actions(ready),
    ...dock.actions(ready),
  ];
}

// toTab goes to a terminal: on a phone a panel may be in its place.
function toTab(go) {
  dock.leave();
  go();
}

function screenReader() {
  const on = toggle("screen-reader", "on", "off");
  tabs.terminals.forEach((t) => t.terminal.setScreenReader(on));
}

function renderer() {
  toggle("renderer", "dom", "webgl");
  const t = tabs.lastTerminal?.terminal;
  t?.webgl?.dispose();
  if (t) t.webgl = null;
  if (t && tabs.active.terminal === t) t.accelerate();
}

const palette = new Palette(actions, () => {
  tabs.active?.terminal?.input("\x0b");
  tabs.focus();
});

// Only keys that the browser leaves to pages. Caught before xterm.js, which would send them to the shell.
function onKey(e) {
  if (!e.ctrlKey || e.shiftKey || e.metaKey) return;
  const act = e.altKey ? zoomKey(e) : plainKey(e);
  if (!act) return;
  e.preventDefault();
  e.stopPropagation();
  act();
}

function plainKey(e) {
  if (e.key === "k" || e.code === "KeyK") return () => palette.toggle();
  if (e.code === "Backquote") return () => dock.toShell();
  const n = /^Digit([1-9])$/.exec(e.code)?.[1];
  return n && tabs.list[n - 1] ? () => toTab(() => tabs.activate(tabs.list[n - 1])) : null;
}

function zoomKey(e) {
  const by = { Equal: 1, NumpadAdd: 1, Minus: -1, NumpadSubtract: -1, Digit0: 0 }[e.code];
  return by === undefined ? null : () => tabs.zoom(by);
}

addEventListener("keydown", onKey, true);
document.addEventListener("berth:open-terminal", (e) => toTab(() => tabs.openNamed(String(e.detail?.name ?? ""), e.detail?.title)));
byId("more").hidden = false;
byId("more").addEventListener("click", () => palette.toggle());
byId("shell").addEventListener("focus", () => tabs.focus());
byId("extend-form").addEventListener("submit", (e) => {
  e.preventDefault();
  extend();
});
byId("end-form").addEventListener("submit", (e) => {
  e.preventDefault();
  end();
});
keyRow(tabs);
byId("extend").setAttribute("aria-label", "extend the session");
byId("end").setAttribute("aria-label", "end the session");
onSession(start.session);
