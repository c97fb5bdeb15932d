import { byId, el } from "./dom.js";

// The keys that a phone's keyboard lacks. ctrl holds for the next key.
const KEYS = [["esc", "\x1b"], ["tab", "\t"], ["ctrl", null], ["↑", "A"], ["↓", "B"], ["←", "D"], ["→", "C"]];
const NAMES = { "↑": "up", "↓": "down", "←": "left", "→": "right", esc: "escape", tab: "tab", ctrl: "control, for the next key" };

export function keyRow(tabs) {
  const row = byId("keys");
  let ctrl;
  const hold = (on) => {
    const t = tabs.active?.terminal;
    if (!t) return;
    t.ctrl = on;
    t.onCtrlUsed = () => hold(false);
    ctrl.setAttribute("aria-pressed", String(on));
  };
  for (const [label, bytes] of KEYS) {
    const press = () => {
      const t = tabs.active?.terminal;
      if (!t) return;
      if (label === "ctrl") hold(!t.ctrl);
      else if (bytes.length === 1 && /[A-D]/.test(bytes)) t.input((t.term.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[") + bytes);
      else t.input(bytes);
      t.term.focus();
    };
    // The keyboard stays open: the press does not take the focus.
    const button = el("button", { type: "button", "aria-label": NAMES[label] ?? label, onpointerdown: (e) => e.preventDefault(), onclick: press }, label);
    if (label === "ctrl") {
      ctrl = button;
      button.setAttribute("aria-pressed", "false");
    }
    row.append(button);
  }
  row.hidden = false; // the style sheet shows it on phones only
}
