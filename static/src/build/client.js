import { Problem } from "../api.js";

const PATIENCE = 20_000; // ms, for an answer that comes whole
const LONGEST_FILE = 1 << 20; // bytes of a Dockerfile, as BuildKit takes them

// Client speaks to the routes of builds of one session.
export class Client {
  constructor(api) {
    this.base = api.base;
  }

  async ask(method, path, body, type = "application/json") {
    const headers = { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": type }) };
    const res = await fetch(this.base + path, { method, headers, body, signal: AbortSignal.timeout(PATIENCE) });
    if (!res.ok) throw await problem(res);
    return /json/.test(res.headers.get("Content-Type") ?? "") ? res.json() : null;
  }

  start = (wanted) => this.ask("POST", "/builds", JSON.stringify(wanted));
  get = (id) => this.ask("GET", at(id));
  cancel = (id) => this.ask("POST", at(id) + "/cancel");
  forget = (id) => this.ask("DELETE", at(id));
  debug = (id, step) => this.ask("POST", `${at(id)}/steps/${encodeURIComponent(step)}/debug`);
  check = (text) => this.ask("POST", "/dockerfile", text, "text/plain; charset=utf-8");
  events = (id, after) => `${this.base}${at(id)}/events?after=${after}`;
  log = (id) => `${this.base}${at(id)}/log`;

  // read is the text of a file of the machine, or null where there is none.
  async read(path) {
    const res = await fetch(this.base + "/files" + escaped(path), { signal: AbortSignal.timeout(PATIENCE) });
    if (res.status === 404) return null;
    if (!res.ok) throw await problem(res);
    if (/json/.test(res.headers.get("Content-Type") ?? "") || res.headers.get("Content-Length") > LONGEST_FILE) return null;
    return res.text();
  }

  // folder lists a directory of the machine: [{name, type}]; [] where it is none.
  async folder(path) {
    const res = await fetch(this.base + "/files" + escaped(path), { signal: AbortSignal.timeout(PATIENCE) });
    if (!res.ok || !/json/.test(res.headers.get("Content-Type") ?? "")) return [];
    const found = await res.json();
    return Array.isArray(found) ? found : (found?.entries ?? []);
  }
}

const at = (id) => "/builds/" + encodeURIComponent(id);
const escaped = (path) => path.split("/").map(encodeURIComponent).join("/");

async function problem(res) {
  const body = await res.json().catch(() => null);
  return new Problem(body?.detail ? body : body?.message ? { detail: body.message } : null, res.status);
}

// words for an error that came from fetch or from the machine.
export function reason(err) {
  if (err instanceof Problem) return err.message;
  return err?.name === "TimeoutError" ? "The machine did not answer in time." : "Nobody answered. Is the connection there?";
}
