const SOON = 120, // ms: what changes within is read once
  LATER = 1500, // ms: sizes and times of files that are being written
  LONGEST = 3000; // ms between a change in a folder that takes long to read, and reading it

// Reader reads folders: each once at a time, and not more often than its size allows.
export class Reader {
  constructor(store, came, failed) {
    this.store = store;
    this.came = came;
    this.failed = failed;
    this.running = new Map(); // node → promise
    this.timers = new Map();
    this.took = new WeakMap(); // node → ms that reading it took
  }

  // soon reads a folder in a moment; later: nothing of it came or went.
  soon(node, later = false) {
    if (this.timers.has(node) && later) return;
    clearTimeout(this.timers.get(node));
    const wait = Math.max(later ? LATER : SOON, Math.min(LONGEST, 2 * (this.took.get(node) ?? 0)));
    this.timers.set(node, setTimeout(() => this.read(node), wait));
  }

  // read answers when the folder is as it was at the call, or later. One that is being read is read again afterwards.
  async read(node) {
    clearTimeout(this.timers.get(node));
    this.timers.delete(node);
    await this.running.get(node);
    this.running.get(node) ?? this.running.set(node, this.run(node).finally(() => this.running.delete(node)));
    return this.running.get(node);
  }

  async run(node) {
    const began = performance.now();
    const first = node.children === null;
    const all = [];
    try {
      for await (const page of this.store.list(node.key)) {
        all.push(...page);
        if (first && all.length > page.length) continue; // the first page is shown at once, the others together
        if (first) this.take(node, all);
      }
      this.took.set(node, performance.now() - began);
      this.take(node, all);
    } catch (err) {
      this.failed(node, err);
    }
  }

  take(node, entries) {
    this.came(node, node.adopt(entries));
  }
}
