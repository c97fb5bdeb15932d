import { bytes, confirmIn, el } from "../dom.js";
import { join, shown, shownKey } from "./paths.js";

const MOST_FILES = 10_000; // of one drop
const GONE = 4000; // ms that a finished upload is still shown
const LARGE = 1 << 20; // bytes: of more than that is asked first whether there is one; less is as quickly refused as asked

// Uploads sends the visitor's own files, one after another, and shows how far it is.
export class Uploads {
  constructor(files) {
    this.files = files;
    this.box = el("div", { class: "column-uploads", role: "status", hidden: true });
    this.queue = Promise.resolve();
  }

  // droppable has files that are dropped on a node go to the folder that folderAt names.
  droppable(node, folderAt) {
    const mark = (row) => {
      node.querySelectorAll(".drop").forEach((r) => r !== row && r.classList.remove("drop"));
      node.classList.toggle("drop-all", row === node);
      if (row && row !== node) row.classList.add("drop");
    };
    const hasFiles = (e) => [...(e.dataTransfer?.types ?? [])].includes("Files");
    node.addEventListener("dragover", (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      e.dataTransfer.dropEffect = "copy";
      const row = e.target.closest(".file");
      mark(row?.classList.contains("folder") ? row : node);
    });
    node.addEventListener("dragleave", (e) => node.contains(e.relatedTarget) || mark(null));
    node.addEventListener("drop", async (e) => {
      if (!hasFiles(e)) return;
      e.preventDefault();
      mark(null);
      const folder = folderAt(e.target);
      try {
        this.send(folder, await dropped(e.dataTransfer));
      } catch (err) {
        this.files.notices.show("files", err.message);
      }
    });
    // What misses the tree must not make the browser leave the page.
    for (const name of ["dragover", "drop"]) addEventListener(name, (e) => hasFiles(e) && !e.defaultPrevented && e.preventDefault());
  }

  // send queues files: [{path, file}], file null for a folder.
  send(folder, items) {
    if (!items.length) return;
    this.queue = this.queue.then(() => this.run(folder, items)).catch((err) => this.files.notices.show("files", err.message));
  }

  async run(folder, items) {
    const total = items.reduce((n, i) => n + (i.file?.size ?? 0), 0), stop = new AbortController();
    const disk = this.files.session.limits.disk_bytes;
    if (disk && total > disk) throw new Error(`These are ${bytes(total)}, and this machine's disk has ${bytes(disk)}: nothing was uploaded.`);
    this.stopper = stop;
    const words = el("span", {}), bar = el("progress", { max: Math.max(1, total), value: 0, "aria-label": "Upload" });
    const row = el("div", { class: "upload" }, words, el("button", { type: "button", class: "quiet small", onclick: () => stop.abort() }, "Stop"), bar);
    this.box.hidden = false;
    this.box.replaceChildren(row);
    let sent = 0, all = null;
    try {
      for (const item of items) {
        const key = item.path.split("/").reduce((k, part) => join(k, encodeURIComponent(part)), folder.key);
        words.textContent = `${shown(item.path)} · ${bytes(sent)} of ${bytes(total)}`;
        if (item.file) all = await this.one(key, item.file, all, stop.signal, (n) => {
          bar.value = sent + n;
          words.textContent = `${shown(item.path)} · ${bytes(sent + n)} of ${bytes(total)}`;
        });
        else await this.files.store.mkdir(key);
        sent += item.file?.size ?? 0;
      }
      row.classList.add("done");
      words.textContent = items.length === 1 ? `${shown(items[0].path)} is there` : `${items.length} are there`;
      row.querySelector("button").remove();
      setTimeout(() => row.isConnected && ((this.box.hidden = true), row.remove()), GONE);
    } catch (err) {
      row.remove();
      this.box.hidden = true;
      if (err.name !== "AbortError") this.files.notices.show("files", `Upload to ${shownKey(folder.key)}: ${err.message}`);
    }
    if (!folder.open && folder !== this.files.root) this.files.toggle(folder, true);
    else await this.files.reader.read(folder);
  }

  // one sends a file. all: what the visitor has said about files that are there: null, "replace".
  async one(key, file, all, signal, progress) {
    const { store } = this.files;
    const send = (replace) => store.upload(key, file, { replace, progress, signal });
    if (all === "replace" || file.size <= LARGE || !(await store.has(key))) {
      try {
        await send(all === "replace");
        return all;
      } catch (err) {
        if (err.status !== 412) throw err;
      }
    }
    const yes = await confirmIn({ title: `Replace ${shown(file.name)}?`, text: "There is a file of that name in this folder. If there are more of this upload, they are replaced too.", yes: "Replace" });
    if (!yes) throw new DOMException("stopped", "AbortError");
    await send(true);
    return "replace";
  }

  stop() {
    this.stopper?.abort();
  }
}

// dropped lists what was dropped, folders with all that is in them.
async function dropped(transfer) {
  const roots = [...transfer.items].map((i) => i.webkitGetAsEntry?.()).filter(Boolean); // before the first await: it is emptied then
  if (!roots.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const out = [];
  const walk = async (entry, path) => {
    if (out.length >= MOST_FILES) throw new Error(`More than ${MOST_FILES} files: upload a tar instead.`);
    if (entry.isFile) return void out.push({ path, file: await new Promise((ok, no) => entry.file(ok, no)) });
    out.push({ path, file: null });
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((ok, no) => reader.readEntries(ok, no));
      if (!some.length) return;
      for (const e of some) await walk(e, `${path}/${e.name}`);
    }
  };
  for (const e of roots) await walk(e, e.name);
  return out;
}
