import { byId } from "./dom.js";
import { pref, setPref } from "./prefs.js";

const LEAST = 188, // all buttons above the tree are seen
  FIRST = 240,
  STEP = 24,
  SHELL_LEAST = 320; // px
const PHONE = matchMedia("(max-width: 600px)");
const WIDE = matchMedia("(min-width: 1100px)"); // where it is open at first

// Column is the frame of the files left of the shell: width, folded or not. On a phone it is a tab beside the shell. What
// fills it is a script of its own, which is fetched when it is first seen.
export class Column {
  // ctx: {session, store, watch, notices}
  constructor(ctx) {
    this.ctx = ctx;
    this.node = byId("files");
    this.grip = byId("files-grip");
    this.button = byId("files-open");
    this.onPhone = false; // is it the tab that is seen
    this.button.addEventListener("click", () => this.open());
    byId("files-fold").addEventListener("click", () => this.fold());
    this.resizable();
    PHONE.addEventListener("change", () => this.paint());
  }

  get isOpen() {
    return PHONE.matches ? this.onPhone : (pref("files") ?? (WIDE.matches ? "open" : "folded")) === "open";
  }

  ready() {
    this.alive = true;
    this.paint();
  }

  open() {
    if (PHONE.matches) this.onPhone = true;
    else setPref("files", "open");
    this.paint();
    return this.load();
  }

  fold() {
    if (PHONE.matches) return this.leave();
    setPref("files", "folded");
    this.paint();
    this.button.focus();
  }

  // leave gives the window of a phone to the shell or a panel.
  leave() {
    if (!this.onPhone) return;
    this.onPhone = false;
    this.paint();
  }

  paint() {
    const on = Boolean(this.alive && this.isOpen);
    this.node.hidden = !on;
    this.grip.hidden = !on || PHONE.matches;
    this.button.hidden = on || PHONE.matches || !this.alive;
    document.body.classList.toggle("filing", on && PHONE.matches);
    dispatchEvent(new Event("berth:column"));
    if (on) this.load();
    this.files?.setSeen(on);
  }

  // load fetches the script once. Where that fails it says so, and the next press tries again.
  load() {
    this.loading ??= import(this.node.dataset.script)
      .then(({ Files }) => {
        this.files = new Files(this.node, this.ctx);
        this.files.setSeen(!this.node.hidden);
        return this.files;
      })
      .catch((err) => {
        this.loading = null;
        byId("files-wait").textContent = "This part of the page did not load: fold it and open it again.";
        console.error(err);
        return null;
      });
    return this.loading;
  }

  resizable() {
    const { grip, node } = this;
    let wanted = Number(pref("files-width")) || FIRST, width;
    const set = (px, keep) => {
      const most = Math.max(LEAST, innerWidth - SHELL_LEAST);
      wanted = px;
      width = Math.round(Math.min(most, Math.max(LEAST, px)));
      node.style.setProperty("--files", `${width}px`);
      grip.setAttribute("aria-valuemin", LEAST);
      grip.setAttribute("aria-valuemax", most);
      grip.setAttribute("aria-valuenow", width);
      if (keep) setPref("files-width", String(width));
    };
    set(wanted);
    addEventListener("resize", () => set(wanted)); // a window that was narrow for a while has it as it was
    grip.addEventListener("pointerdown", (e) => {
      e.preventDefault();
      grip.setPointerCapture(e.pointerId);
      const from = e.clientX - width;
      const move = (m) => set(m.clientX - from);
      grip.addEventListener("pointermove", move);
      grip.addEventListener("lostpointercapture", () => {
        grip.removeEventListener("pointermove", move);
        set(width, true);
      }, { once: true });
    });
    grip.addEventListener("dblclick", () => set(FIRST, true));
    grip.addEventListener("keydown", (e) => {
      const to = { ArrowRight: width + STEP, ArrowLeft: width - STEP, Home: LEAST, End: Infinity }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      set(to, true);
    });
  }

  stop() {
    this.alive = false;
    this.files?.stop();
    this.paint();
  }

  actions(ready) {
    const to = (f) => () => this.open().then((files) => files && f(files));
    return [
      { name: "Go to the files", off: !ready, run: to((f) => f.tree.focus()) },
      { name: "New file…", off: !ready, run: to((f) => f.create("file")) },
      { name: "New folder…", off: !ready, run: to((f) => f.create("folder")) },
      { name: "Upload files…", off: !ready, run: to((f) => f.pick()) },
      { name: "Fold the files", off: !ready || !this.isOpen, run: () => this.fold() },
    ];
  }
}
