import { line } from "./words.js";

const EVERY = 1500; // ms between two sentences

// News says to those who listen what has changed, in one polite sentence at a time, and never one for each of a hundred.
export class News {
  constructor(node) {
    this.node = node;
    this.waiting = [];
  }

  say(words) {
    this.waiting.push(words);
    this.timer ??= setTimeout(() => this.tell(), 300);
  }

  tell() {
    this.timer = null;
    if (!this.waiting.length) return;
    const more = this.waiting.length - 3;
    this.node.textContent = this.waiting.slice(0, 3).join(". ") + (more > 0 ? `. And ${more} more changes` : "");
    this.waiting = [];
    this.timer = setTimeout(() => this.tell(), EVERY);
  }

  happened({ type, action, attributes }) {
    const name = line(attributes.name, 60);
    const words =
      type === "container" &&
      {
        start: `${name} is running`,
        die: `${name} has ended with status ${line(attributes.exitCode, 4)}`,
        oom: `${name} is out of memory`,
        pause: `${name} is paused`,
        unpause: `${name} goes on`,
        destroy: `${name} was removed`,
        create: `${name} was made`,
        "health_status: unhealthy": `${name} is unhealthy`,
        "health_status: healthy": `${name} is healthy`,
      }[action];
    if (words) this.say(words);
  }
}
