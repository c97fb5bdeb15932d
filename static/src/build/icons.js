// The marks of states: shapes that differ, not only colours.
const NS = "http://www.w3.org/2000/svg";
const PATHS = {
  waiting: ["M8 2.8a5.2 5.2 0 1 1 0 10.4a5.2 5.2 0 1 1 0-10.4", "dots"],
  running: ["M8 2.5a5.5 5.5 0 1 1-5.5 5.5", "spin"],
  cached: ["M9 1.5 3.6 9h3.7L6.6 14.5 12.4 6.6H8.4z", "full"],
  succeeded: ["M3 8.6l3.2 3.2L13 4.6", ""],
  failed: ["M4 4l8 8M12 4l-8 8", ""],
  cancelled: ["M8 2.8a5.2 5.2 0 1 1 0 10.4a5.2 5.2 0 1 1 0-10.4M4.6 11.4l6.8-6.8", ""],
  warning: ["M8 2.2 14.4 13.4H1.6zM8 6.4v3.4M8 11.4v.4", ""],
};

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function icon(state) {
  const [d, look] = PATHS[state] ?? PATHS.waiting;
  return svg(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, class: `icon is-${state} ${look}`, "aria-hidden": "true" },
    svg("path", { d }),
  );
}

// setIcon changes the mark in a node only where the state is another: a spinning one goes on spinning.
export function setIcon(node, state) {
  if (node.dataset.icon === state) return;
  node.dataset.icon = state;
  node.replaceChildren(icon(state));
}
