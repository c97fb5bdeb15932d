const PATIENCE = 15_000; // ms, for an answer that is short
const PAGE = 20_000; // entries of a directory in one answer
const MOST_ENTRIES = 200_000; // of one directory

// FileError says what the machine says. status 0: nobody answered, which may pass.
export class FileError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 502 || this.status === 503;
  }
}

// Store is the files of the session's machine, by their keys.
export class Store {
  constructor(base) {
    this.base = base + "/files";
  }

  url(key, query = "") {
    return this.base + (key === "/" ? "/" : key) + query;
  }

  async ask(method, key, query, { headers = {}, body, signal, within = PATIENCE } = {}) {
    const limit = within ? AbortSignal.timeout(within) : null;
    let res;
    try {
      res = await fetch(this.url(key, query), { method, headers, body, cache: "no-store", signal: signal ?? limit });
    } catch (err) {
      if (signal?.aborted) throw err;
      throw new FileError("The machine did not answer.");
    }
    if (res.ok || res.status === 304) return res;
    throw new FileError(await reason(res), res.status);
  }

  // list yields the entries of a directory, a page at a time.
  async *list(key, signal) {
    for (let after = "", n = 0; n < MOST_ENTRIES; ) {
      const res = await this.ask("GET", key, `?limit=${PAGE}&after=${after}`, { signal });
      if (!/json/.test(res.headers.get("Content-Type") ?? "")) throw new FileError("This is not a folder.", 409);
      const page = await res.json();
      yield page;
      if (page.length !== PAGE) return; // a sandbox of an older server gives all at once
      const last = page.at(-1);
      after = last.encoded ?? encodeURIComponent(last.name);
      n += page.length;
    }
  }

  // read returns {bytes, etag}, null where the file still has that etag, or {size} where it has more than most bytes.
  async read(key, { etag, most }) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 4 * PATIENCE);
    try {
      const res = await this.ask("GET", key, "", { headers: etag ? { "If-None-Match": etag } : {}, signal: stop.signal });
      if (res.status === 304) return null;
      if (/json/.test(res.headers.get("Content-Type") ?? "")) throw new FileError("This is a folder.", 409);
      const size = Number(res.headers.get("Content-Length"));
      if (size > most) return { size };
      return { bytes: new Uint8Array(await res.arrayBuffer()), etag: res.headers.get("ETag"), size };
    } catch (err) {
      if (err instanceof FileError) throw err;
      throw new FileError("The machine did not answer in time.");
    } finally {
      clearTimeout(timer);
      stop.abort(); // also a body that was not wanted
    }
  }

  // has says whether there is a file. A folder of that name is an error.
  async has(key) {
    try {
      await this.read(key, { most: 0 });
      return true;
    } catch (err) {
      if (err.status === 404) return false;
      throw err;
    }
  }

  // write returns the new etag; null from a sandbox of an older server, which has none. etag: the version that it replaces; "": there must be none; null: whatever there is.
  async write(key, bytes, etag) {
    const headers = { "Content-Type": "application/octet-stream" };
    if (etag) headers["If-Match"] = etag;
    else if (etag === "") headers["If-None-Match"] = "*";
    const res = await this.ask("PUT", key, "", { headers, body: bytes, within: 4 * PATIENCE });
    return res.headers.get("ETag");
  }

  mkdir(key) {
    return this.ask("POST", key, "?mkdir");
  }
  rename(key, to) {
    return this.ask("POST", key, "?rename=" + to);
  }
  remove(key) {
    return this.ask("DELETE", key, "", { within: 8 * PATIENCE });
  }

  // upload sends a file of the visitor's own. progress(bytes). It never replaces one, unless it shall.
  upload(key, file, { replace, progress, signal }) {
    return new Promise((resolve, reject) => {
      const x = new XMLHttpRequest();
      x.open("PUT", this.url(key));
      if (!replace) x.setRequestHeader("If-None-Match", "*");
      x.setRequestHeader("Content-Type", "application/octet-stream");
      x.responseType = "text";
      x.upload.onprogress = (e) => progress(e.loaded);
      x.onload = () => (x.status < 300 ? resolve() : reject(new FileError(detail(x.responseText, x.status), x.status)));
      x.onerror = () => reject(new FileError("The connection was lost."));
      x.onabort = () => reject(new DOMException("stopped", "AbortError"));
      signal.addEventListener("abort", () => x.abort(), { once: true });
      x.send(file);
    });
  }

  // download has the browser save a file, or a folder as a tar.
  download(key, isFolder) {
    const a = document.createElement("a");
    a.href = this.url(key, isFolder ? "?archive=tar" : "");
    a.download = "";
    document.body.append(a);
    a.click();
    a.remove();
  }
}

async function reason(res) {
  return detail(await res.text().catch(() => ""), res.status);
}

function detail(text, status) {
  try {
    const said = String(JSON.parse(text).detail ?? "");
    if (said) return said.slice(0, 1000);
  } catch {
    // not a problem document
  }
  return `The machine answered ${status}.`;
}

