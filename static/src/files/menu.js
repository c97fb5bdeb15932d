import { el } from "../dom.js";

// menu shows actions at a place of the window: [{name, keys, danger, run}]. back() has the focus where none was chosen.
export function menu(actions, x, y, back) {
  document.querySelector(".menu")?.remove();
  const box = el("div", { class: "menu", role: "menu" });
  const close = (chosen) => {
    if (!box.isConnected) return;
    removeEventListener("pointerdown", outside, true);
    box.remove();
    if (!chosen) back();
  };
  const outside = (e) => box.contains(e.target) || close(true);
  for (const a of actions) {
    const run = () => {
      close(true);
      back();
      a.run();
    };
    box.append(el("button", { type: "button", role: "menuitem", class: a.danger ? "quiet danger-word" : "quiet", tabindex: "-1", onclick: run }, a.name, a.keys && el("kbd", {}, a.keys)));
  }
  const items = [...box.children];
  box.addEventListener("keydown", (e) => {
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[e.key];
    const typed = e.key.length === 1 && !e.ctrlKey && [...items.slice(at + 1), ...items].find((i) => i.textContent.toLowerCase().startsWith(e.key.toLowerCase()));
    if (to !== undefined) items[(to + items.length) % items.length].focus();
    else if (e.key === "Escape" || e.key === "Tab") close();
    else if (typed) typed.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  });
  document.body.append(box);
  box.style.left = `${Math.max(0, Math.min(x, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.max(0, Math.min(y, innerHeight - box.offsetHeight - 8))}px`;
  addEventListener("pointerdown", outside, true);
  items[0].focus();
}
