import { bytes, el } from "../../dom.js";
import { button, text } from "../rows.js";
import { fullNameOf, pathOf, shown, shownText } from "./shown.js";

// Preview is the text of one file of an image. Nothing of it is ever more than text.
export class Preview {
  // back(): to the files
  constructor(source, back) {
    this.source = source;
    this.title = el("h3");
    this.facts = el("p", { class: "soft preview-facts" });
    this.acts = el("span", { class: "acts" });
    this.word = el("p", { class: "wait", role: "status" });
    this.text = el("pre", { class: "preview-text", tabindex: "0" });
    this.back = button("← files", "Back to the files", back);
    const bar = el("div", { class: "tree-bar" }, this.back, this.title, this.acts);
    this.node = el("div", { class: "inspect-preview", hidden: true }, bar, this.facts, this.word, this.text);
  }

  async show(image, entry) {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const query = { image: image.id, layer: entry.layer, path: pathOf(entry) };
    const isFile = entry.type === "file" || entry.type === "symlink";
    this.node.hidden = false;
    text(this.title, fullNameOf(entry));
    this.text.setAttribute("aria-label", `Content of ${fullNameOf(entry)}`);
    const owner = `${shown(entry.owner ?? entry.uid)}:${shown(entry.group ?? entry.gid)}`;
    const when = new Date(entry.mod_time);
    const facts = [
      entry.type === "file" ? bytes(entry.size) : entry.type,
      shown(entry.mode),
      owner,
      Number.isNaN(when.getTime()) ? "" : when.toLocaleString(),
      `as of layer ${entry.layer + 1}`,
      entry.change === "removed" && "removed by this layer",
      entry.linked && "one of several names of a file",
      entry.target !== undefined && `→ ${shown(entry.target)}`,
    ];
    text(this.facts, facts.filter(Boolean).join(" · "));
    const href = this.source.url("/image/file", query);
    this.acts.replaceChildren(isFile ? el("a", { class: "button small", download: true, href }, "download") : "");
    this.text.hidden = true;
    this.say(isFile ? "reading…" : `A ${entry.type} has nothing to read.`);
    this.back.focus();
    if (isFile) await this.read(query, abort);
  }

  async read(query, abort) {
    try {
      const { text: content, size, cut } = await this.source.beginning(query, abort.signal);
      if (abort.signal.aborted) return;
      if (content === null) return this.say(`This is no text: ${bytes(size)} of bytes. Download it to look at it.`);
      this.text.textContent = shownText(content);
      this.text.hidden = false;
      this.text.scrollTop = 0;
      this.say(cut ? `The first 256 KB of ${bytes(size)}. Download it for all.` : size === 0 ? "The file is empty." : "");
      this.text.focus();
    } catch (err) {
      if (!abort.signal.aborted) this.say(err.message, true);
    }
  }

  say(words, failed = false) {
    text(this.word, words);
    this.word.hidden = !words;
    this.word.classList.toggle("failed", failed);
  }

  close() {
    this.abort?.abort();
    this.node.hidden = true;
    this.text.textContent = "";
  }
}
