import { FitAddon } from "@xterm/addon-fit";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal as XTerm } from "@xterm/xterm";
import { el } from "./dom.js";
import { Link } from "./link.js";
import { pref, stash, take } from "./prefs.js";
import { isDark } from "./themes.js";

const DARK = {
  background: "#0d1214", foreground: "#d9e2e3", cursor: "#7fd6c8", cursorAccent: "#0d1214", selectionBackground: "#2c5a5a",
  black: "#2a3538", red: "#ff8f87", green: "#8fd694", yellow: "#e8c56b", blue: "#82b4ff", magenta: "#d7a1f0", cyan: "#7fd6c8", white: "#c8d3d5",
  brightBlack: "#7d8f94", brightRed: "#ffb0aa", brightGreen: "#b1e8b4", brightYellow: "#f5dc97", brightBlue: "#a9ccff", brightMagenta: "#e7c3f7", brightCyan: "#a8eae0", brightWhite: "#ffffff",
};
const LIGHT = {
  background: "#ffffff", foreground: "#1b2628", cursor: "#0b6e69", cursorAccent: "#ffffff", selectionBackground: "#bfe3df",
  black: "#1b2628", red: "#b3261e", green: "#256d2b", yellow: "#7a5600", blue: "#1d55b0", magenta: "#8433a6", cyan: "#0b6e69", white: "#5b6a6d",
  brightBlack: "#5f6f73", brightRed: "#c9302a", brightGreen: "#2f7d35", brightYellow: "#8a6200", brightBlue: "#2a66c8", brightMagenta: "#9640ba", brightCyan: "#0f7d77", brightWhite: "#3a484b",
};

// What a terminal answers by itself to what a program asks. Asked again from the scrollback, the answer would be typed
// into whatever runs now.
const REPLY = /^\x1b(\[[?>=]?[\d;]*[cnRty]|\[\?[\d;]*\$y|\[[IO]|\](4|1[0-9]);[^\x07\x1b]*(\x07|\x1b\\)|P[^\x1b]*\x1b\\)$/;

const TITLE_LENGTH = 40;

// plain makes a line of what a program sent: no control or direction marks, and not long.
export function plain(title, most = TITLE_LENGTH) {
  const text = [...title.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "").trim()];
  return text.length > most ? text.slice(0, most - 1).join("") + "…" : text.join("");
}

export function openLink(uri) {
  let url;
  try {
    url = new URL(uri);
  } catch {
    return;
  }
  if (url.protocol === "http:" || url.protocol === "https:") window.open(url.href, "_blank", "noopener,noreferrer");
}

export const fontSize = () => Math.min(32, Math.max(8, Number(pref("font-size")) || 14));

// Terminal is one shell on the page: xterm.js over a Link.
export class Terminal {
  // events: title(text), state(text), bell(), notice(text), hover(uri or ""), deleted(), close()
  constructor(name, api, sessionID, events) {
    this.name = name;
    this.events = events;
    this.running = true;
    this.once = name.startsWith("debug-"); // in a step of a build: its state is gone with it
    this.key = `typed.${sessionID}.${name}`;
    this.screen = el("div", { class: "screen" });
    this.foot = el("div", { class: "foot", role: "status", hidden: true });
    this.node = el("div", { class: "pane", role: "tabpanel", id: `terminal-${name}`, "aria-label": `Terminal ${name}`, hidden: true }, this.screen, this.foot);
    this.term = new XTerm({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: fontSize(), lineHeight: 1.15, scrollback: 10_000, theme: isDark() ? DARK : LIGHT, minimumContrastRatio: 4.5,
      macOptionIsMeta: true, cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      screenReaderMode: pref("screen-reader") === "on",
      linkHandler: { activate: (_, uri) => openLink(uri), hover: (_, uri) => events.hover(uri), leave: () => events.hover(""), allowNonHttpProtocols: false },
    });
    this.fitter = new FitAddon();
    this.term.loadAddon(this.fitter);
    this.term.loadAddon(new WebLinksAddon((_, uri) => openLink(uri), { hover: (_, uri) => events.hover(uri), leave: () => events.hover("") }));
    this.link = new Link(() => api.terminalURL(name), this.handler(), take(this.key));
    this.replaying = 0;
    this.greeted = new Promise((done) => (this.greet = done)); // its first output: a prompt, as a rule
    this.wire();
  }

  handler() {
    return {
      output: (data, replayed, done) => {
        this.greet();
        if (replayed) this.replaying++;
        this.term.write(data, () => {
          if (replayed) this.replaying--;
          done();
        });
      },
      status: (s) => this.status(s),
      state: (s) => this.events.state(s),
      reset: () => this.term.reset(),
      deleted: () => this.events.deleted(),
    };
  }

  wire() {
    const { term } = this;
    term.onData((data) => {
      if (this.replaying && REPLY.test(data)) return;
      if (!this.foot.hidden && data === "\r") return this.once ? this.events.close() : this.restart(); // nobody else would read it
      if (this.ctrl && data.length === 1) {
        data = String.fromCharCode(data.toUpperCase().charCodeAt(0) & 0x1f);
        this.onCtrlUsed?.();
      }
      this.input(data);
    });
    term.onBinary((data) => this.input(Uint8Array.from(data, (c) => c.charCodeAt(0))));
    term.onTitleChange((t) => this.events.title(plain(t)));
    term.onBell(() => this.events.bell());
    term.attachCustomKeyEventHandler((e) => this.key_(e));
    this.observer = new ResizeObserver(() => {
      clearTimeout(this.fitTimer);
      this.fitTimer = setTimeout(() => this.fit(), 60);
    });
    addEventListener("pagehide", () => {
      const saved = this.link.save();
      if (saved && !this.link.stopped) stash(this.key, saved);
    }, { signal: this.link.listeners.signal });
    addEventListener("pageshow", (e) => e.persisted && take(this.key), { signal: this.link.listeners.signal });
  }

  input(data) {
    if (!this.link.type(data)) this.events.notice("Too much is waiting to be sent already: this input was not taken. Paste it again when the connection is back.");
  }

  // key_ leaves copy and paste to the page and the browser. False: xterm.js does nothing with it.
  key_(e) {
    if (!e.ctrlKey || !e.shiftKey || e.altKey || e.metaKey) return true;
    if (e.code === "KeyV") return false; // the browser pastes, xterm.js gets its paste event
    if (e.code === "KeyC") {
      e.preventDefault();
      if (e.type === "keydown") this.copy();
      return false;
    }
    return true;
  }

  async copy() {
    const text = this.term.getSelection();
    if (!text) return;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      document.execCommand("copy"); // plain HTTP on another host: no clipboard API; xterm.js answers the copy event
    }
  }

  show() {
    this.node.hidden = false;
    if (!this.opened) {
      this.opened = true;
      this.term.open(this.screen);
      this.observer.observe(this.screen);
      this.fit();
      this.link.connect();
    }
    this.accelerate();
    this.fit();
    this.term.focus();
  }

  focus() {
    this.term.focus();
  }

  hide() {
    this.node.hidden = true;
    this.webgl?.dispose(); // browsers have few contexts: one for the tab that is seen
    this.webgl = null;
  }

  // accelerate draws with WebGL where that works; xterm.js goes on with the DOM where it does not.
  accelerate() {
    if (this.webgl || pref("renderer") === "dom") return;
    try {
      const addon = new WebglAddon();
      addon.onContextLoss(() => {
        addon.dispose();
        if (this.webgl === addon) this.webgl = null;
      });
      this.term.loadAddon(addon);
      this.webgl = addon;
    } catch {
      this.webgl = null;
    }
  }

  fit() {
    if (this.node.hidden || !this.screen.clientHeight) return;
    const size = this.fitter.proposeDimensions();
    if (!size || !Number.isFinite(size.cols) || !Number.isFinite(size.rows)) return;
    const cols = Math.min(1000, Math.max(2, size.cols)), rows = Math.min(1000, Math.max(1, size.rows));
    if (cols !== this.term.cols || rows !== this.term.rows) this.term.resize(cols, rows);
    this.link.resize(cols, rows);
  }

  status(s) {
    switch (s.type) {
      case "hello":
        this.running = s.running;
        if (s.running) this.foot.hidden = true;
        else if (this.foot.hidden) this.ended("The program has ended.");
        break;
      case "started":
        this.running = true;
        this.foot.hidden = true;
        break;
      case "exit":
        this.running = false;
        this.ended(s.signal ? `Ended by signal ${plain(s.signal)}.` : `Ended with exit status ${Number(s.code)}.`);
        break;
      case "gap":
        this.term.write(`\r\n\x1b[0;2m[${s.to - s.from} bytes of output are no longer kept]\x1b[0m\r\n`);
        break;
      case "resize": // another viewer of the same terminal
        if (s.cols > 0 && s.rows > 0 && s.cols <= 1000 && s.rows <= 1000) this.term.resize(s.cols, s.rows);
        break;
      case "error":
        this.events.notice(plain(s.message ?? "", 200) || "The terminal reported an error.");
    }
  }

  ended(text) {
    const act = this.once
      ? el("button", { type: "button", onclick: () => this.events.close() }, "Close")
      : el("button", { type: "button", class: "primary", onclick: () => this.restart() }, "Restart");
    const hint = el("span", { class: "hint" }, this.once ? "or press enter; the step in the build panel opens another" : "or press enter");
    this.foot.replaceChildren(el("span", {}, text), act, hint);
    this.foot.hidden = false;
    setTimeout(() => this.fit(), 0);
  }

  restart() {
    this.link.control({ type: "restart" });
    this.term.focus();
  }

  setFont(size) {
    this.term.options.fontSize = size;
    this.fit();
  }
  setTheme() {
    this.term.options.theme = isDark() ? DARK : LIGHT;
  }
  setScreenReader(on) {
    this.term.options.screenReaderMode = on;
  }

  close() {
    this.link.stop();
    this.observer.disconnect();
    this.webgl?.dispose();
    this.term.dispose();
    this.node.remove();
  }
}
