// Icons are lines on a grid of 16, in the colour of the text: fonts differ in what they have.
const PATHS = {
  up: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  "new-file": "M9.5 1.5H3.5v13h9V8M12.5 1v5M10 3.5h5",
  "new-folder": "M14.5 8v5.5h-13v-11h4l1.5 2h2.5M12.5 1v5M10 3.5h5",
  upload: "M8 11V2M4.5 5.5 8 2l3.5 3.5M2 10.5v3.5h12v-3.5",
  download: "M8 2v9M4.5 7.5 8 11l3.5-3.5M2 10.5v3.5h12v-3.5",
  file: "M9.5 1.5h-6v13h9v-10zM9.5 1.5v3h3",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [k, v] of Object.entries({ viewBox: "0 0 16 16", width: 16, height: 16, fill: "none", stroke: "currentColor", "stroke-width": 1.4, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" })) svg.setAttribute(k, v);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
