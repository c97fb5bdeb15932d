import { bytes, el } from "../../dom.js";
import { button, text } from "../rows.js";
import { about } from "./about.js";
import { compared } from "./compare.js";
import { Layers } from "./layers.js";
import { Preview } from "./preview.js";
import { count, percent, plural, shown } from "./shown.js";
import { smaller } from "./smaller.js";
import { Source } from "./source.js";
import { Tree } from "./tree.js";

const VIEWS = { layers: "layers", files: "files", smaller: "make it smaller", about: "configuration", compare: "compare" };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

// called is a name to be read: of an ID its beginning.
const called = (name) => (DIGEST.test(name) ? name.slice(7, 19) : shown(name).slice(0, 160));

// Inspector looks into one image, in the place of the list of images.
export class Inspector {
  // ctx: {api, news(words)}; others(): images to compare with, [{id, name}]; closed(): the list is seen again
  constructor(ctx, others, closed) {
    this.source = new Source(ctx.api.base);
    this.others = others;
    this.closed = closed;
    this.news = ctx.news;
    this.title = el("h2");
    this.facts = el("span", { class: "soft inspect-facts" });
    this.with = el("select", { "aria-label": "Compare with another image", onchange: () => this.compare(this.with.value) });
    this.acts = el("span", { class: "acts" }, this.with);
    this.word = el("p", { class: "wait", role: "status" });
    this.tabs = el("div", { class: "inspect-tabs", role: "tablist", "aria-label": "Parts of the image" });
    for (const [name, words] of Object.entries(VIEWS)) this.tabs.append(this.tab(name, words));
    this.tabs.addEventListener("keydown", (e) => this.arrows(e));
    this.layers = new Layers((i, wanted) => this.pick(i, wanted));
    this.tree = new Tree(this.source, (entry) => this.read(entry));
    this.preview = new Preview(this.source, () => this.unread());
    this.right = el("div", { class: "inspect-files" }, this.tree.node, this.preview.node);
    this.main = el("div", { class: "inspect-main" }, this.layers.node, this.right);
    this.page = el("div", { class: "inspect-scroll" });
    this.body = el("div", { class: "inspect-body", role: "tabpanel", tabindex: "-1" }, this.main, this.page);
    const back = button("←", "Back to all images", () => this.close());
    back.append(el("span", { class: "wide" }, "all images"));
    this.back = back;
    const bar = el("div", { class: "log-bar" }, back, this.title, this.facts, this.acts);
    this.node = el("section", { class: "inspector", "aria-label": "Image", hidden: true }, bar, this.tabs, this.word, this.body);
    this.node.addEventListener("keydown", (e) => this.key(e));
  }

  tab(name, words) {
    return el(
      "button",
      {
        type: "button",
        role: "tab",
        class: `quiet tab-${name}`,
        "data-view": name,
        "aria-selected": "false",
        tabindex: "-1",
        onclick: () => this.show(name),
      },
      words,
    );
  }

  arrows(e) {
    const all = [...this.tabs.children].filter((t) => t.offsetParent);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    e.preventDefault();
    const next = all[(at + step + all.length) % all.length];
    this.show(next.dataset.view);
    next.focus();
  }

  key(e) {
    if (e.key !== "Escape" || e.defaultPrevented) return;
    e.preventDefault();
    e.stopPropagation();
    if (e.target === this.tree.filter && this.tree.filter.value) {
      this.tree.filter.value = "";
      this.tree.load();
    } else if (!this.preview.node.hidden && !this.main.hidden) this.unread();
    else this.close();
  }

  // open loads an image. ref: a name or an ID; layer: the index of one, where it is known.
  async open(ref, { name = ref, layer } = {}) {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.node.hidden = false;
    this.image = null;
    this.ref = ref;
    text(this.title, called(name));
    text(this.facts, "");
    this.say("Reading the layers of this image. The first time this may take a second or two.");
    this.body.hidden = this.tabs.hidden = true;
    this.acts.replaceChildren();
    this.preview.close();
    this.back.focus();
    try {
      const image = await this.source.get("/image", { image: ref }, abort.signal);
      if (!abort.signal.aborted) this.loaded(image, layer);
    } catch (err) {
      if (!abort.signal.aborted) this.say(err.message, true);
    }
  }

  loaded(image, layer) {
    this.image = image;
    this.say("");
    if (DIGEST.test(this.ref)) text(this.title, called(image.names[0] ?? image.id));
    const w = image.waste,
      made = image.layers.filter((l) => !l.empty);
    text(
      this.facts,
      [bytes(image.size), plural(made.length, "layer"), `wasted ${bytes(w.bytes)}`, `efficiency ${percent(w.efficiency)}`].join(" · "),
    );
    const n = w.advice.length;
    text(this.tabs.querySelector(".tab-smaller"), n ? `${VIEWS.smaller} (${count(n)})` : VIEWS.smaller);
    const name = image.names[0] ?? image.id; // with a name, the archive has it
    const href = this.source.url("/image/save", { image: name });
    this.acts.replaceChildren(
      this.with,
      el("a", { class: "button small", download: true, href, "aria-label": `Save ${shown(name)} as a tar` }, "save as tar"),
    );
    this.offer();
    this.comparison = null;
    this.layers.show(image);
    this.show("layers");
    const known = image.layers[layer] && layer;
    const last = made.at(-1)?.index ?? image.layers.length - 1;
    if (image.layers.length) this.pick(known ?? last);
    this.news(`${plural(made.length, "layer")}, ${bytes(image.size)}, ${bytes(w.bytes)} wasted`);
  }

  // offer lists the images that this one can be compared with.
  offer() {
    const all = this.others().filter((o) => o.id !== this.image.id);
    this.with.replaceChildren(
      el("option", { value: "" }, "compare with…"),
      ...all.slice(0, 200).map((o) => el("option", { value: o.id }, shown(o.name))),
    );
    this.with.hidden = !all.length;
  }

  pick(index, wanted = false) {
    const layer = this.image.layers[index];
    if (wanted && this.tabs.querySelector(".tab-files").offsetParent) this.show("files"); // there is no room for both
    this.preview.close();
    this.tree.node.hidden = false;
    this.layers.select(index);
    this.tree.show(this.image, layer);
  }

  // show brings one of the parts to the front.
  show(view) {
    this.view = view;
    this.tabs.hidden = this.body.hidden = false;
    for (const t of this.tabs.children) {
      const on = t.dataset.view === view;
      t.setAttribute("aria-selected", String(on));
      t.tabIndex = on ? 0 : -1;
    }
    this.tabs.querySelector(".tab-compare").hidden = !this.comparison;
    this.tabs.querySelector("[aria-selected=true]").scrollIntoView({ block: "nearest", inline: "nearest" });
    this.body.setAttribute("aria-label", VIEWS[view]);
    const main = view === "layers" || view === "files";
    this.main.hidden = !main;
    this.page.hidden = main;
    this.main.dataset.part = view;
    if (view === "smaller") this.page.replaceChildren(smaller(this.image, (i) => this.toLayer(i)));
    if (view === "about") this.page.replaceChildren(about(this.image));
    if (view === "compare") this.page.replaceChildren(compared(this.comparison));
    this.page.scrollTop = 0;
  }

  toLayer(index) {
    this.show("layers");
    this.pick(index);
    this.layers.list.querySelector("[tabindex='0']")?.focus();
  }

  read(entry) {
    this.tree.node.hidden = true;
    this.preview.show(this.image, entry);
  }

  unread() {
    this.preview.close();
    this.tree.node.hidden = false;
    this.tree.window.draw();
    this.tree.focus();
  }

  async compare(id) {
    if (!id) return;
    const { abort } = this;
    this.say("Comparing. Files of the same size are read, which may take a moment.");
    try {
      const c = await this.source.get("/image/compare", { image: this.image.id, with: id }, abort.signal);
      if (abort.signal.aborted) return;
      this.say("");
      this.comparison = c;
      this.show("compare");
    } catch (err) {
      if (!abort.signal.aborted) this.say(err.message, true);
    }
    this.with.value = "";
  }

  say(words, failed = false) {
    text(this.word, words);
    this.word.hidden = !words;
    this.word.classList.toggle("failed", failed);
  }

  close() {
    this.abort?.abort();
    this.preview.close();
    this.tree.nodes.abort?.abort();
    this.node.hidden = true;
    this.closed();
  }
}
