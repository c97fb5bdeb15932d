import { bytes, el } from "../dom.js";
import { join } from "./files.js";
import { button, text } from "./rows.js";
import { line } from "./words.js";

const MOST = 2000; // files of one drop

// Uploads sends files into the directory that is open, one after the other, and asks before it replaces one.
export class Uploads {
  constructor(browser) {
    this.browser = browser;
    this.queue = [];
    this.words = el("span", { role: "status" });
    this.bar = el("progress", { max: "1", value: "0", "aria-label": "Upload" });
    this.acts = el("span", { class: "acts" });
    this.node = el("div", { class: "pull uploads", hidden: true }, el("div", { class: "pull-head" }, this.words, this.acts), this.bar);
    this.dropping();
  }

  dropping() {
    const { node } = this.browser.ctx;
    let depth = 0;
    const files = (e) => this.browser.volume !== null && this.browser.view && [...(e.dataTransfer?.types ?? [])].includes("Files");
    const mark = (on) => node.classList.toggle("dropping", on);
    node.addEventListener("dragenter", (e) => files(e) && (e.preventDefault(), depth++, mark(true)));
    node.addEventListener("dragleave", (e) => files(e) && (--depth <= 0) && ((depth = 0), mark(false)));
    node.addEventListener("dragover", (e) => {
      if (!files(e)) return;
      e.preventDefault();
      e.dataTransfer.dropEffect = "copy";
    });
    node.addEventListener("drop", async (e) => {
      if (!files(e)) return;
      e.preventDefault();
      depth = 0;
      mark(false);
      const entries = [...e.dataTransfer.items].map((i) => i.webkitGetAsEntry?.()).filter(Boolean);
      const plain = [...e.dataTransfer.files].map((file) => ({ file, name: file.name }));
      this.add(entries.some((x) => x.isDirectory) ? await walk(entries) : plain);
    });
  }

  // add sends files: [{file, name}], name with slashes where they are in folders.
  async add(all) {
    const { dir } = this.browser;
    if (!all.length) return;
    if (all.length > MOST) return this.end(`More than ${MOST} files: make a tar of them and unpack it in the shell.`, true);
    const there = all.filter((f) => !f.name.includes("/") && this.browser.has(f.name)).map((f) => line(f.name, 60));
    if (there.length) {
      const some = there.slice(0, 3).join(", ") + (there.length > 3 ? ` and ${there.length - 3} more` : "");
      return this.ask(`${some}: replace what is here?`, () => this.send(all, dir));
    }
    this.send(all, dir);
  }

  ask(words, run) {
    this.show(words, false);
    const yes = el("button", { type: "button", class: "small danger solid", onclick: run }, "Replace");
    this.acts.replaceChildren(yes, button("Cancel", "Cancel", () => (this.node.hidden = true)));
    yes.focus();
  }

  show(words, failed) {
    this.node.hidden = false;
    this.node.classList.toggle("failed", failed);
    this.bar.hidden = true;
    text(this.words, words);
  }

  async send(all, dir) {
    this.stop();
    const { files } = this.browser,
      stop = new AbortController();
    this.running = stop;
    this.show("", false);
    this.bar.hidden = false;
    this.acts.replaceChildren(button("stop", "Stop the upload", () => stop.abort()));
    const sum = all.reduce((n, f) => n + f.file.size, 0) || 1;
    let sent = 0;
    try {
      await folders(files, dir, all);
      for (const [i, f] of all.entries()) {
        text(this.words, `${line(f.name, 80)}: ${i + 1} of ${all.length}, ${bytes(sum)} in all`);
        await files.write(join(dir, f.name), f.file, (part) => (this.bar.value = (sent + part * f.file.size) / sum), stop.signal);
        sent += f.file.size;
      }
      this.end("");
      this.browser.ctx.news(`${all.length} file${all.length > 1 ? "s" : ""} uploaded`);
    } catch (err) {
      if (this.running === stop) this.end(err.name === "AbortError" ? "" : line(err.message, 400), true);
    }
    this.browser.look();
  }

  end(words, failed = false) {
    this.running = null;
    this.show(words, failed && words !== "");
    this.node.hidden = !words;
    this.acts.replaceChildren(button("×", "Dismiss", () => (this.node.hidden = true), "quiet"));
  }

  stop() {
    const { running } = this;
    this.running = null;
    running?.abort();
    this.node.hidden = true;
  }
}

// folders makes those that the names are in.
async function folders(files, dir, all) {
  const made = new Set();
  for (const f of all) {
    const at = f.name.lastIndexOf("/");
    if (at > 0 && !made.has(f.name.slice(0, at))) await files.mkdir(join(dir, f.name.slice(0, at)));
    if (at > 0) made.add(f.name.slice(0, at));
  }
}

// walk lists the files in dropped folders.
async function walk(entries, prefix = "", out = []) {
  for (const e of entries) {
    if (out.length > MOST) break;
    if (e.isFile) out.push({ file: await new Promise((done, failed) => e.file(done, failed)), name: prefix + e.name });
    else if (e.isDirectory) await walk(await inFolder(e.createReader()), prefix + e.name + "/", out);
  }
  return out;
}

async function inFolder(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // browsers give a hundred at once
    if (!some.length || all.length > MOST) return all;
    all.push(...some);
  }
}
