import { bytes, el } from "../dom.js";
import { count, plural, shown } from "./inspect/shown.js";
import { grid } from "./inspect/smaller.js";
import { Source } from "./inspect/source.js";
import { split } from "./pull.js";
import { button, text } from "./rows.js";

const TAGS = 300; // that are shown at once; the filter finds the others

// Remote looks at an image where it would be pulled from: its tags, and what it weighs on each platform.
export class Remote {
  // pull(reference); closed(): the list is seen again
  constructor(ctx, pull, closed) {
    this.source = new Source(ctx.api.base);
    this.pull = pull;
    this.closed = closed;
    this.title = el("h2");
    this.get = button("pull", "", () => {
      this.close();
      this.pull(this.reference);
    });
    this.sizes = el("div", { class: "remote-part" });
    this.tags = el("div", { class: "remote-part" });
    const back = button("←", "Back to all images", () => this.close());
    back.append(el("span", { class: "wide" }, "all images"));
    this.back = back;
    const bar = el("div", { class: "log-bar" }, back, this.title, el("span", { class: "acts" }, this.get));
    this.node = el(
      "section",
      { class: "inspector", "aria-label": "Image at its registry", hidden: true },
      bar,
      el("div", { class: "inspect-scroll" }, el("div", { class: "inspect-page" }, this.sizes, this.tags)),
    );
    this.node.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      this.close();
    });
  }

  // look asks the registry about a reference, and about the tags that are beside it.
  look(reference) {
    this.node.hidden = false;
    this.back.focus();
    this.abort?.abort();
    this.abort = new AbortController();
    const { fromImage } = split(reference);
    this.ask(reference);
    const { abort } = this;
    this.tags.replaceChildren(el("h3", {}, "Tags"), el("p", { class: "soft", role: "status" }, "asking the registry…"));
    this.source
      .get("/registry/tags", { repository: fromImage }, abort.signal)
      .then(({ tags }) => this.showTags(fromImage, tags))
      .catch((err) => abort.signal.aborted || this.tags.replaceChildren(el("h3", {}, "Tags"), failed(err, "its tags")));
  }

  async ask(reference) {
    const { abort } = this;
    this.reference = reference;
    text(this.title, `${shown(reference)} at its registry`);
    this.get.setAttribute("aria-label", `Pull ${shown(reference)}`);
    this.get.hidden = true;
    this.sizes.replaceChildren(el("h3", {}, "Sizes"), el("p", { class: "soft", role: "status" }, "asking the registry…"));
    try {
      const found = await this.source.get("/registry/image", { reference }, abort.signal);
      if (abort.signal.aborted || this.reference !== reference) return;
      this.get.hidden = false;
      this.sizes.replaceChildren(el("h3", {}, "Sizes"), sizes(found));
    } catch (err) {
      if (!abort.signal.aborted && this.reference === reference)
        this.sizes.replaceChildren(el("h3", {}, "Sizes"), failed(err, "this image"));
    }
  }

  showTags(repository, tags) {
    const list = el("div", { class: "tags" });
    const word = el("p", { class: "soft", role: "status" });
    const draw = (filter) => {
      const hits = tags.filter((t) => t.includes(filter));
      list.replaceChildren(
        ...hits
          .slice(0, TAGS)
          .map((t) => button(shown(t), `Look at ${shown(repository)}:${shown(t)}`, () => this.ask(`${repository}:${t}`))),
      );
      text(word, hits.length > TAGS ? `${count(TAGS)} of ${plural(hits.length, "tag")}` : plural(hits.length, "tag"));
    };
    const field = el("input", {
      type: "search",
      class: "tree-filter",
      placeholder: "filter",
      "aria-label": "Filter tags",
      spellcheck: "false",
    });
    field.addEventListener("input", () => draw(field.value.trim()));
    draw("");
    this.tags.replaceChildren(el("h3", {}, "Tags"), el("div", { class: "tree-bar" }, field, word), list);
  }

  close() {
    this.abort?.abort();
    this.node.hidden = true;
    this.closed();
  }
}

function sizes(found) {
  const rows = (found.variants ?? []).map((v) =>
    el(
      "tr",
      {},
      el("td", {}, shown([v.platform?.os, v.platform?.architecture, v.platform?.variant].filter(Boolean).join("/"))),
      el("td", { class: "number" }, bytes(v.size)),
      el("td", { class: "number" }, v.missing < v.size ? bytes(v.missing) : "all of it"),
      el("td", { class: "number" }, count(v.layers)),
    ),
  );
  if (!rows.length) return el("p", { class: "soft" }, "It is for no platform.");
  return grid(["platform", "to download", "not here yet", "layers"], rows);
}

// failed says what a registry said, or that none was reached.
function failed(err, what) {
  const way = /dial|no such host|lookup|timeout|refused|unreachable|i\/o|EOF|connect/i.test(err.message);
  const words =
    err.status === 404
      ? `The registry has no ${what === "its tags" ? "such repository" : "such image"}.`
      : way
        ? `This registry cannot be reached from the session, so nobody can say what ${what} ${what === "its tags" ? "are" : "weighs"}.`
        : `The registry does not tell ${what}.`;
  return el("p", { class: "failed", role: "alert" }, `${words} `, el("span", { class: "soft" }, shown(err.message).slice(0, 600)));
}
