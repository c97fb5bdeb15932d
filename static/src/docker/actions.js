import { nameOf } from "./words.js";

// What can be done to a container. when: its states. Docker's own grace of 10 s is part of stop and restart.
const STOPPING = 120_000; // ms

export const ACTIONS = {
  start: { word: "start", busy: "starting…", when: ["created", "exited", "dead"], method: "POST" },
  stop: { word: "stop", busy: "stopping… it has 10 s to end by itself", when: ["running", "restarting", "paused"], method: "POST" },
  restart: { word: "restart", busy: "restarting…", when: ["running", "exited", "restarting", "paused"], method: "POST" },
  pause: { word: "pause", busy: "pausing…", when: ["running"], method: "POST" },
  unpause: { word: "unpause", busy: "going on…", when: ["paused"], method: "POST" },
  kill: { word: "kill", busy: "killing…", when: ["running", "restarting"], method: "POST" },
  remove: { word: "remove", busy: "removing…", when: null, method: "DELETE" },
};

export const allowed = (name, state) => !ACTIONS[name].when || ACTIONS[name].when.includes(state);

// act does it and tells in the row. Docker's events bring the new state.
export async function act(view, row, name) {
  const { busy, method } = ACTIONS[name],
    path = `containers/${encodeURIComponent(row.item.Id)}`;
  if (row.busy) return;
  row.busy = true;
  row.doing.say(busy);
  row.paint();
  try {
    if (method === "DELETE") await view.engine.call(method, path, { force: 1, v: 1 }, STOPPING);
    else await view.engine.call(method, `${path}/${name}`, {}, STOPPING);
    row.doing.clear();
  } catch (err) {
    if (name === "remove" && err.status === 404) row.doing.clear();
    else row.doing.fail(err.message);
  }
  row.busy = false;
  row.paint();
  view.live.touch("containers");
}

export function askRemove(view, row) {
  const name = nameOf(row.item);
  const words = ["running", "paused", "restarting"].includes(row.item.State)
    ? "It is ended first, and its files are deleted."
    : "Its files are deleted.";
  row.doing.ask(`Remove ${name}? ${words} This cannot be undone.`, `Remove ${name}`, () => act(view, row, "remove"));
}
