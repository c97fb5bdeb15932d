const EVERY = 3000; // ms
const ANEW = 300; // ms: what was done from here is soon seen

// Builds is the list of the session's builds, newest first, also of those that the shell has started. It is asked for while
// the page is seen, as the ports are.
export class Builds {
  constructor(api) {
    this.api = api;
    this.list = [];
    this.watchers = new Set();
    document.addEventListener("visibilitychange", () => this.look());
  }

  // watch calls f(list) now and after every answer; it returns what ends that.
  watch(f) {
    this.watchers.add(f);
    f(this.list);
    return () => this.watchers.delete(f);
  }

  start() {
    this.running = true;
    this.look();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
  }

  // touch asks again soon.
  touch() {
    if (!this.running) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), ANEW);
  }

  // put has a build in the list before the machine is asked again.
  put(build) {
    this.tell([build, ...this.list.filter((b) => b.id !== build.id)]);
    this.touch();
  }

  async look() {
    clearTimeout(this.timer);
    if (!this.running || this.looking || document.hidden) return;
    this.looking = true;
    try {
      const { builds } = await this.api.call("GET", "/builds");
      this.failure = null;
      this.tell(Array.isArray(builds) ? builds.filter((b) => typeof b?.id === "string") : []);
    } catch (err) {
      this.failure = err;
      if (err.status === 404) this.stop(); // a machine of an earlier version, or none any more
      this.tell(this.list);
    }
    this.looking = false;
    if (this.running) this.timer = setTimeout(() => this.look(), EVERY);
  }

  tell(list) {
    this.list = list;
    for (const f of this.watchers) f(list);
  }
}
