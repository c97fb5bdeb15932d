import { byId } from "./dom.js";
import { pref, setPref, stash, take } from "./prefs.js";

const NAMES = {
  containers: "Show the containers",
  images: "Show the images",
  build: "Show the builds",
  networks: "Show the networks",
  volumes: "Show the volumes",
  changes: "Show what changed",
};
const LEAST = 128,
  SHELL_LEAST = 160,
  STEP = 24; // px
const PHONE = matchMedia("(max-width: 600px)");

// Dock is the frame of the panels below the shell: tabs, height, folded or not. On a phone the panels are tabs beside the
// shell. What fills them is a script of its own, which is fetched when the first panel is opened.
export class Dock {
  // ctx: {session, api, tabs, notices, column}
  constructor(ctx) {
    this.ctx = ctx;
    this.node = byId("dock");
    this.body = byId("dock-body");
    this.bar = byId("dock-tabs");
    this.fold = byId("dock-fold");
    this.grip = byId("dock-grip");
    this.key = "dock." + ctx.session.id;
    this.current = null;
    this.before = take(this.key); // what was open before a reload
    this.pulling = this.before?.pulling ?? 0;
    this.tabs = [...this.bar.querySelectorAll("[role=tab]")];
    for (const t of this.tabs) t.addEventListener("click", () => this.press(t.dataset.panel));
    this.bar.addEventListener("keydown", (e) => this.arrows(e));
    this.fold.addEventListener("click", () => (this.current ? this.close(true) : this.open(this.last ?? "containers")));
    this.resizable();
    PHONE.addEventListener("change", () => this.paint());
    document.addEventListener("berth:browse-volume", (e) => this.browse(String(e.detail?.name ?? "")));
    document.addEventListener("berth:inspect-image", (e) => this.inspect(e.detail));
    document.addEventListener("berth:open-panel", (e) => e.detail?.panel in NAMES && this.open(e.detail.panel));
    document.addEventListener("berth:build", (e) => this.toBuild((b) => b.buildFile(String(e.detail?.path ?? ""))));
    addEventListener("berth:column", () => this.paint());
    this.paint();
  }

  // ready shows the bar; what was open before a reload is open again.
  ready() {
    if (!this.node.hidden) return;
    this.node.hidden = false;
    const { open, last } = this.before ?? {};
    if (open in NAMES) this.open(open);
    else if (last in NAMES) this.last = last;
    if (this.pulling) this.load(); // pulls go on, seen or not
  }

  press(name) {
    if (name === "shell") this.toShell();
    else if (name === "files") this.toFiles();
    else if (name === this.current && !PHONE.matches) this.close(true);
    else this.open(name);
  }

  toShell() {
    if (PHONE.matches) this.close();
    this.ctx.column.leave();
    this.ctx.tabs.toTerminal();
  }

  // toFiles shows the files where they are a tab: on a phone.
  toFiles() {
    this.close();
    this.ctx.column.open();
  }

  // leave gives the shell the window of a phone; elsewhere the panel stays.
  leave() {
    this.ctx.column.leave();
    if (PHONE.matches) this.close();
  }

  async open(name) {
    this.ctx.column.leave();
    this.current = this.last = name;
    this.paint();
    const part = await (name === "build" ? this.loadBuild() : this.load());
    if (this.current !== name) return null;
    (name === "build" ? this.docker : this.build)?.show(null);
    part?.show(name);
    return part;
  }

  // browse looks into a volume.
  async browse(name) {
    await this.open("volumes");
    if (name) this.docker?.browse(name);
  }

  // inspect opens an image in its panel. detail: {image, layer?}
  async inspect(detail) {
    const back = document.activeElement;
    await this.open("images");
    this.docker?.views.images.inspect(detail, back);
  }

  close(toFold = false) {
    if (!this.current) return;
    this.current = null;
    this.paint();
    this.docker?.show(null);
    this.build?.show(null);
    if (toFold && !PHONE.matches) this.tabs.find((t) => t.dataset.panel === this.last)?.focus();
  }

  // load fetches the script once. Where that fails it says so, and the next press tries again.
  load() {
    this.loading ??= import(this.node.dataset.script)
      .then(({ Docker }) => {
        this.docker = new Docker(this, { ...this.ctx, toShell: () => this.leave() });
        return this.docker;
      })
      .catch(() => {
        this.loading = null;
        this.say("This part of the page did not load: press again");
        return null;
      });
    return this.loading;
  }

  // loadBuild fetches the build panel, a script and a style sheet of its own.
  loadBuild() {
    const { buildScript, buildStyle } = this.node.dataset;
    this.loadingBuild ??= Promise.all([import(buildScript), styled(buildStyle)])
      .then(([{ Build }]) => {
        this.build = new Build(byId("dock-build"), { ...this.ctx, toShell: () => this.leave() });
        return this.build;
      })
      .catch(() => {
        this.loadingBuild = null;
        this.say("This part of the page did not load: press again");
        return null;
      });
    return this.loadingBuild;
  }

  // toBuild opens the panel and does something with it.
  async toBuild(what) {
    const build = await this.open("build");
    if (build) what(build);
  }

  paint() {
    const shown = this.current ?? (PHONE.matches ? (this.ctx.column.onPhone ? "files" : "shell") : null);
    this.node.classList.toggle("open", Boolean(this.current));
    document.body.classList.toggle("docked", Boolean(this.current));
    this.body.hidden = this.grip.hidden = !this.current;
    for (const t of this.tabs) {
      const on = t.dataset.panel === shown;
      t.setAttribute("aria-selected", String(on));
      t.tabIndex = on || (!shown && t.dataset.panel === (this.last ?? "containers")) ? 0 : -1;
    }
    for (const name of Object.keys(NAMES)) byId("dock-" + name).hidden = name !== this.current;
    this.fold.setAttribute("aria-expanded", String(Boolean(this.current)));
    this.fold.setAttribute("aria-label", this.current ? "Fold the panel" : "Open the panel");
    this.fold.title = this.fold.getAttribute("aria-label");
    this.keep();
  }

  keep() {
    stash(this.key, { open: this.current, last: this.last, pulling: this.pulling });
  }

  // mark puts a figure beside a tab's name.
  mark(name, figure, words) {
    const tab = this.tabs.find((t) => t.dataset.panel === name),
      count = tab.querySelector(".count");
    if (count.textContent !== figure) count.textContent = figure;
    tab.title = words;
  }

  // building says on the tab that a build runs, whether or not the panel is open.
  building(list) {
    const running = list.filter((b) => b.state === "running").length;
    this.mark("build", running ? `${running} ●` : "", running ? `${running} build${running > 1 ? "s" : ""} under way` : "");
  }

  say(words) {
    const link = byId("dock-link");
    if (link.textContent === words) return;
    link.textContent = words;
    link.classList.toggle("on", words !== "");
  }

  arrows(e) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    const all = this.tabs.filter((t) => t.offsetParent);
    if (!step || !all.includes(e.target)) return;
    e.preventDefault();
    const next = all[(all.indexOf(e.target) + step + all.length) % all.length];
    if (next.dataset.panel in NAMES && this.current) this.open(next.dataset.panel);
    this.tabs.forEach((t) => (t.tabIndex = t === next ? 0 : -1));
    next.focus();
  }

  resizable() {
    const { grip } = this;
    this.height = Number(pref("dock-height")) || 0;
    const set = (px, keep) => {
      const most = Math.max(LEAST, document.body.clientHeight - SHELL_LEAST);
      this.height = px ? Math.min(most, Math.max(LEAST, px)) : 0;
      if (this.height) this.node.style.setProperty("--dock", `${this.height}px`);
      else this.node.style.removeProperty("--dock");
      grip.setAttribute("aria-valuemin", LEAST);
      grip.setAttribute("aria-valuemax", most);
      grip.setAttribute("aria-valuenow", Math.round(this.height || this.node.clientHeight || LEAST));
      if (keep) setPref("dock-height", String(Math.round(this.height)));
    };
    set(this.height);
    grip.addEventListener("pointerdown", (e) => {
      e.preventDefault();
      grip.setPointerCapture(e.pointerId);
      const from = e.clientY,
        before = this.node.clientHeight;
      const move = (m) => set(before + from - m.clientY);
      const up = () => {
        grip.removeEventListener("pointermove", move);
        set(this.height, true);
      };
      grip.addEventListener("pointermove", move);
      grip.addEventListener("lostpointercapture", up, { once: true });
    });
    grip.addEventListener("dblclick", () => set(0, true));
    grip.addEventListener("keydown", (e) => {
      const now = this.node.clientHeight;
      const to = { ArrowUp: now + STEP, ArrowDown: now - STEP, Home: LEAST, End: Infinity }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      set(to, true);
    });
  }

  stop() {
    this.docker?.stop();
    this.build?.stop();
  }

  actions(ready) {
    const all = Object.entries(NAMES).map(([name, words]) => ({
      name: words,
      off: !ready,
      run: () => this.open(name).then(() => this.tabs.find((t) => t.dataset.panel === name).focus()),
    }));
    const pull = { name: "Pull an image…", off: !ready, run: () => this.open("images").then(() => byId("pull-name").focus()) };
    return [
      ...all,
      pull,
      { name: "Build an image…", keys: "ctrl-enter", off: !ready, run: () => this.toBuild((b) => b.toForm()) },
      { name: "Builds of this session: history", off: !ready, run: () => this.toBuild((b) => b.toHistory()) },
      { name: "Fold the panel", off: !this.current, run: () => this.close() },
      ...(ready && this.docker ? this.docker.actions() : []),
      ...(ready && this.build ? this.build.actions() : []),
    ];
  }
}

// styled adds a style sheet and waits for it.
function styled(href) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  return new Promise((done, failed) => {
    link.onload = done;
    link.onerror = () => {
      link.remove();
      failed(new Error("no style sheet"));
    };
    document.head.append(link);
  });
}
