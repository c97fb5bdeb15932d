// Words for what Docker says. Everything that comes from it goes through line or block before it is shown.

const MARKS = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g; // direction marks: they would reorder what is beside them
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/gu;

// line makes one line of a text, and not a long one.
export function line(text, most = 200) {
  const clean = String(text ?? "")
    .slice(0, most * 4)
    .replace(MARKS, "")
    .replace(CONTROL, " ")
    .trim();
  return clean.length > most ? clean.slice(0, most - 1) + "…" : clean;
}

export const shortID = (id) =>
  line(
    String(id)
      .replace(/^sha256:/, "")
      .slice(0, 12),
  );

// span says how long ago that was, in its largest unit. from, now: ms.
export function span(from, now = Date.now()) {
  const s = Math.max(0, Math.round((now - from) / 1000));
  if (!Number.isFinite(s)) return "";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 2 * 86400) return `${Math.floor(s / 3600)} h`;
  if (s < 365 * 2 * 86400) return `${Math.floor(s / 86400)} days`;
  return `${Math.floor(s / 86400 / 365)} years`;
}

// time reads Docker's times, which are year 1 for "never".
export function time(text) {
  const ms = Date.parse(text);
  return ms > 0 ? ms : NaN;
}

// A name is typed into a shell only where it is nothing but a name.
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const ID = /^(sha256:)?[0-9a-f]{12,64}$/;
const REFERENCE = /^[a-z0-9][a-zA-Z0-9._:/@-]{0,250}$/;

export const nameOf = (c) => line(String(c.Names?.[0] ?? "").replace(/^\//, ""), 80) || shortID(c.Id);

// typable is what to call a container or an image in a command, or "" where nothing is safe to type.
export function typable(name, id) {
  if (NAME.test(name) || REFERENCE.test(name)) return name;
  return ID.test(id) ? id.replace("sha256:", "").slice(0, 12) : "";
}

// ports lists what is published and exposed, each once (Docker lists IPv4 and IPv6 apart).
export function ports(c) {
  const found = new Map();
  for (const p of c.Ports ?? []) {
    const open = port(p.PublicPort),
      inner = port(p.PrivatePort);
    const type = /^(tcp|udp|sctp)$/.test(p.Type) ? p.Type : "tcp";
    if (inner) found.set(`${open}/${inner}/${type}`, { open, inner, type });
  }
  const all = [...found.values()];
  return all
    .filter((p) => p.open || !all.some((q) => q.open && q.inner === p.inner && q.type === p.type))
    .sort((a, b) => rank(b) - rank(a) || a.open - b.open || a.inner - b.inner);
}

const rank = (p) => (p.open ? 1 : 0) + (p.type === "tcp" ? 1 : 0);
const port = (n) => (Number.isInteger(n) && n > 0 && n < 65536 ? n : 0);

// portURL is where a published port is reached: a host name of its own. "" where the page itself has only an address.
export function portURL(open, session, at = location) {
  const loopback = at.hostname === "127.0.0.1" || at.hostname === "[::1]";
  const host = loopback ? "localhost" + (at.port && ":" + at.port) : at.host;
  if (/^[\d.]+(:\d+)?$|^\[/.test(host)) return "";
  return `${at.protocol === "https:" ? "https:" : "http:"}//${open}-${session}.${host}/`;
}

// limits of a container, from its inspection: memory in bytes, cpus, pids; 0: none of its own.
export function limits(inspected) {
  const h = inspected?.HostConfig ?? {};
  const quota = h.CpuQuota > 0 ? h.CpuQuota / (h.CpuPeriod || 100_000) : 0;
  return { memory: Math.max(0, h.Memory || 0), cpus: h.NanoCpus > 0 ? h.NanoCpus / 1e9 : quota, pids: Math.max(0, h.PidsLimit || 0) };
}

// stateOf says how a container does: {word, more, bad, on}.
export function stateOf(c, inspected) {
  const s = inspected?.State ?? {};
  const health = /\((healthy|unhealthy|health: starting)\)/.exec(c.Status)?.[1] ?? c.Health?.Status ?? "";
  const state = /^[a-z]{1,20}$/.test(c.State) ? c.State : "unknown";
  switch (state) {
    case "running": {
      const words = {
        healthy: "healthy",
        unhealthy: "unhealthy",
        starting: "health unknown yet",
        "health: starting": "health unknown yet",
      }[health];
      return { state, word: "running", more: [since(s.StartedAt), words], bad: health === "unhealthy", on: true };
    }
    case "paused":
      return { state, word: "paused", more: [], bad: false, on: true };
    case "exited": {
      const code = s.ExitCode ?? Number(/\((\d+)\)/.exec(c.Status)?.[1] ?? NaN);
      const why = s.OOMKilled ? "out of memory" : Number.isFinite(code) ? `exit status ${code}` : "";
      return { state, word: "exited", more: [why, since(s.FinishedAt, " ago")], bad: s.OOMKilled || code > 0, on: false };
    }
    case "created":
      return { state, word: "created", more: [s.Error ? line(s.Error) : "not started"], bad: Boolean(s.Error), on: false };
  }
  return { state, word: state, more: [], bad: state === "dead", on: state === "restarting" };
}

function since(text, after = "") {
  const at = time(text);
  return Number.isNaN(at) ? "" : span(at) + after;
}
