import { line } from "./words.js";

// Files of a volume, over the session's API. Names are another's: they go into URLs encoded, and onto the page through line.

export const join = (dir, name) => (dir === "/" ? "" : dir) + "/" + name;
export const parentOf = (path) => path.slice(0, path.lastIndexOf("/")) || "/";
export const baseOf = (path) => path.slice(path.lastIndexOf("/") + 1);

const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

export class Files {
  constructor(engine, volume) {
    this.engine = engine;
    this.volume = volume;
  }

  path(path) {
    return `/volumes/${encodeURIComponent(this.volume)}/files${encoded(path)}`;
  }

  // look is one page of a directory, as a container sees it; container "": any that mounts the volume.
  look(path, { container = "", after = "", limit = 0 } = {}) {
    const query = { about: 1, ...(container && { container }), ...(after && { after }), ...(limit && { limit }) };
    return this.engine.get(this.path(path), query);
  }

  url(path, query) {
    return this.engine.url(this.path(path), query);
  }

  mkdir(path) {
    return this.engine.call("POST", this.path(path), { mkdir: 1 });
  }

  rename(path, to) {
    return this.engine.call("POST", this.path(path), { rename: to });
  }

  remove(path) {
    return this.engine.call("DELETE", this.path(path));
  }

  // read answers with the first bytes of a file.
  async read(path, most, signal) {
    const res = await this.engine.fetch("GET", this.path(path), {}, signal, { headers: { Range: `bytes=0-${most - 1}` } });
    return new Uint8Array(await res.arrayBuffer()).subarray(0, most);
  }

  // write sends a file. progress(0…1) tells how far it is; fetch cannot say that.
  write(path, blob, progress, signal) {
    return new Promise((done, failed) => {
      const x = new XMLHttpRequest();
      x.open("PUT", this.url(path));
      x.setRequestHeader("Content-Type", "application/octet-stream");
      x.upload.onprogress = (e) => progress(e.lengthComputable && e.total ? e.loaded / e.total : 0);
      x.onload = () => (x.status < 300 ? done() : failed(new Error(said(x.responseText) || `The answer was ${x.status}.`)));
      x.onerror = () => failed(new Error("The connection was lost."));
      x.onabort = () => failed(new DOMException("stopped", "AbortError"));
      signal.addEventListener("abort", () => x.abort());
      x.send(blob);
    });
  }
}

function said(text) {
  try {
    return line(JSON.parse(text).detail, 400);
  } catch {
    return "";
  }
}
