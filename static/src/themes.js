import { setPref } from "./prefs.js";

const system = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

export function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  setPref("theme", next);
  dispatchEvent(new Event("berth:theme"));
}

export function onTheme(f) {
  addEventListener("berth:theme", f);
  system.addEventListener("change", f);
}
