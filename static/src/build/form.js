import { el } from "../dom.js";
import { text } from "../docker/rows.js";
import { line } from "../docker/words.js";
import { pref, setPref } from "../prefs.js";
import { reason } from "./client.js";
import { Options } from "./options.js";
import { tagFor, tidy } from "./words.js";

const SETTLE = 400; // ms after the last key
const SESSIONS = 8; // of which the form is remembered
const LOOK_INTO = 12; // folders, for a Dockerfile at first

// Form is what to build and how. It remembers the last of this session, and knows the Dockerfile's stages and arguments.
export class Form {
  // on: {build(wanted)}
  constructor(client, session, on) {
    this.client = client;
    this.session = session;
    this.on = on;
    const field = (name, words, more) => {
      const input = el("input", {
        type: "text",
        id: `build-${name}`,
        autocomplete: "off",
        autocapitalize: "none",
        spellcheck: "false",
        maxlength: 4096,
        ...more,
      });
      input.addEventListener("input", () => this.changed(name));
      return [input, el("label", { for: `build-${name}`, class: `for-${name}` }, el("span", {}, words), input)];
    };
    const [context, contextLabel] = field("context", "context", { placeholder: "/root/app", list: "build-contexts" });
    const [dockerfile, dockerfileLabel] = field("dockerfile", "Dockerfile", { placeholder: "Dockerfile" });
    const [tag, tagLabel] = field("tag", "tag", { placeholder: "app" });
    this.target = el("select", { id: "build-target" }, el("option", { value: "" }, "last stage"));
    this.target.addEventListener("change", () => this.keep());
    Object.assign(this, { context, dockerfile, tag });
    this.contexts = el("datalist", { id: "build-contexts" });
    this.go = el("button", { class: "primary small go", title: "Build (ctrl-enter)" }, "Build");
    this.hint = el("p", { class: "hint", role: "status" });
    this.options = new Options(() => this.keep());
    this.node = el(
      "form",
      { class: "build-form", "aria-label": "What to build" },
      el(
        "div",
        { class: "row" },
        contextLabel,
        dockerfileLabel,
        tagLabel,
        el("label", { for: "build-target", class: "for-target" }, el("span", {}, "target"), this.target),
        el("span", { class: "acts" }, this.options.button, this.go),
      ),
      this.options.node,
      this.hint,
      this.contexts,
    );
    this.node.addEventListener("submit", (e) => {
      e.preventDefault();
      this.submit();
    });
    document.addEventListener("berth:file-saved", (e) => e.detail?.path === this.path() && this.changed(""));
    this.restore();
  }

  // wanted is the request, or null where something lacks; the form says what.
  wanted() {
    const context = this.context.value.trim(),
      tag = this.tag.value.trim();
    let wrong = null;
    if (!context.startsWith("/")) wrong = [this.context, "Say which directory is the context, for example /root/app."];
    else if (/\s/.test(tag)) wrong = [this.tag, "A tag has no spaces."];
    if (wrong) {
      this.say(wrong[1], true);
      wrong[0].focus();
      return null;
    }
    return {
      context: tidy(context),
      dockerfile: this.dockerfile.value.trim() || "Dockerfile",
      target: this.target.value,
      tags: tag ? [tag] : [],
      labels: {},
      ...this.options.wanted(),
    };
  }

  submit() {
    const wanted = this.wanted();
    if (wanted) this.on.build(wanted);
  }

  // forFile fills the form for a Dockerfile, unless it is that one's already.
  forFile(path) {
    path = tidy(path);
    if (path === this.path()) return;
    const cut = path.lastIndexOf("/");
    this.context.value = path.slice(0, cut) || "/";
    this.dockerfile.value = path.slice(cut + 1);
    this.target.replaceChildren(this.target.firstChild);
    this.options.clearArgs();
    this.ownTag = false;
    this.tag.value = tagFor(this.context.value);
    this.say("");
    this.keep();
    this.check();
  }

  path() {
    const context = this.context.value.trim(),
      file = this.dockerfile.value.trim() || "Dockerfile";
    return tidy(file.startsWith("/") ? file : `${context}/${file}`);
  }

  changed(name) {
    if (name === "tag") this.ownTag = this.tag.value !== "";
    if (name === "context" && !this.ownTag)
      this.tag.value = this.context.value.trim().startsWith("/") ? tagFor(this.context.value.trim()) : "";
    this.say("");
    this.keep();
    if (name === "tag") return;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.check(), SETTLE);
  }

  // check reads the Dockerfile for its stages and arguments, and says where there is none.
  async check() {
    const path = this.path();
    if (!this.context.value.trim().startsWith("/")) return;
    try {
      const source = await this.client.read(path);
      if (path !== this.path()) return;
      if (source === null) return this.note(`There is no ${line(path, 200)} yet.`);
      this.know(await this.client.check(source));
    } catch (err) {
      if (path === this.path()) this.note(reason(err));
    }
  }

  know(found) {
    const stages = (found?.stages ?? []).filter((s) => s?.name).slice(0, 200),
      before = this.target.value || this.wantedTarget;
    this.target.replaceChildren(
      el("option", { value: "" }, "last stage"),
      ...stages.map((s) => el("option", { value: s.name }, line(s.name, 60))),
    );
    this.target.value = stages.some((s) => s.name === before) ? before : "";
    this.target.disabled = !stages.length;
    this.options.know(found?.args ?? []);
    const error = found?.error;
    this.note(error ? `${error.line > 0 ? `Line ${error.line}: ` : ""}${line(error.message, 300)}` : "", Boolean(error));
  }

  // note says something that nobody has asked for: what failed stands until something is changed.
  note(words, bad = false) {
    if (!this.hint.classList.contains("failed")) this.say(words, bad);
  }

  say(words, bad = false) {
    text(this.hint, words);
    this.hint.classList.toggle("failed", bad);
  }

  keep() {
    const all = read();
    delete all[this.session];
    all[this.session] = {
      context: this.context.value,
      dockerfile: this.dockerfile.value,
      target: this.target.value,
      tag: this.tag.value,
      ownTag: this.ownTag,
      ...this.options.wanted(),
    };
    setPref("builds", JSON.stringify(Object.fromEntries(Object.entries(all).slice(-SESSIONS))));
  }

  restore() {
    const last = read()[this.session];
    if (!last || typeof last !== "object") return void this.find();
    this.context.value = String(last.context ?? "");
    this.dockerfile.value = String(last.dockerfile ?? "");
    this.tag.value = String(last.tag ?? "");
    this.wantedTarget = String(last.target ?? "");
    this.ownTag = Boolean(last.ownTag);
    this.options.restore(last);
    this.check();
  }

  // find looks where a Dockerfile may be: in the home, then in the folders in it.
  async find() {
    this.dockerfile.value = "Dockerfile";
    try {
      const home = await this.client.folder("/root");
      const has = (entries) => entries.some((e) => e?.name === "Dockerfile" && e.type === "file");
      const folders = home.filter((e) => e?.type === "directory" && !String(e.name).startsWith(".")).map((e) => `/root/${e.name}`);
      this.contexts.replaceChildren(...folders.slice(0, 50).map((f) => el("option", { value: f })));
      let found = has(home) ? "/root" : "";
      for (const f of folders.slice(0, LOOK_INTO)) if (!found && has(await this.client.folder(f))) found = f;
      if (this.context.value) return; // typed meanwhile
      this.context.value = found || "/root";
      this.tag.value = tagFor(this.context.value);
      this.check();
    } catch {
      this.context.placeholder = "/root/app"; // the visitor knows
    }
  }

  focus() {
    this.context.focus();
  }
}

function read() {
  try {
    const all = JSON.parse(pref("builds") ?? "{}");
    return all && typeof all === "object" ? all : {};
  } catch {
    return {};
  }
}
