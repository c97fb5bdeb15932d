// Source is the session's image inspector, through the server. What it answers is of an image, which anybody may have made.
const PATIENCE = 120_000; // ms: the first look at a large image reads all of its layers
export const PREVIEW = 256 * 1024; // bytes of a file that are shown

export class SourceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Source {
  constructor(base) {
    this.base = base;
  }

  // url of a route. A query's value may be {escaped}: what is no UTF-8 comes and goes as a URL writes it.
  url(path, query = {}) {
    const parts = Object.entries(query)
      .filter(([, v]) => v !== "" && v !== undefined && v !== null && v !== false)
      .map(([k, v]) => `${k}=${v?.escaped ?? encodeURIComponent(v === true ? "1" : String(v))}`);
    return `${this.base}${path}${parts.length ? "?" + parts.join("&") : ""}`;
  }

  async fetch(path, query, signal, headers = {}) {
    let res;
    try {
      const late = AbortSignal.timeout(PATIENCE);
      res = await fetch(this.url(path, query), { headers, signal: signal ? AbortSignal.any([signal, late]) : late });
    } catch (err) {
      if (signal?.aborted) throw err;
      throw new SourceError(
        err.name === "TimeoutError" ? "The answer did not come in time." : "Nobody answered. Try again in a moment.",
        0,
      );
    }
    if (res.ok) return res;
    throw new SourceError(await reason(res), res.status);
  }

  async get(path, query, signal) {
    const res = await this.fetch(path, query, signal);
    try {
      return await res.json();
    } catch {
      if (signal?.aborted) throw new DOMException("stopped", "AbortError");
      throw new SourceError("The answer is no JSON.", 0);
    }
  }

  // beginning reads the first bytes of a file: {text, or null where it is none, size, cut}.
  async beginning(query, signal) {
    const res = await this.fetch("/image/file", query, signal, { Range: `bytes=0-${PREVIEW - 1}` }).catch((err) => {
      if (err.status === 416) return null; // an empty file has no first byte
      throw err;
    });
    if (!res) return { text: "", size: 0, cut: false };
    const bytes = new Uint8Array(await res.arrayBuffer());
    const size = Number(/\/(\d+)$/.exec(res.headers.get("Content-Range") ?? "")?.[1] ?? bytes.length);
    const isText = /^text\/plain/.test(res.headers.get("Content-Type") ?? "");
    const text = isText ? new TextDecoder().decode(bytes, { stream: size > bytes.length }) : null; // a letter may be cut
    return { text, size, cut: size > bytes.length };
  }
}

async function reason(res) {
  try {
    const body = await res.json();
    return String(body.detail ?? body.message ?? "").slice(0, 2000) || `The server answered ${res.status}.`;
  } catch {
    return `The server answered ${res.status}.`;
  }
}
