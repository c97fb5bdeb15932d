import { pathOf } from "./shown.js";

const CHUNK = 2000; // entries of a directory that are asked for at once
const PAGE = 300; // entries of a flat list

// Nodes is what a tree shows: directories as they are unfolded, or one flat list of matches, of which only pages are fetched.
export class Nodes {
  // changed(): there is something new to paint
  constructor(source, changed) {
    this.source = source;
    this.changed = changed;
    this.rows = [];
    this.state = "reading";
    this.shapes = new Map(); // which directories were open, by what is shown
  }

  get length() {
    return this.flat ? this.total : this.rows.length;
  }

  // load asks for a tree's first rows. query: image, layer, merged, filter, change, sort
  async load(query) {
    this.remember();
    const keep = this.query && this.query.image === query.image && !query.filter && !this.flat;
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.query = query;
    this.flat = Boolean(query.filter || query.change);
    this.rows = [];
    this.pages = new Map();
    this.total = 0;
    this.keep = false;
    this.state = "reading";
    const slow = setTimeout(() => this.changed(), 150); // what comes at once needs no "reading…"
    this.loading = this.first(abort, keep ? this.opened : new Set());
    try {
      await this.loading;
    } catch (err) {
      if (!abort.signal.aborted) {
        this.state = "failed";
        this.error = err.message;
      }
    }
    clearTimeout(slow);
    if (!abort.signal.aborted) this.changed();
  }

  async first(abort, opened) {
    if (this.flat) {
      const page = await this.ask({ recursive: true, limit: PAGE }, abort);
      this.pages.set(0, page.entries);
      this.total = page.total;
    } else {
      this.rows = await this.children("/", 0, abort);
      await this.reopen(opened, abort);
    }
    this.state = "fine";
  }

  // remember which directories are open: another layer is shown with the same ones.
  remember() {
    if (!this.flat) this.opened = new Set(this.rows.filter((r) => r.open).map((r) => r.entry.path));
  }

  async reopen(opened, abort) {
    for (let i = 0; i < this.rows.length && opened.size; i++) {
      const r = this.rows[i];
      if (r.entry?.type === "directory" && opened.has(r.entry.path)) await this.unfold(i, abort);
    }
  }

  ask(more, abort = this.abort) {
    const { image, layer, merged, filter, change, sort } = this.query;
    return this.source.get("/image/tree", { image, layer, merged, filter, change, sort, ...more }, abort.signal);
  }

  async children(path, level, abort, after = 0) {
    const page = await this.ask({ path, limit: CHUNK, after }, abort);
    const rows = page.entries.map((entry) => ({ entry, level }));
    const left = page.total - after - rows.length;
    if (left > 0) rows.push({ more: left, path, level, after: after + rows.length });
    return rows;
  }

  async unfold(i, abort = this.abort) {
    const r = this.rows[i];
    const rows = await this.children(pathOf(r.entry), r.level + 1, abort);
    if (this.rows[i] !== r) return;
    r.open = true;
    this.rows.splice(i + 1, 0, ...rows);
  }

  // fold opens or closes the directory in a row.
  async fold(i) {
    const r = this.rows[i];
    if (r.busy) return;
    if (r.open) {
      let end = i + 1;
      while (end < this.rows.length && this.rows[end].level > r.level) end++;
      this.rows.splice(i + 1, end - i - 1);
      r.open = false;
      return;
    }
    r.busy = true;
    try {
      await this.unfold(i);
    } catch (err) {
      this.failed(err);
    }
    r.busy = false;
  }

  async more(i) {
    const r = this.rows[i];
    if (r.busy) return;
    r.busy = true;
    try {
      const rows = await this.children(r.path, r.level, this.abort, r.after);
      const at = this.rows.indexOf(r);
      if (at >= 0) this.rows.splice(at, 1, ...rows);
    } catch (err) {
      this.failed(err);
    }
    r.busy = false;
  }

  failed(err) {
    if (this.abort.signal.aborted) return;
    this.state = "failed";
    this.error = err.message;
  }

  // reveal unfolds all that leads to a path, and resolves to its row.
  async reveal(path) {
    await this.loading?.catch(() => {});
    const parts = path.split("/").filter(Boolean);
    let at = -1;
    for (let n = 1; n <= parts.length; n++) {
      const want = "/" + parts.slice(0, n).join("/");
      at = this.rows.findIndex((r) => r.entry?.path === want);
      if (at < 0) return -1;
      if (this.rows[at].entry.type === "directory" && !this.rows[at].open) await this.fold(at);
    }
    return at;
  }

  parent(i) {
    const { level } = this.rows[i];
    while (i > 0 && this.rows[i].level >= level) i--;
    return i;
  }

  // at is a row, or null where it is still to come.
  at(i) {
    if (!this.flat) return this.rows[i] ?? null;
    const page = Math.floor(i / PAGE);
    const have = this.pages.get(page);
    if (have) return have[i % PAGE] ? { entry: have[i % PAGE], level: 0 } : null;
    if (have === undefined) this.fetch(page);
    return null;
  }

  async fetch(page) {
    this.pages.set(page, null);
    const { abort } = this;
    try {
      this.pages.set(page, (await this.ask({ recursive: true, limit: PAGE, after: page * PAGE }, abort)).entries);
    } catch (err) {
      if (abort.signal.aborted) return;
      this.pages.delete(page); // the next scroll asks again
      this.failed(err);
    }
    if (abort !== this.abort) return;
    this.keep = true;
    this.changed();
    this.keep = false;
  }
}
