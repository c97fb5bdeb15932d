import { bytes, el } from "../dom.js";
import { button, text } from "./rows.js";
import { line } from "./words.js";

const FIRST_DELAY = 1000,
  MAX_DELAY = 15_000; // ms
const GOES = 8000; // ms that a pull which has worked is still shown
const LAYERS = 200;

// split takes a reference apart as the docker command line does: {fromImage, tag}.
export function split(reference) {
  const at = reference.indexOf("@");
  if (at > 0) return { fromImage: reference.slice(0, at), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(":");
  return colon > reference.lastIndexOf("/")
    ? { fromImage: reference.slice(0, colon), tag: reference.slice(colon + 1) }
    : { fromImage: reference, tag: "latest" };
}

// Pull is one pull with its progress, layer by layer as the command line draws it. A lost connection begins it again: what
// has arrived stays in the engine.
export class Pull {
  // on: done(pull), closed(pull), news(text)
  constructor(engine, reference, on) {
    this.engine = engine;
    this.reference = reference;
    this.on = on;
    this.layers = new Map();
    this.attempt = 0;
    this.title = el("strong", { class: "mono" }, line(reference));
    this.state = el("span", { class: "soft" }, "waiting for another pull…");
    this.whole = el("progress", { max: 1, "aria-label": `Pull of ${line(reference)}` });
    this.whole.removeAttribute("value");
    this.list = el("ul", { class: "layers", "aria-label": "Layers" });
    this.stop = button("cancel", `Cancel the pull of ${line(reference)}`, () => this.cancel());
    this.node = el("div", { class: "pull" }, el("div", { class: "pull-head" }, this.title, this.state, this.stop), this.whole, this.list);
  }

  async start() {
    this.abort = new AbortController();
    text(this.state, this.attempt ? "going on…" : "asking the registry…");
    try {
      for await (const m of this.engine.lines("POST", "images/create", split(this.reference), this.abort.signal)) {
        if (m.error ?? m.errorDetail?.message) return this.failed(m.errorDetail?.message ?? m.error);
        this.attempt = 0;
        this.message(m);
      }
      this.finished();
    } catch (err) {
      if (this.abort.signal.aborted) return;
      if (!err.passing) return this.failed(err.message);
      text(this.state, "reconnecting… what has arrived is kept");
      const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
      this.retry = setTimeout(() => this.start(), most * (0.5 + Math.random() / 2));
    }
  }

  message(m) {
    const status = line(m.status, 160),
      id = line(m.id, 64);
    if (!id || !/^[0-9a-f]{6,64}$/.test(id)) return this.word(status, id);
    let layer = this.layers.get(id);
    if (!layer) {
      if (this.layers.size >= LAYERS) return;
      layer = this.layer(id);
      this.layers.set(id, layer);
    }
    this.progress(layer, status, m.progressDetail ?? {});
  }

  word(status, id) {
    if (/^Status: /.test(status)) this.result = status.slice("Status: ".length);
    else if (!/^Digest: /.test(status)) text(this.state, id && !status.includes(id) ? `${id}: ${status}` : status);
  }

  layer(id) {
    const bar = el("progress", { max: 1, value: 0, "aria-label": `Layer ${id}` }),
      words = el("span", { class: "soft" });
    this.list.append(el("li", {}, el("span", { class: "mono" }, id), bar, words));
    return { bar, words, share: 0 };
  }

  // progress: downloading is the first four fifths of a layer's bar, unpacking the last.
  progress(layer, status, { current, total }) {
    const known = current >= 0 && total > 0,
      part = known ? Math.min(1, current / total) : 0;
    if (/^(Pull complete|Already exists)/i.test(status)) layer.share = 1;
    else if (/^Extracting/.test(status)) layer.share = Math.max(layer.share, 0.8 + 0.2 * part);
    else if (/^(Download complete|Verifying)/.test(status)) layer.share = Math.max(layer.share, 0.8);
    else if (/^Downloading/.test(status)) layer.share = Math.max(layer.share, 0.8 * part);
    layer.bar.value = layer.share;
    layer.bar.classList.toggle("full", layer.share === 1);
    const size = known && /^(Downloading|Extracting)/.test(status) ? ` ${bytes(current)} of ${bytes(total)}` : "";
    text(layer.words, size && /^D/.test(status) ? size.trim() : status.toLowerCase() + size);
    const all = [...this.layers.values()];
    this.whole.value = all.reduce((sum, l) => sum + l.share, 0) / all.length;
    const done = all.filter((l) => l.share === 1).length;
    text(this.state, `${done} of ${all.length} layers`);
  }

  finished() {
    this.over = true;
    this.whole.value = 1;
    this.whole.classList.add("full");
    this.list.remove();
    text(this.state, this.result ?? "done");
    this.closable();
    this.on.news(`${line(this.reference, 80)} is here`);
    this.on.done(this);
    this.leaving = setTimeout(() => this.node.contains(document.activeElement) || this.close(), GOES);
  }

  failed(message) {
    this.over = true;
    this.whole.remove();
    this.list.remove();
    this.node.classList.add("failed");
    text(this.state, line(message, 1000));
    this.stop.before(button("try again", `Pull ${line(this.reference)} again`, () => this.again()));
    this.closable();
    this.on.news(`The pull of ${line(this.reference, 80)} failed: ${line(message)}`);
    this.on.done(this);
  }

  again() {
    this.close();
    this.on.again(this.reference);
  }

  closable() {
    this.stop.replaceWith(button("×", "Dismiss", () => this.close(), "quiet"));
  }

  cancel() {
    clearTimeout(this.retry);
    this.abort?.abort();
    this.over = true;
    this.on.news(`The pull of ${line(this.reference, 80)} was cancelled`);
    this.on.done(this);
    this.close();
  }

  close() {
    clearTimeout(this.leaving);
    this.node.remove();
    this.on.closed(this);
  }
}
