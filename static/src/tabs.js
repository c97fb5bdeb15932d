import { byId, confirmIn, el } from "./dom.js";
import { icon } from "./icons.js";
import { Terminal, fontSize, plain } from "./terminal.js";
import { setPref, stash, take } from "./prefs.js";
import { onTheme } from "./themes.js";

const RECONNECTING_AFTER = 400; // ms: a link that is back sooner is not worth a word
const TERMINAL = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const PROMPT_WITHIN = 2000; // ms

// ofMachine is true of a shell of the machine: its Docker is there.
const ofMachine = (tab) => Boolean(tab?.terminal) && !tab.name.startsWith("debug-");

// Tabs are the session's terminals, those that the machine has, so that a reload finds all of them again; and behind them
// the files that are open. What a tab shows is its view: a Terminal, or a Document.
export class Tabs {
  constructor(session, api, notices) {
    this.session = session;
    this.api = api;
    this.notices = notices;
    this.list = [];
    this.named = take("named." + session.id) ?? {}; // titles that were given, not a program's
    this.bar = byId("tabs");
    this.area = byId("terminals");
    this.linkText = byId("link");
    this.plus = byId("new-tab");
    this.plus.addEventListener("click", () => this.open());
    this.bar.addEventListener("keydown", (e) => this.arrows(e));
    onTheme(() => this.list.forEach((t) => t.view.setTheme()));
  }

  // load asks the machine which terminals it has, for as long as it takes.
  async load() {
    for (let wait = 250; ; wait = Math.min(wait * 2, 5000)) {
      try {
        const found = await this.api.terminals();
        byId("waiting").hidden = true;
        document.querySelector(".tabbar").hidden = false;
        for (const name of Object.keys(this.named)) if (!found?.some((t) => t.name === name)) delete this.named[name];
        stash("named." + this.session.id, this.named);
        for (const t of found ?? []) this.add(t.name, t.title);
        const last = take("tab." + this.session.id);
        this.restore?.();
        if (!this.terminals.length) this.add("1");
        return this.activate(this.list.find((t) => t.name === last) ?? this.list[0]);
      } catch (err) {
        if (this.stopped || err.status === 404 || err.status === 410) return;
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }

  get terminals() {
    return this.list.filter((t) => t.terminal);
  }

  add(name, title = "") {
    const tab = { name };
    const events = {
      title: (text) => this.rename(tab, text),
      state: (state) => this.linkState(tab, state),
      bell: () => tab !== this.active && tab.item.classList.add("rang"),
      notice: (text) => this.notices.show("terminal", text),
      hover: (uri) => this.hover(uri),
      deleted: () => this.remove(tab),
      close: () => this.close(tab),
    };
    tab.terminal = tab.view = new Terminal(name, this.api, this.session.id, events);
    this.place(tab, `terminal-${name}`, `Close terminal ${name}`, this.terminals.length);
    this.rename(tab, plain(title ?? ""));
    this.limits();
    return tab;
  }

  // addDocument adds an open file. view: as a Terminal's, and mayClose().
  addDocument(view) {
    const tab = { name: "file:" + view.key, view, document: view };
    this.place(tab, view.node.id, `Close ${view.name}`, this.list.length);
    tab.item.classList.add("of-file");
    tab.button.prepend(icon("file"));
    return tab;
  }

  // place makes a tab's button, at its place in the row.
  place(tab, controls, closes, at) {
    tab.label = el("span", { class: "tab-title" });
    tab.button = el("button", { type: "button", role: "tab", id: `tab-${tab.name}`, "aria-controls": controls, "aria-selected": "false", tabindex: "-1", onclick: () => this.activate(tab) }, tab.label);
    tab.closer = el("button", { type: "button", class: "tab-close quiet", "aria-label": closes, title: "Close", onclick: () => this.close(tab) }, "×");
    tab.item = el("div", { class: "tab", role: "presentation" }, tab.button, tab.closer);
    this.bar.insertBefore(tab.item, this.list[at]?.item ?? null);
    this.area.append(tab.view.node);
    this.list.splice(at, 0, tab);
  }

  rename(tab, text) {
    text = this.named[tab.name] || text;
    tab.label.textContent = text ? `${tab.name} ${text}` : /^\d+$/.test(tab.name) ? `shell ${tab.name}` : tab.name;
    tab.button.title = tab.label.textContent;
  }

  open() {
    if (this.plus.disabled) return;
    let n = 1;
    while (this.terminals.some((t) => t.name === String(n))) n++;
    this.activate(this.add(String(n)));
  }

  // openNamed shows a terminal that the machine has already, with a name of its own: a shell in a step of a build.
  openNamed(name, title = "") {
    if (!TERMINAL.test(name)) return;
    this.named[name] = plain(String(title));
    this.activate(this.list.find((t) => t.name === name) ?? this.add(name));
    stash("named." + this.session.id, this.named);
  }

  // type puts a text behind the prompt of the shell that was used last, one of the machine and not of a build's step. Nothing is
  // run: that is the visitor's to do.
  type(text) {
    const tab = this.lastShell ?? this.terminals.find(ofMachine);
    if (tab && tab !== this.active) this.activate(tab);
    if (!ofMachine(this.active) || !this.active.terminal.running) this.open();
    this.active?.terminal?.input(text);
    this.focus();
  }

  // run opens a terminal of its own for a command.
  async run(command) {
    if (this.plus.disabled) return this.notices.show("terminal", `${this.plus.title}. Close one, then try again.`);
    this.open();
    const { terminal } = this.active;
    await Promise.race([terminal.greeted, new Promise((done) => setTimeout(done, PROMPT_WITHIN))]);
    terminal.input(command + "\r");
  }

  limits() {
    const most = this.session.limits.terminals;
    this.plus.disabled = most > 0 && this.terminals.length >= most;
    this.plus.title = this.plus.disabled ? `This session has at most ${most} terminals` : "New terminal";
  }

  activate(tab) {
    if (!tab) return;
    for (const t of this.list) {
      const on = t === tab;
      t.item.classList.toggle("on", on);
      t.button.setAttribute("aria-selected", String(on));
      t.button.tabIndex = on ? 0 : -1;
      if (!on) t.view.hide();
    }
    this.active = tab;
    if (tab.terminal) this.lastTerminal = tab;
    if (ofMachine(tab)) this.lastShell = tab;
    document.body.classList.toggle("editing", !tab.terminal);
    tab.item.classList.remove("rang");
    tab.item.scrollIntoView({ block: "nearest", inline: "nearest" });
    tab.view.show();
    this.linkState(tab, tab.state);
    stash("tab." + this.session.id, tab.name);
  }

  async close(tab) {
    if (tab.document) return (await tab.document.mayClose()) ? this.remove(tab) : this.focus();
    const sure = !tab.terminal.running || (await confirmIn({
      title: `Close terminal ${tab.name}?`, text: "What runs in it is ended.", yes: "Close it",
    }));
    if (!sure) return this.focus();
    try {
      await this.api.closeTerminal(tab.name);
    } catch (err) {
      if (err.status !== 404) return this.notices.show("terminal", err.message);
    }
    this.remove(tab);
  }

  // remove also comes from another page that has closed the terminal.
  remove(tab) {
    const at = this.list.indexOf(tab);
    if (at < 0 || this.stopped) return;
    this.list.splice(at, 1);
    tab.view.close();
    tab.item.remove();
    if (this.lastTerminal === tab) this.lastTerminal = null;
    if (this.lastShell === tab) this.lastShell = null;
    this.limits();
    if (this.active !== tab) return;
    if (this.list.length) this.activate(this.list[Math.min(at, this.list.length - 1)]);
    else this.open();
  }

  linkState(tab, state) {
    tab.state = state;
    if (tab !== this.active) return;
    clearTimeout(this.linkTimer);
    const say = (text) => {
      this.linkText.textContent = text;
      this.linkText.classList.toggle("on", text !== "");
    };
    if (state === "waiting" || state === "connecting") {
      const text = state === "waiting" ? "reconnecting… what you type is kept" : "connecting…";
      this.linkTimer = setTimeout(() => say(text), this.linkText.textContent ? 0 : RECONNECTING_AFTER);
    } else {
      say("");
    }
  }

  hover(uri) {
    this.linkText.classList.toggle("on", uri !== "");
    this.linkText.textContent = uri ? plain(uri, 120) : "";
    if (!uri && this.active) this.linkState(this.active, this.active.state);
  }

  arrows(e) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step || e.target.getAttribute("role") !== "tab") return;
    e.preventDefault();
    const at = this.list.findIndex((t) => t.button === e.target);
    const next = this.list[(at + step + this.list.length) % this.list.length];
    this.activate(next);
    next.button.focus();
  }

  focus() {
    this.active?.view.focus();
  }

  // toTerminal goes to the shell that was used last, where a file is seen.
  toTerminal() {
    const tab = this.active?.terminal ? this.active : (this.lastTerminal ?? this.terminals[0]);
    if (tab && tab !== this.active) this.activate(tab);
    else this.focus();
  }

  zoom(by) {
    const size = by === 0 ? 14 : Math.min(32, Math.max(8, fontSize() + by));
    setPref("font-size", String(size));
    this.list.forEach((t) => t.view.setFont(size));
  }

  stop() {
    this.stopped = true;
    this.list.forEach((t) => t.view.stop?.() ?? t.terminal?.link.stop());
  }
}
