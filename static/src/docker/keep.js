import { el } from "../dom.js";
import { text } from "./rows.js";
import { line, nameOf } from "./words.js";

const PATIENCE = 300_000; // ms: an image of a large container takes its time

// Keep makes an image of a container: `docker commit`.
export class Keep {
  constructor(view, ctx) {
    this.view = view;
    this.ctx = ctx;
    const field = (id, label, more) => {
      const input = el("input", { type: "text", id, autocomplete: "off", spellcheck: "false", ...more });
      this[id.slice(5)] = input;
      return [el("label", { for: id }, label), input];
    };
    this.button = el("button", { class: "small primary" }, "Keep it");
    this.said = el("span", { role: "alert" });
    this.pause = el("input", { type: "checkbox", id: "keep-pause", checked: true });
    this.node = el(
      "form",
      { class: "keep", hidden: true, "aria-label": "Keep as an image" },
      ...field("keep-name", "image", { placeholder: "name:tag", autocapitalize: "none", maxlength: "255" }),
      ...field("keep-message", "message", { placeholder: "what was done", maxlength: "1000" }),
      ...field("keep-author", "author", { placeholder: "Ada <ada@example.org>", maxlength: "200" }),
      el("label", { class: "check", for: "keep-pause" }, this.pause, "pause it meanwhile, so that nothing is half written"),
      el("span", { class: "acts" }, this.button, el("button", { type: "button", class: "small", onclick: () => this.close() }, "Cancel"), this.said),
    );
    this.node.addEventListener("submit", (e) => {
      e.preventDefault();
      this.commit();
    });
    this.node.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      this.close();
    });
  }

  toggle() {
    this.node.hidden = !this.node.hidden;
    text(this.said, "");
    if (!this.node.hidden) this.name.focus();
  }

  close() {
    this.node.hidden = true;
  }

  async commit() {
    const { item } = this.view;
    if (!item || this.button.disabled) return;
    const { repo, tag } = reference(this.name.value.trim());
    this.button.disabled = true;
    this.say(`keeping ${nameOf(item)}…`, false);
    try {
      const query = { container: item.Id, repo, tag, comment: this.message.value, author: this.author.value, pause: this.pause.checked ? 1 : 0 };
      const made = await this.ctx.engine.call("POST", "commit", query, PATIENCE);
      this.close();
      const image = repo ? `${repo}:${tag || "latest"}` : String(made?.Id ?? "");
      this.ctx.news(`${nameOf(item)} was kept as ${line(image, 80)}`);
      this.ctx.live.touch("images");
      this.name.value = this.message.value = "";
      this.ctx.inspectImage(image);
    } catch (err) {
      this.say(line(err.message, 600), true);
    }
    this.button.disabled = false;
  }

  say(words, failed) {
    text(this.said, words);
    this.said.className = failed ? "failed" : "soft";
  }
}

// reference parts a name from its tag: a colon before a slash is a registry's port.
export function reference(name) {
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? { repo: name.slice(0, colon), tag: name.slice(colon + 1) } : { repo: name, tag: "" };
}
