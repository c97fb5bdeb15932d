import { openStream } from "../stream.js";

// Engine is the session's Docker Engine API, through the server. What it answers is another's text: never markup, never
// longer than what is said here.
const PATIENCE = 20_000; // ms, for an answer that is one JSON document
const LONGEST_LINE = 1 << 20; // characters of one JSON line of a stream

// DockerError has Docker's own words. status 0: nobody answered.
export class DockerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  // passing says whether the same request may work in a moment: the server or the engine is being restarted.
  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 502 || this.status === 503;
  }
}

export class Engine {
  constructor(base) {
    this.session = base;
    this.base = base + "/docker/";
  }

  // url is of a path of Docker's API or, where that begins with a slash, of the session's own.
  url(path, query = {}) {
    const q = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)])).toString();
    return (path.startsWith("/") ? this.session : this.base) + path + (q && "?" + q);
  }

  // fetch answers with a response that is fine, or throws a DockerError; AbortError where signal was.
  async fetch(method, path, query, signal, more = {}) {
    return this.answer(() => fetch(this.url(path, query), { method, signal, ...more }));
  }

  // open is fetch for answers that stay open.
  open(method, path, query, signal) {
    return method === "GET" ? this.answer(() => openStream(this.url(path, query), signal)) : this.fetch(method, path, query, signal);
  }

  async answer(ask) {
    let res;
    try {
      res = await ask();
    } catch (err) {
      if (err.name === "AbortError") throw err;
      throw new DockerError("Nobody answered.", 0);
    }
    if (res.ok || res.status === 304) return res;
    throw new DockerError(await reason(res), res.status);
  }

  // call is for answers that come whole. within: ms; body is sent as JSON.
  async call(method, path, query, within = PATIENCE, body = undefined) {
    const signal = AbortSignal.timeout(within);
    const more = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    try {
      const res = await this.fetch(method, path, query, signal, more);
      const text = await res.text();
      return text && /json/.test(res.headers.get("Content-Type") ?? "") ? JSON.parse(text) : null;
    } catch (err) {
      if (err instanceof DockerError) throw err;
      throw new DockerError(err.name === "SyntaxError" ? "The answer is no JSON." : "The answer did not come in time.", 0);
    }
  }

  get(path, query) {
    return this.call("GET", path, query);
  }

  // lines yields the JSON documents of a stream, one a line. opened is called when the engine has taken the request.
  async *lines(method, path, query, signal, opened) {
    const res = await this.open(method, path, query, signal);
    opened?.();
    let rest = "";
    for await (const text of pieces(res.body.pipeThrough(new TextDecoderStream()), signal)) {
      const parts = (rest + text).split("\n");
      rest = parts.pop();
      if (rest.length > LONGEST_LINE) throw new DockerError("A line of the answer has no end.", 0);
      for (const part of parts) if (part.trim()) yield parse(part);
    }
    if (rest.trim()) yield parse(rest);
  }

  // chunks yields the bytes of a stream as they come.
  async *chunks(path, query, signal, opened) {
    const res = await this.open("GET", path, query, signal);
    opened?.();
    yield* pieces(res.body, signal);
  }
}

// pieces reads a stream by its reader: Safari has no asynchronous iteration of streams.
async function* pieces(stream, signal) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (err) {
    if (signal?.aborted) throw new DOMException("stopped", "AbortError");
    throw new DockerError("The connection was lost.", 0);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    throw new DockerError("The answer is no JSON.", 0);
  }
}

// reason is Docker's {"message"}, or the server's problem document.
async function reason(res) {
  try {
    const body = await res.json();
    return String(body.message ?? body.detail ?? "").slice(0, 2000) || `Docker answered ${res.status}.`;
  } catch {
    return `Docker answered ${res.status}.`;
  }
}

// path makes one part of a URL's path of a name; slashes of an image's name stay.
export const part = (name) => name.split("/").map(encodeURIComponent).join("/");
