// Stats reads what running containers use, one after the other: streams of their own would take every connection that a
// browser has to one host (six).

const EVERY = 2000,
  BETWEEN = 40; // ms
const OLD = 30_000; // ms: a rate over more than that says little

export class Stats {
  // told(id, {cpu, memory, pids} or null): cpu in CPUs, memory in bytes
  constructor(engine, told) {
    this.engine = engine;
    this.told = told;
    this.ids = [];
    this.before = new Map();
  }

  // watch replaces the containers that are read; none: nothing is asked.
  watch(ids) {
    this.ids = ids;
    for (const id of this.before.keys()) if (ids.length && !ids.includes(id)) this.before.delete(id);
    if (ids.length && !this.running) this.run();
  }

  async run() {
    this.running = true;
    while (this.ids.length) {
      const began = Date.now();
      for (const id of [...this.ids]) {
        if (document.hidden) break;
        if (this.ids.includes(id)) await this.read(id);
        await pause(BETWEEN);
      }
      // The second reading comes soon: only two make a rate.
      const every = this.before.size && [...this.before.values()].some((b) => !b.rated) ? EVERY / 2 : EVERY;
      await pause(Math.max(BETWEEN, every - (Date.now() - began)));
    }
    this.running = false;
  }

  async read(id) {
    let s;
    try {
      s = await this.engine.get(`containers/${encodeURIComponent(id)}/stats`, { stream: false, "one-shot": true });
    } catch {
      return; // it has just ended, or the link is down: the list says so
    }
    if (!this.ids.includes(id)) return;
    const now = { at: Date.parse(s?.read), cpu: s?.cpu_stats?.cpu_usage?.total_usage };
    const then = this.before.get(id);
    const used = then && now.at > then.at && now.at - then.at < OLD ? Math.max(0, now.cpu - then.cpu) / 1e6 / (now.at - then.at) : NaN;
    this.before.set(id, { ...now, rated: Number.isFinite(used) });
    this.told(id, { cpu: used, memory: memory(s?.memory_stats), pids: s?.pids_stats?.current });
  }
}

// memory as `docker stats` counts it: without the page cache that can be dropped.
function memory(m) {
  if (!(m?.usage >= 0)) return NaN;
  const cache = m.stats?.total_inactive_file ?? m.stats?.inactive_file ?? 0;
  return cache < m.usage ? m.usage - cache : m.usage;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
