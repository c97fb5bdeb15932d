import { el } from "../dom.js";

// explanation is why something cannot be written, with the command that mends it.
export function explanation(why, fix, type) {
  const parts = [el("span", {}, why)];
  if (typeof fix === "string" && /^docker [\x20-\x7e]{1,600}$/.test(fix)) {
    parts.push(el("button", { type: "button", class: "small mono", title: "Type this into the shell", onclick: () => type(fix) }, fix));
  }
  return parts;
}
