import { isolateHistory } from "@codemirror/commands";
import { closeLintPanel, openLintPanel } from "@codemirror/lint";
import { openSearchPanel } from "@codemirror/search";
import { EditorState, Text, Transaction } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { bytes, el } from "../dom.js";
import { nameOf, parentOf, pathOf, shownKey } from "../files/paths.js";
import { pref, setPref } from "../prefs.js";
import { isDark } from "../themes.js";
import { difference } from "./difference.js";
import { isDockerfile } from "./languages.js";
import { setMarks } from "./marks.js";
import { extensions, ofName, parts, separator, wrapping } from "./setup.js";
import { decode, encode, lines } from "./text.js";
import { theme } from "./theme.js";

const MOST = 1 << 20; // bytes of a file that is opened: more is for other programs
const DRAFT_AFTER = 300, // ms after the last key
  RETRY_AFTER = 2000, // ms after nobody answered
  SAVED_FOR = 2500; // ms that it is said

// EXAMPLE builds from an image that every environment is likely to have.
const EXAMPLE = `FROM busybox
WORKDIR /app
COPY . .
CMD ["ls", "-l"]
`;

// FileView is the editor of one file: what is on the machine's disk, what is typed, and what to do where they differ.
export class FileView {
  // frame: the Document; ctx: {api, store, watch, drafts, marks, notices}
  constructor(frame, ctx) {
    Object.assign(this, ctx, { frame });
    this.parts = parts();
    this.status = el("span", { class: "file-status", role: "status" });
    this.about = el("span", { class: "soft file-about" });
    this.path = el("span", { class: "file-path mono" });
    this.checks = el("button", { type: "button", class: "quiet small", title: "What BuildKit's checks say", hidden: true, onclick: () => this.toggleChecks() });
    this.starter = el("button", { type: "button", class: "quiet small", hidden: true, onclick: () => this.start() }, "Begin with an example");
    this.saveButton = el("button", { type: "button", class: "small", title: "Save (ctrl-s)", onclick: () => this.save() }, "Save");
    this.buildButton = el("button", { type: "button", class: "small", title: "Save and build (ctrl-enter)", onclick: () => this.build() }, "Build");
    this.bar = el("div", { class: "file-bar" }, this.path, this.about, this.starter, this.checks, this.status, this.buildButton, this.saveButton);
    this.notice = el("div", { class: "notice", role: "alert", hidden: true });
    this.host = el("div", { class: "file-text" });
    frame.node.append(this.bar, this.notice, this.host);
    this.moved(true);
    this.unlisten = this.watch.listen((e) => this.heard(e));
    this.loaded = this.load();
  }

  get key() {
    return this.frame.key;
  }

  // load answers whether the file is open now.
  async load() {
    this.say("Opening…");
    const draft = this.drafts.get(this.key);
    for (;;) {
      try {
        const file = await this.store.read(this.key, { most: MOST });
        return this.opened(file, draft);
      } catch (err) {
        if (this.closed) return false;
        if (err.status === 404 && draft) return this.opened(null, draft);
        if (!err.passing) return this.refuse(err.status === 404 ? "There is no such file." : err.message);
        this.say("The machine does not answer. Trying again…", true);
        await new Promise((done) => setTimeout(done, RETRY_AFTER));
        if (this.closed) return false;
      }
    }
  }

  // refuse says why there is no text to edit.
  refuse(why, download) {
    this.say("");
    this.saveButton.hidden = this.buildButton.hidden = true;
    this.host.replaceChildren(el("div", { class: "none-yet" }, el("p", {}, why),
      download && el("button", { type: "button", class: "small", onclick: () => this.store.download(this.key) }, "Download it")));
    this.host.querySelector("button")?.focus();
    return false;
  }

  opened(file, draft) {
    if (this.closed) return false;
    if (file && !file.bytes) return this.refuse(`This file has ${bytes(file.size)}. The editor opens text of up to ${bytes(MOST)}.`, true);
    const found = file ? decode(file.bytes) : { ...draft, text: draft.saved ?? "" };
    if (!found) return this.refuse(`This file is not text: it has ${bytes(file.size)} of binary data. The editor would damage it.`, true);
    this.format = found;
    this.etag = file ? file.etag : "";
    const text = lines(found.text, found), shows = draft ? draft.text : text;
    const byName = ofName(this.name, text, this.api, (n) => this.linted(n));
    this.language = byName.word;
    this.view = new EditorView({
      parent: this.host,
      state: EditorState.create({ doc: shows, extensions: extensions(this.parts, found, {
        save: () => this.save(), build: () => this.build(), changed: (u) => this.changed(u),
      }, byName.extensions, shownKey(this.key)) }),
    });
    this.saved = this.textOf(text);
    this.describe();
    this.say("");
    this.mark();
    if (this.marks.has(this.key)) this.setMarks(this.marks.get(this.key));
    if (!file) this.setMissing();
    else if (draft && draft.etag !== file.etag && this.dirty) this.differs({ text, etag: file.etag });
    if (!this.frame.node.hidden) this.view.focus();
    return true;
  }

  get name() {
    return pathOf(nameOf(this.key));
  }

  textOf(text) {
    return Text.of(text.split(this.format.exact ? "\n" : /\r\n?|\n/));
  }

  get dirty() {
    return Boolean(this.view) && (this.missing || !this.view.state.doc.eq(this.saved));
  }

  describe() {
    const { encoding, eol, exact } = this.format;
    this.about.textContent = [this.language, eol === "\r\n" && "CRLF", exact && "mixed line ends", encoding === "bytes" && "not UTF-8: shown byte by byte"].filter(Boolean).join(" · ");
  }

  say(words, bad = false) {
    clearTimeout(this.quiet);
    this.status.textContent = words;
    this.status.classList.toggle("failed", bad);
  }

  // mark shows whether there is something to save.
  mark() {
    this.frame.setDirty(this.dirty);
    this.starter.hidden = !isDockerfile(this.name) || this.view.state.doc.length > 0;
    this.saveButton.disabled = !this.dirty;
  }

  start() {
    this.view.dispatch({ changes: { from: 0, insert: EXAMPLE }, selection: { anchor: EXAMPLE.length }, userEvent: "input" });
    this.view.focus();
  }

  changed(update) {
    if (!update.docChanged) return;
    this.mark();
    if (this.status.classList.contains("failed") && !this.retrying) this.say("");
    clearTimeout(this.drafting);
    this.drafting = setTimeout(() => this.flush(), DRAFT_AFTER);
  }

  // flush keeps what is not saved, in this browser.
  flush() {
    clearTimeout(this.drafting);
    if (!this.view || this.closed) return;
    if (!this.dirty) return this.drafts.drop(this.key);
    const { encoding, eol, exact } = this.format;
    const kept = this.drafts.put(this.key, { text: this.view.state.doc.toString(), etag: this.etag, encoding, eol, exact });
    if (kept !== Boolean(this.unkept)) return; // it is said once
    this.unkept = !kept;
    if (!kept) this.say("This browser has no room to keep it: save it before you leave.", true);
  }

  // linted: so much was found; null: nobody looked.
  linted(n) {
    this.checks.hidden = !n;
    this.checks.textContent = n === 1 ? "1 remark" : `${n} remarks`;
  }

  toggleChecks() {
    if (!closeLintPanel(this.view)) openLintPanel(this.view);
  }

  // save answers whether all is on the machine's disk. One that nobody answers is tried again until somebody does.
  async save() {
    clearTimeout(this.retrying);
    this.retrying = null;
    if (!this.view) return false;
    if (this.theirs) return this.differs(this.theirs) ?? false;
    if (!this.dirty) return true;
    this.saving = (this.saving ?? Promise.resolve()).then(() => this.write());
    return this.saving;
  }

  async write() {
    if (!this.dirty || this.closed) return !this.closed;
    const doc = this.view.state.doc, key = this.key;
    this.say("Saving…");
    try {
      this.etag = await this.store.write(key, encode(doc.toString(), this.format), this.etag);
    } catch (err) {
      return key === this.key ? this.unsaved(err) : this.write(); // renamed meanwhile
    }
    this.saved = doc;
    this.missing = false;
    this.hideNotice();
    this.mark();
    this.flush();
    this.say(this.dirty ? "" : "Saved");
    this.quiet = setTimeout(() => this.say(""), SAVED_FOR);
    document.dispatchEvent(new CustomEvent("berth:file-saved", { detail: { path: pathOf(this.key), key: this.key } }));
    return true;
  }

  unsaved(err) {
    this.flush();
    if (err.status === 412) {
      this.say("");
      this.check(); // not awaited: it waits for this save
    } else if (err.passing) {
      this.say("Not saved yet: nobody answers. It is kept in this browser, and saved as soon as it can be.", true);
      this.retrying = setTimeout(() => this.save(), RETRY_AFTER);
    } else if (err.status === 404) {
      this.say("Not saved: its folder is gone. Make the folder, then save.", true);
    } else if (err.status === 507) {
      this.say("Not saved: the machine's disk is full. Delete something, then save.", true);
    } else {
      this.say(`Not saved: ${err.message}`, true);
    }
    return false;
  }

  async build() {
    if (!isDockerfile(this.name)) return;
    if (await this.save()) document.dispatchEvent(new CustomEvent("berth:build", { detail: { path: pathOf(this.key) } }));
  }

  heard(e) {
    const ours = e.kind === "ready" || e.kind === "overflow" || e.kind === "gone" || e.key === this.key || (e.key === parentOf(this.key) && e.kind !== "changed");
    if (!ours || !this.view) return;
    clearTimeout(this.checking);
    this.checking = setTimeout(() => this.check(), 30); // ms: what happens at once is read once
  }

  // check looks whether the file is still the one that was read.
  async check() {
    await this.saving?.catch(() => {});
    const had = this.etag, key = this.key;
    let file;
    try {
      file = await this.store.read(key, { etag: had, most: MOST });
    } catch (err) {
      if (err.status === 404 && key === this.key) this.setMissing();
      return; // else it is looked at again when the connection is back
    }
    if (this.closed || this.etag !== had || this.key !== key) return; // saved meanwhile, or renamed, which looks again
    if (!file) return this.missing ? this.back() : undefined;
    const found = file.bytes && decode(file.bytes);
    if (!found) return this.show(`This file is now ${file.bytes ? "binary" : bytes(file.size)}: what you see is from before.`, [["Download it", () => this.store.download(this.key)]]);
    this.takes(found, file.etag);
  }

  back() {
    this.missing = false;
    this.hideNotice();
    this.mark();
    this.flush();
  }

  // takes has what the machine has now: it is shown, or told where something else was typed.
  takes(found, etag) {
    const text = lines(found.text, found), now = this.view.state.doc.toString(), untouched = !this.dirty || this.missing && this.view.state.doc.eq(this.saved);
    if (this.missing && !untouched && this.textOf(text).eq(this.saved)) { // it is where it was, or has another name
      this.etag = etag;
      return this.back();
    }
    this.missing = false;
    if (untouched || text === now) {
      this.adopt(text, etag, found);
    } else {
      this.differs({ text, etag, found });
    }
  }

  // adopt makes the machine's text the editor's: only what differs is replaced, so that cursor and view stay.
  adopt(text, etag, found = this.format, undoable = false) {
    const now = this.view.state.doc.toString();
    let from = 0, endNow = now.length, endText = text.length;
    while (from < endNow && from < endText && now[from] === text[from]) from++;
    while (endNow > from && endText > from && now[endNow - 1] === text[endText - 1]) endNow--, endText--;
    if (found.exact !== this.format.exact) this.view.dispatch({ effects: this.parts.separator.reconfigure(separator(found.exact)) });
    this.format = found;
    this.saved = this.textOf(text);
    this.etag = etag;
    this.theirs = null;
    if (from < endNow || from < endText) this.view.dispatch({
      changes: { from, to: endNow, insert: this.view.state.toText(text.slice(from, endText)) },
      annotations: undoable ? isolateHistory.of("full") : Transaction.addToHistory.of(false),
    });
    this.endDifference();
    this.hideNotice();
    this.describe();
    this.mark();
    this.flush();
  }

  setMissing() {
    if (this.missing) return;
    this.missing = true;
    this.etag = "";
    this.mark();
    this.flush();
    this.show("This file has been deleted or moved away. What you see is kept here.", [["Save it anew", () => this.save()], ["Close", () => this.frame.owner.ctx.tabs.close(this.frame.tab)]]);
  }

  // differs tells that the machine's file is another, and what can be done.
  differs(theirs) {
    this.theirs = theirs;
    this.mark();
    this.flush();
    this.show("This file has changed on the machine, and you have changes that are not saved.", [
      ["Take theirs", () => this.adopt(theirs.text, theirs.etag, theirs.found, true)],
      ["Keep mine", () => this.keepMine(theirs)],
      ["Show the difference", () => this.showDifference(theirs)],
    ]);
  }

  keepMine(theirs) {
    this.theirs = null;
    this.saved = this.textOf(theirs.text);
    this.etag = theirs.etag;
    this.endDifference();
    this.hideNotice();
    this.mark();
    this.flush();
    this.focus();
  }

  showDifference(theirs) {
    this.view.dispatch({ effects: this.parts.diff.reconfigure(difference(theirs.text)) });
    this.show("Theirs is red, yours is tinted. Decide for each part, or for all.", [
      ["Done", () => this.keepMine(theirs)],
      ["Take all of theirs", () => this.adopt(theirs.text, theirs.etag, theirs.found, true)],
    ]);
    this.focus();
  }

  endDifference() {
    this.view.dispatch({ effects: this.parts.diff.reconfigure([]) });
  }

  show(words, buttons) {
    this.notice.replaceChildren(el("span", {}, words), ...buttons.map(([name, run]) => el("button", { type: "button", onclick: run }, name)));
    this.notice.hidden = false;
  }

  hideNotice() {
    this.notice.hidden = true;
    this.notice.replaceChildren();
  }

  // moved: the file has another name.
  moved(first = false) {
    this.path.textContent = shownKey(this.key);
    this.path.title = shownKey(this.key);
    this.buildButton.hidden = !isDockerfile(this.name);
    if (first || !this.view) return;
    const byName = ofName(this.name, this.view.state.doc.toString(), this.api, (n) => this.linted(n));
    this.language = byName.word;
    this.view.dispatch({ effects: this.parts.language.reconfigure(byName.extensions) });
    this.describe();
    this.check(); // that the old name is gone may have been heard first
  }

  goTo(line, column = 1) {
    const { doc } = this.view.state, at = doc.line(Math.min(doc.lines, Math.max(1, line)));
    const pos = at.from + Math.min(at.length, Math.max(0, column - 1));
    this.view.dispatch({ selection: { anchor: pos }, effects: EditorView.scrollIntoView(pos, { y: "center" }) });
    this.view.focus();
  }

  setMarks(marks) {
    this.view?.dispatch({ effects: setMarks.of(marks) });
  }

  setTheme() {
    this.view?.dispatch({ effects: this.parts.theme.reconfigure(theme(isDark())) });
  }

  wrap() {
    setPref("wrap", pref("wrap") === "on" ? "off" : "on");
    this.view.dispatch({ effects: this.parts.wrap.reconfigure(wrapping()) });
  }

  shown() {
    this.view?.dispatch({ effects: this.parts.wrap.reconfigure(wrapping()) });
    this.measure();
    this.focus();
  }

  measure() {
    this.view?.requestMeasure();
  }

  focus() {
    if (this.view) this.view.focus();
    else this.frame.node.focus();
  }

  actions() {
    return [
      { name: "Save this file", keys: "ctrl-s", run: () => this.save(), off: !this.dirty },
      { name: "Build this Dockerfile", keys: "ctrl-enter", run: () => this.build(), off: !this.view || !isDockerfile(this.name) },
      { name: "What the checks say", run: () => this.toggleChecks(), off: !this.view || this.checks.hidden },
      { name: "Find in this file", keys: "ctrl-f", run: () => openSearchPanel(this.view), off: !this.view },
      { name: "Wrap long lines or not", run: () => this.wrap(), off: !this.view },
      { name: "Download this file", run: () => this.store.download(this.key) },
    ];
  }

  destroy() {
    this.closed = true;
    clearTimeout(this.drafting);
    clearTimeout(this.checking);
    clearTimeout(this.retrying);
    this.unlisten();
    this.view?.destroy();
  }
}
