const OLD = 7 * 24 * 3600 * 1000; // ms: no session lives as long
const PREFIX = "berth.draft.";

// Drafts keep what is typed and not saved, in this browser: over reloads, lost networks and restarts of the server.
export class Drafts {
  constructor(session) {
    this.prefix = PREFIX + session + ".";
    this.sweep();
  }

  // put answers whether it is kept: storage may be full, or refused.
  put(key, draft) {
    try {
      localStorage.setItem(this.prefix + key, JSON.stringify({ ...draft, time: Date.now() }));
      return true;
    } catch {
      return false;
    }
  }

  get(key) {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + key));
    } catch {
      return null;
    }
  }

  has(key) {
    return this.get(key) !== null;
  }

  drop(key) {
    try {
      localStorage.removeItem(this.prefix + key);
    } catch {
      // nothing was kept
    }
  }

  move(from, to) {
    const draft = this.get(from);
    if (draft && this.put(to, draft)) this.drop(from);
  }

  // sweep drops those of sessions that are long gone.
  sweep() {
    try {
      for (const name of Object.keys(localStorage)) {
        if (!name.startsWith(PREFIX) || name.startsWith(this.prefix)) continue;
        const { time } = JSON.parse(localStorage.getItem(name)) ?? {};
        if (!(Date.now() - time < OLD)) localStorage.removeItem(name);
      }
    } catch {
      // no storage, or not ours
    }
  }
}
