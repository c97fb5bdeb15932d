import { byId } from "./dom.js";

const SOON = 2 * 60_000; // ms

// Clock counts down to the session's end by the server's clock, whatever this machine's clock says.
export class Clock {
  constructor(serverNow) {
    // The server wrote its time just before the first byte of the page came; scripts run later.
    const [page] = performance.getEntriesByType("navigation");
    this.skew = serverNow - (page ? performance.timeOrigin + page.responseStart : Date.now());
    this.text = byId("countdown");
    this.extend = byId("extend");
    this.timer = setInterval(() => this.tick(), 1000);
  }

  set(session) {
    this.expires = session.expires_at ? Date.parse(session.expires_at) : 0;
    const most = session.max_expires_at ? Date.parse(session.max_expires_at) : 0;
    const spent = most > 0 && this.expires >= most;
    this.extend.disabled = spent || session.state !== "ready";
    this.extend.title = spent ? "This session lasts as long as it may" : "More time";
    this.tick();
  }

  tick() {
    if (!this.expires) return;
    const left = Math.max(0, this.expires - Date.now() - this.skew);
    this.text.textContent = clock(left);
    this.text.title = "Ends at " + new Date(this.expires - this.skew).toLocaleTimeString();
    this.text.classList.toggle("soon", left < SOON);
  }

  stop() {
    clearInterval(this.timer);
  }
}

export function clock(ms) {
  const s = Math.ceil(ms / 1000);
  const pad = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(s / 60) % 60, hours = Math.floor(s / 3600);
  return hours ? `${hours}:${pad(minutes)}:${pad(s % 60)}` : `${minutes}:${pad(s % 60)}`;
}
