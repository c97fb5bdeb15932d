import { listen } from "../stream.js";
import { canonical, isBelow, keyOf } from "./paths.js";

const FIRST_DELAY = 500,
  MAX_DELAY = 10_000; // ms
const SETTLE = 50; // ms: what is to be watched often changes twice at once
const MOST_ALSO = 64; // directories: the machine's own limit

// Watch tells all parts of the page what changes in the machine's files, over one connection. It rests while the page is not seen,
// or nobody listens.
export class Watch {
  constructor(store) {
    this.store = store;
    this.listeners = new Set();
    this.attempt = 0;
    this.root = null; // key of a directory that is watched with all below it
    this.wanted = new Map(); // key → {n: how many want it, always: also where it is in the root}
    document.addEventListener("visibilitychange", () => this.settle());
    addEventListener("online", () => this.live || this.settle());
  }

  // listen has f({kind, key}) called. kind: created, changed, removed; ready and overflow: read what you show anew.
  listen(f) {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  }

  setRoot(key) {
    if (key !== this.root) this.partial = false;
    this.root = key;
    this.settle();
  }

  // want and release count a directory that is open, which is told with the tree unless it is too deep in it; or, always, a
  // file, which may be a link to elsewhere.
  want(key, always = false) {
    const { n = 0 } = this.wanted.get(key) ?? {};
    this.wanted.set(key, { n: n + 1, always });
    this.settle();
  }

  release(key) {
    const w = this.wanted.get(key);
    if (w && --w.n === 0) this.wanted.delete(key);
    this.settle();
  }

  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.connect(), SETTLE);
  }

  address() {
    const also = [...this.wanted].filter(([k, w]) => w.always || this.partial || this.root === null || !isBelow(k, this.root)).map(([k]) => k).slice(0, MOST_ALSO);
    const root = this.root ?? (also.length ? "/" : undefined);
    if (root === undefined || document.hidden || this.stopped) return "";
    const query = also.filter((k) => k !== root).map((k) => "&also=" + (k === "/" ? "/" : k));
    return this.store.url(root, "?watch=1" + (this.root === null ? "&recursive=0" : "") + query.join(""));
  }

  connect(again = false) {
    clearTimeout(this.timer);
    const address = this.address();
    if (address === this.open && !again) return;
    this.stream?.abort();
    this.open = address;
    this.live = false;
    if (!address) return;
    const stream = new AbortController();
    this.stream = stream;
    const on = {
      ready: () => {
        this.attempt = 0;
        this.live = true;
        this.tell({ kind: "ready" });
      },
      change: (e) => this.tell({ kind: e.kind, key: e.encoded ? canonical(e.encoded) : keyOf(e.path) }),
      overflow: () => this.tell({ kind: "overflow" }),
      partial: () => {
        this.partial = true;
        this.settle();
      },
      gone: () => this.tell({ kind: "gone", key: this.root }),
    };
    listen(address, on, stream.signal).catch(() => {}).then(() => this.lost(stream));
  }

  lost(stream) {
    if (this.stopped || stream !== this.stream || stream.signal.aborted) return;
    this.live = false;
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.timer = setTimeout(() => this.connect(true), most * (0.5 + Math.random() / 2));
    this.tell({ kind: "lost" });
  }

  tell(event) {
    for (const f of this.listeners) f(event);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.settling);
    this.stream?.abort();
  }
}

