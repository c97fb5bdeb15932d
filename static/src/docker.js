import { byId, el } from "./dom.js";
import { Changes } from "./docker/changes.js";
import { Containers, emptyText } from "./docker/containers.js";
import { Engine } from "./docker/engine.js";
import { Images } from "./docker/images.js";
import { Networks } from "./docker/lists.js";
import { Live } from "./docker/live.js";
import { News } from "./docker/news.js";
import { Volumes } from "./docker/volumes.js";
import { line } from "./docker/words.js";

// Which lists a panel shows.
const NEEDS = {
  containers: ["containers"],
  images: ["images", "containers", "usage"],
  networks: ["networks", "containers"],
  volumes: ["volumes", "containers", "sizes"],
  changes: ["containers"],
};
const EMPTY = {
  images: "No images yet. Pull one above, or build one in the shell.",
  networks: "No networks yet. Make one in the shell: docker network create app",
  volumes: "No volumes yet. Make one above, or in the shell: docker run -v data:/data …",
  changes: "No containers yet. What one changes of its image's files is shown here.",
};

// Docker fills the panels. It is loaded when the first of them is opened, and asks the engine nothing while none is.
export class Docker {
  // dock: the panels' frame; ctx: {session, api, tabs, toShell()}
  constructor(dock, ctx) {
    this.dock = dock;
    this.ctx = ctx;
    this.news = new News(byId("dock-news"));
    this.engine = new Engine(ctx.api.base);
    this.live = new Live(this.engine, {
      changed: (kind) => this.changed(kind),
      failed: (kind, err) => this.failed(kind, err),
      state: (state, err) => this.state(state, err),
      happened: (e) => {
        this.views.containers.happened(e);
        this.views.changes.happened(e);
        this.news.happened(e);
      },
    });
    this.type = (command) => {
      ctx.toShell();
      ctx.tabs.type(command);
    };
    this.views = {
      containers: new Containers(this.frame("containers", emptyText(this.type))),
      images: new Images(this.frame("images")),
      networks: new Networks(this.frame("networks")),
      volumes: new Volumes(this.frame("volumes")),
      changes: new Changes(this.frame("changes")),
    };
  }

  frame(name, empty = el("p", { class: "none-yet" }, EMPTY[name])) {
    const node = byId("dock-" + name);
    empty.hidden = true;
    node.append(empty);
    return {
      ...this.ctx,
      node,
      empty,
      engine: this.engine,
      live: this.live,
      type: this.type,
      news: (words) => this.news.say(words),
      pulling: (n) => this.pulling(n),
      toContainer: (id) => this.dock.open("containers").then(() => this.views.containers.reveal(id)),
      whatChanged: (id) => this.dock.open("changes").then(() => this.views.changes.open(id)),
      inspectImage: (image) => document.dispatchEvent(new CustomEvent("berth:inspect-image", { detail: { image } })),
    };
  }

  pulling(n) {
    this.dock.pulling = n;
    this.dock.keep();
    this.dock.mark("images", n ? `${n} ↓` : "", n ? `${n} pull${n > 1 ? "s" : ""} under way` : "");
  }

  // show is told which panel is seen now; null: none.
  show(name) {
    this.shown = name;
    this.live.want(name ? NEEDS[name] : []);
    for (const v of ["containers", "volumes", "changes"]) this.views[v].setVisible(v === name);
    if (name) this.paint(name);
  }

  changed(kind) {
    if (kind === "containers") {
      const running = this.live.lists.containers.filter((c) => c.State === "running").length;
      this.dock.mark("containers", running ? String(running) : "", `${running} running`);
    }
    if (this.shown && NEEDS[this.shown].includes(kind)) this.paint(this.shown);
  }

  paint(name) {
    const have = this.live.lists[NEEDS[name][0]];
    const wait = byId("dock-" + name).querySelector(".wait");
    if (have) wait.hidden = true;
    if (have) this.views[name].paint();
  }

  failed(kind, err) {
    if (!(kind in this.views)) return; // what is only an addition is left out
    for (const name of Object.keys(this.views).filter((n) => NEEDS[n][0] === kind)) {
      const wait = byId("dock-" + name).querySelector(".wait");
      wait.hidden = false;
      wait.textContent = `Docker does not say: ${line(err.message, 400)}`;
    }
  }

  state(state, err) {
    const first = !Object.keys(this.live.lists).length;
    if (state === "starting") this.dock.say("");
    else if (state === "live") this.dock.say("");
    else if (first) this.wait(err);
    else this.dock.say("reconnecting… the list is from before");
  }

  // wait says in the panel itself why there is no list yet.
  wait(err) {
    const why =
      err && !err.passing ? `Docker does not answer: ${line(err.message, 400)} Trying again…` : "Docker does not answer yet. Trying again…";
    for (const name of Object.keys(this.views)) byId("dock-" + name).querySelector(".wait").textContent = why;
  }

  stop() {
    this.live.stop();
    for (const v of ["containers", "volumes", "changes"]) this.views[v].setVisible(false);
  }

  // browse opens a volume in its panel.
  browse(name) {
    this.views.volumes.browse(name);
  }

  actions() {
    return Object.keys(NEEDS)
      .flatMap((n) => (this.live.lists[NEEDS[n][0]] ? this.views[n].actions() : []))
      .map((a) => ({ ...a, run: () => (a.panel ? this.dock.open(a.panel).then(a.run) : a.run()) }));
  }
}
