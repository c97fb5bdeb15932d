const FIRST_DELAY = 500, MAX_DELAY = 10_000; // ms

// Feed listens to the session's events and comes back by itself. handler: session(s), usage(u), notice(n), gone()
export class Feed {
  constructor(api, handler) {
    this.api = api;
    this.handler = handler;
    this.attempt = 0;
    addEventListener("online", () => this.source?.readyState !== EventSource.OPEN && this.connect());
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    if (this.stopped) return;
    const source = new EventSource(this.api.base + "/events");
    this.source = source;
    const on = (name, f) => source.addEventListener(name, (e) => {
      this.attempt = 0;
      const event = JSON.parse(e.data);
      f(event);
    });
    on("session", (e) => this.handler.session(e.session));
    on("usage", (e) => this.handler.usage(e.usage));
    on("notice", (e) => this.handler.notice(e.notice));
    source.onerror = () => this.failed(source);
  }

  // failed: the browser does not say why. The session itself does, where the server can be reached.
  async failed(source) {
    source.close();
    if (this.stopped || source !== this.source) return;
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
    this.source?.close();
  }
}
