import { listen } from "./stream.js";

const FIRST_DELAY = 500, MAX_DELAY = 10_000; // ms

// Feed listens to the session's events and comes back by itself. handler: session(s), usage(u), notice(n), gone()
export class Feed {
  constructor(api, handler) {
    this.api = api;
    this.handler = handler;
    this.attempt = 0;
    addEventListener("online", () => this.live || this.connect());
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.stream?.abort();
    if (this.stopped) return;
    const stream = new AbortController();
    this.stream = stream;
    const heard = (f) => (event) => {
      this.attempt = 0;
      this.live = true;
      f(event);
    };
    const on = {
      session: heard((e) => this.handler.session(e.session)),
      usage: heard((e) => this.handler.usage(e.usage)),
      notice: heard((e) => this.handler.notice(e.notice)),
    };
    listen(this.api.base + "/events", on, stream.signal).catch(() => {}).then(() => this.failed(stream));
  }

  // failed: the stream does not say why. The session itself does, where the server can be reached.
  async failed(stream) {
    if (this.stopped || stream !== this.stream) return;
    this.live = false;
    const most = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.attempt++);
    this.timer = setTimeout(() => this.connect(), most * (0.5 + Math.random() / 2));
    try {
      this.handler.session(await this.api.session());
    } catch (err) {
      if (err.status === 404) this.handler.gone();
    }
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.stream?.abort();
  }
}
