import { el } from "../dom.js";
import { text } from "../docker/rows.js";
import { line } from "../docker/words.js";
import { pathOf } from "./words.js";

const AROUND = 2; // lines of the Dockerfile above and below
const MOST = 12; // lines in all

// Broke says why a build failed, with the lines of its Dockerfile.
export class Broke {
  constructor(open) {
    this.open = open;
    this.words = el("p", { class: "said" });
    this.lines = el("ol", { class: "source" });
    this.node = el("div", { class: "broke", hidden: true }, this.words, this.lines);
  }

  async show(model, error) {
    const key = error ? `${model.id} ${JSON.stringify(error)}` : "";
    if (key === this.key) return;
    this.key = key;
    this.node.hidden = !error;
    if (!error) return;
    text(this.words, said(error));
    this.lines.replaceChildren();
    if (!(error.line > 0)) return;
    const source = await model.dockerfile().catch(() => "");
    if (this.key === key && source) this.excerpt(model, error, source.trimEnd().split("\n"));
  }

  excerpt(model, error, source) {
    const from = error.line,
      to = Math.max(from, error.end_line || from),
      path = pathOf(model.head);
    const first = Math.max(1, from - AROUND),
      last = Math.min(source.length, to + AROUND, first + MOST - 1);
    for (let n = first; n <= last; n++) {
      const bad = n >= from && n <= to;
      const number = path
        ? el(
            "button",
            { type: "button", class: "number", "aria-label": `Open line ${n}`, onclick: () => this.open(path, n) },
            bad ? `line ${n}` : String(n),
          )
        : el("span", { class: "number" }, String(n));
      this.lines.append(el("li", { class: bad ? "bad" : "" }, number, el("code", {}, code(source[n - 1]))));
    }
  }
}

// said puts what a visitor asks first in front: how the program ended.
function said(error) {
  const words = line(error.message, 2000);
  if (error.exit_code > 0 && !words.includes(String(error.exit_code))) return `It ended with exit status ${error.exit_code}: ${words}`;
  const lost = /failed to calculate checksum of ref .*: ("[^"]+"): not found$/.exec(words);
  if (lost) return `${lost[1]} was not found: it is not in the context, or .dockerignore leaves it out.`;
  const told = /^.*?process "(.+)" did not complete successfully: exit code: (\d+)/.exec(words);
  return told ? `The command ended with exit status ${told[2]}.` : words || "It failed.";
}

const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu;
const code = (words) => words.slice(0, 400).replace(/\t/g, "    ").replace(HIDDEN, "");
