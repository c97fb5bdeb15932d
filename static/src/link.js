// Link is the client of berth.terminal.v1: it survives cut links without losing or repeating a byte in either direction.
// It knows nothing of the page; everything it learns goes to the handler given.

const SUBPROTOCOL = "berth.terminal.v1";
const OUTPUT = 1, STATUS = 2, APPLIED = 3; // from the server
const INPUT = 1, CONTROL = 2, ACK = 3; // from us
const CHUNK = 4096; // bytes of input in one message
const WINDOW = 64 * 1024; // bytes of input under way at once
const MAX_PENDING = 4 << 20; // bytes of input that wait for a link
const ACK_EVERY = 32 * 1024, ACK_AFTER = 20; // bytes, ms
const HELLO_WITHIN = 10_000; // ms, else the link is taken for dead
const APPLIED_WITHIN = 5_000, APPLIED_MOST = 60_000; // ms; twice as long each time, for the program may just not read
const FIRST_DELAY = 250, MAX_DELAY = 8_000; // ms
const REPLACED = 4001, DELETED = 4004; // close codes: our client id is in use elsewhere; the terminal is no more
const HIDDEN_LONG = 60_000; // ms: after that a link is not believed

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function frame(type, number, body) {
  const out = new Uint8Array(9 + (body?.length ?? 0));
  out[0] = type;
  new DataView(out.buffer).setBigUint64(1, BigInt(number));
  if (body) out.set(body, 9);
  return out;
}

export class Link {
  // url(): the websocket's URL. saved: what save() returned before a reload.
  // handler: output(bytes, replayed, done), status(object), state("connecting" | "live" | "waiting" | "closed"),
  // reset() (what is shown is void), deleted() (the terminal is no more)
  constructor(url, handler, saved) {
    this.url = url;
    this.handler = handler;
    this.client = saved?.client ?? randomID();
    this.pending = (saved?.pending ?? []).map(([at, b64]) => ({ at, bytes: Uint8Array.from(atob(b64), (c) => c.charCodeAt(0)) }));
    this.typed = saved?.typed ?? 0; // bytes of input ever
    this.applied = this.pending[0]?.at ?? this.typed;
    this.sent = this.applied;
    this.next = undefined; // sequence number of the next byte of output wanted
    this.parsed = 0;
    this.acked = 0;
    this.replayUntil = 0;
    this.size = null;
    this.attempt = 0;
    this.patience = APPLIED_WITHIN;
    this.live = false;
    this.stopped = false;
    this.hiddenAt = 0;
    this.listeners = new AbortController();
    const on = (target, name, f) => target.addEventListener(name, f, { signal: this.listeners.signal });
    on(window, "online", () => this.again());
    on(document, "visibilitychange", () => this.seen());
  }

  connect() {
    if (this.stopped || this.ws) return;
    clearTimeout(this.retry);
    this.handler.state(this.attempt ? "waiting" : "connecting");
    const url = this.url();
    url.searchParams.set("client", this.client);
    if (this.size) {
      url.searchParams.set("cols", this.size.cols);
      url.searchParams.set("rows", this.size.rows);
    }
    if (this.next !== undefined) url.searchParams.set("after", this.next);
    const ws = new WebSocket(url, SUBPROTOCOL);
    this.ws = ws;
    ws.binaryType = "arraybuffer";
    ws.onmessage = (e) => this.ws === ws && this.receive(new Uint8Array(e.data));
    ws.onclose = (e) => this.ws === ws && this.closed(e.code);
    this.deadline(HELLO_WITHIN);
  }

  closed(code) {
    if (code === DELETED) {
      this.stop();
      return this.handler.deleted();
    }
    if (code === REPLACED) this.client = randomID(); // else two pages would throw each other out for ever
    this.lost();
  }

  // lost plans the next attempt: soon at first, then ever later, never all visitors at once.
  lost() {
    this.drop();
    if (this.stopped) return;
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.handler.state("waiting");
    this.retry = setTimeout(() => this.connect(), most * (0.5 + Math.random() / 2));
  }

  drop() {
    const ws = this.ws;
    this.ws = null;
    this.live = false;
    clearTimeout(this.dead);
    clearTimeout(this.retry);
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (ws) {
      ws.onmessage = ws.onclose = null;
      ws.close();
    }
  }

  // again gives up the link, which may be dead without knowing it, for a new one. Nothing is lost by that.
  again() {
    if (this.stopped) return;
    this.drop();
    this.connect();
  }

  seen() {
    if (document.hidden) {
      this.hiddenAt = Date.now();
    } else if (!this.live || (this.hiddenAt && Date.now() - this.hiddenAt > HIDDEN_LONG)) {
      this.again();
    }
  }

  stop() {
    this.stopped = true;
    this.listeners.abort();
    this.drop();
    this.handler.state("closed");
  }

  // save is what a reload needs so that nothing typed is lost; null when everything has arrived.
  save() {
    if (!this.pending.length) return null;
    return { client: this.client, typed: this.typed, pending: this.pending.map((p) => [p.at, btoa(String.fromCharCode(...p.bytes))]) };
  }

  deadline(ms) {
    clearTimeout(this.dead);
    this.dead = setTimeout(() => this.lost(), ms);
  }

  receive(message) {
    const view = new DataView(message.buffer);
    switch (message[0]) {
      case OUTPUT:
        return this.output(Number(view.getBigUint64(1)), message.subarray(9));
      case APPLIED:
        return this.appliedTo(Number(view.getBigUint64(1)));
      case STATUS: {
        const status = JSON.parse(decoder.decode(message.subarray(1)));
        if (status.type === "hello") this.hello(status);
        else if (status.type === "gap") this.next = Math.max(this.next ?? 0, status.to);
        this.handler.status(status);
      }
    }
  }

  hello(h) {
    clearTimeout(this.dead);
    if (this.next === undefined) {
      this.next = this.parsed = this.acked = h.from;
      this.replayUntil = h.next;
    } else if (h.next < this.next) {
      // Another terminal under the same name: what we show is not its output.
      this.next = undefined;
      this.handler.reset();
      return this.again();
    }
    this.attempt = 0;
    this.live = true;
    this.resume(h.input ?? 0);
    this.acked = 0;
    this.sendAck();
    if (this.size) this.control({ type: "resize", ...this.size });
    this.handler.state("live");
  }

  // resume sends again what the other side has not applied. A side that has forgotten us counts from where it stands.
  resume(applied) {
    if (applied < this.applied || applied > this.typed) {
      let at = applied;
      for (const p of this.pending) {
        p.at = at;
        at += p.bytes.length;
      }
      this.typed = at;
      this.applied = applied;
    }
    this.sent = applied;
    this.appliedTo(applied);
  }

  output(seq, data) {
    if (this.next === undefined) return;
    const end = seq + data.length;
    if (end <= this.next) return; // seen already
    if (seq < this.next) data = data.subarray(this.next - seq);
    this.next = end;
    this.handler.output(data, end <= this.replayUntil, () => {
      this.parsed = Math.max(this.parsed, end);
      if (this.parsed - this.acked >= ACK_EVERY) this.sendAck();
      else this.ackTimer ||= setTimeout(() => this.sendAck(), ACK_AFTER);
    });
  }

  sendAck() {
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (!this.live || this.parsed <= this.acked) return;
    this.acked = this.parsed;
    this.ws.send(frame(ACK, this.parsed));
  }

  // type takes input, whether there is a link or not. False: too much is waiting already.
  type(data) {
    const all = typeof data === "string" ? encoder.encode(data) : data;
    if (this.typed - this.applied + all.length > MAX_PENDING) return false;
    for (let i = 0; i < all.length; i += CHUNK) {
      const part = all.subarray(i, i + CHUNK);
      this.pending.push({ at: this.typed, bytes: part });
      this.typed += part.length;
    }
    this.pump();
    return true;
  }

  pump() {
    if (!this.live || this.sent >= this.typed) return;
    for (const p of this.pending) {
      const end = p.at + p.bytes.length;
      if (end <= this.sent) continue;
      if (this.sent - this.applied >= WINDOW) break;
      const from = this.sent - p.at;
      this.ws.send(frame(INPUT, this.sent, from > 0 ? p.bytes.subarray(from) : p.bytes));
      this.sent = end;
    }
    this.awaitApplied();
  }

  awaitApplied() {
    clearTimeout(this.dead);
    this.dead = setTimeout(() => {
      this.patience = Math.min(APPLIED_MOST, this.patience * 2);
      this.again();
    }, this.patience);
  }

  appliedTo(n) {
    if (n > this.applied) this.patience = APPLIED_WITHIN;
    this.applied = Math.max(this.applied, n);
    while (this.pending.length && this.pending[0].at + this.pending[0].bytes.length <= this.applied) this.pending.shift();
    clearTimeout(this.dead);
    if (this.sent > this.applied) this.awaitApplied();
    this.pump();
  }

  control(message) {
    if (!this.live) return;
    const body = encoder.encode(JSON.stringify(message));
    const out = new Uint8Array(1 + body.length);
    out[0] = CONTROL;
    out.set(body, 1);
    this.ws.send(out);
  }

  resize(cols, rows) {
    if (this.size?.cols === cols && this.size?.rows === rows) return;
    this.size = { cols, rows };
    this.control({ type: "resize", cols, rows });
  }
}

function randomID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
