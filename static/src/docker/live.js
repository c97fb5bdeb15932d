// Live keeps lists of what the engine has, by its events. It asks nothing while nobody looks.

const FIRST_DELAY = 500,
  MAX_DELAY = 10_000; // ms between attempts
const SETTLE = 250; // ms: events come in bursts
const ANEW = 60_000; // ms: a connection may be dead without knowing it
const LINGER = 15_000; // ms that a list stays current after the last look

const LISTS = {
  containers: ["containers/json", { all: 1 }],
  images: ["images/json", { "shared-size": 1 }],
  networks: ["networks", {}],
  volumes: ["volumes", {}],
  usage: ["system/df", { type: "image" }],
  sizes: ["/volumes", {}],
};

const OBJECTS = { volumes: 1, usage: 1 }; // the other answers are arrays

// Which lists an event makes old.
const TOUCHES = {
  container: ["containers"],
  image: ["images", "usage"],
  builder: ["images", "usage"],
  network: ["networks", "containers"],
  volume: ["volumes", "sizes"],
};
const QUIET = /^(exec_|top|attach|detach|resize|export|copy|archive-path|extract-to-dir|push|tag-none)/;

export class Live {
  // on: changed(kind), failed(kind, error), state("starting" | "live" | "lost", error), happened(event)
  constructor(engine, on) {
    this.engine = engine;
    this.on = on;
    this.lists = {};
    this.wanted = new Set();
    this.old = new Set();
    this.attempt = 0;
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("online", () => this.again());
    setInterval(() => this.stream && this.wanted.size && !document.hidden && this.askAnew(), ANEW);
  }

  // want names the lists that are seen; none: the engine is left alone.
  want(kinds) {
    this.wanted = new Set(kinds);
    for (const k of kinds) if (!this.fresh || !this.lists[k]) this.old.add(k);
    this.look();
  }

  look() {
    const watch = this.wanted.size > 0 && !document.hidden && !this.stopped;
    clearTimeout(this.lingering);
    if (watch && !this.stream) this.connect();
    else if (watch) this.refresh(0);
    else if (this.stream) this.lingering = setTimeout(() => this.rest(), LINGER);
  }

  rest() {
    this.stream?.abort();
    this.stream = null;
    this.fresh = false;
    clearTimeout(this.retry);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.lingering);
    this.rest();
  }

  again() {
    if (!this.stream && !this.retry) return;
    this.rest();
    this.attempt = 0;
    this.look();
  }

  async connect() {
    const stream = new AbortController();
    this.stream = stream;
    this.retry = 0;
    if (!Object.keys(this.lists).length) this.on.state("starting");
    this.askAnew(); // an engine may be slow to begin its stream
    try {
      for await (const e of this.engine.lines("GET", "events", {}, stream.signal, () => this.opened())) this.event(e);
      this.lost(stream);
    } catch (err) {
      if (err.name !== "AbortError") this.lost(stream, err);
    }
  }

  // opened: from here on every change is told; what changed just before is asked for.
  opened() {
    this.fresh = true;
    this.askAnew();
  }

  askAnew() {
    for (const k of [...this.wanted, ...Object.keys(this.lists)]) this.old.add(k);
    this.refresh(0);
  }

  lost(stream, err) {
    if (this.stream !== stream) return;
    stream.abort();
    this.fresh = false;
    this.on.state("lost", err);
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.retry = setTimeout(
      () => {
        this.stream = null;
        this.look();
      },
      most * (0.5 + Math.random() / 2),
    );
  }

  event(e) {
    const type = String(e.Type ?? ""),
      action = String(e.Action ?? e.status ?? "");
    if (QUIET.test(action)) return;
    for (const k of TOUCHES[type] ?? []) this.old.add(k);
    this.on.happened({ type, action, id: String(e.Actor?.ID ?? e.id ?? ""), attributes: e.Actor?.Attributes ?? {} });
    this.refresh(SETTLE);
  }

  // touch asks for a list again: something was done to it from here.
  touch(kind) {
    this.old.add(kind);
    this.refresh(SETTLE);
  }

  // refresh asks for the lists that are old and seen, one request at a time.
  refresh(after) {
    if (this.planned || this.asking) return;
    this.planned = setTimeout(async () => {
      this.planned = 0;
      this.asking = true;
      for (const k of this.wanted) if (this.old.has(k)) await this.ask(k);
      this.asking = false;
      if ([...this.wanted].some((k) => this.old.has(k)) && this.fresh) this.refresh(SETTLE);
    }, after);
  }

  async ask(kind) {
    this.old.delete(kind);
    const stream = this.stream;
    try {
      const [path, query] = LISTS[kind];
      const found = await this.engine.get(path, query);
      this.lists[kind] = kind in OBJECTS ? (found ?? {}) : Array.isArray(found) ? found : [];
      this.attempt = 0;
      if (this.stream === stream && stream && !stream.signal.aborted) this.on.state("live");
      this.on.changed(kind);
    } catch (err) {
      if (!stream || stream !== this.stream || stream.signal.aborted) return;
      if (err.passing) this.lost(stream, err);
      else this.on.failed(kind, err);
    }
  }
}
