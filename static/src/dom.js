// el makes an element. Text is always text: nothing here parses HTML.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter(Boolean)); // `condition && child` may leave false
  return node;
}

export const byId = (id) => document.getElementById(id);

// confirmIn asks a question in the page, never in a browser dialog, and resolves to whether the answer was yes; to "more"
// where it was a third one.
export function confirmIn({ title, text, yes, more, danger = true }) {
  return new Promise((resolve) => {
    const box = el("dialog", { class: "ask", "aria-labelledby": "ask-title" });
    const no = el("button", { type: "button", onclick: () => box.close("no") }, "Cancel");
    const ok = el("button", { type: "button", class: danger ? "danger solid" : "primary", onclick: () => box.close("yes") }, yes);
    const other = more && el("button", { type: "button", class: "primary", onclick: () => box.close("more") }, more);
    box.append(el("h2", { id: "ask-title" }, title), el("p", {}, text), el("div", { class: "actions" }, ...[other, ok, no].filter(Boolean)));
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue === "more" ? "more" : box.returnValue === "yes");
    });
    document.body.append(box);
    box.showModal();
    (other || ok).focus();
  });
}

const units = ["B", "KB", "MB", "GB", "TB"];

export function bytes(n) {
  let u = 0;
  while (n >= 1024 && u < units.length - 1) {
    n /= 1024;
    u++;
  }
  return `${n >= 10 || Number.isInteger(n) ? Math.round(n) : n.toFixed(1)} ${units[u]}`;
}
