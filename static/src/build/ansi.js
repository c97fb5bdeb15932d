// Colours of what programs print. A line becomes spans of text with classes: nothing that a program sends is markup, and
// whatever is not a colour or an emphasis is left out.

const SPECIAL = new RegExp(
  [
    /\x1b\[([0-9;:?<=>!]*)[ -/]*([@-~])/, // CSI: of these, m is colours
    /\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)/, // OSC, DCS, …, to BEL, ST or the end of the line
    /\x1b[ -/]*[0-~]?/, // other escapes
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]/, // control characters but the tab
    /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/, // direction marks
  ]
    .map((r) => r.source)
    .join("|"),
  "g",
);

export const PLAIN = ""; // the style in which a log begins

// spans cuts a line into [{text, style}]; style is a list of classes. state: the style at its beginning.
export function spans(line, state = PLAIN) {
  const found = [];
  let at = 0;
  const add = (text) => {
    const last = found[found.length - 1];
    if (!text) return;
    if (last?.style === state) last.text += text;
    else found.push({ text, style: state });
  };
  for (const m of line.matchAll(SPECIAL)) {
    add(line.slice(at, m.index));
    at = m.index + m[0].length;
    if (m[2] === "m" && /^[0-9;:]*$/.test(m[1])) state = styled(state, m[1]);
  }
  add(line.slice(at));
  return { spans: found, state };
}

// bare is the line without anything but its text.
export const bare = (line) => line.replace(SPECIAL, "");

// after is the style that a line leaves behind.
export const after = (line, state) => (line.includes("\x1b[") ? spans(line, state).state : state);

const ON = { 1: "bold", 2: "dim", 3: "italic", 4: "under", 7: "turned", 9: "struck" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["under"], 27: ["turned"], 29: ["struck"] };

function styled(state, parameters) {
  const set = new Set(state.split(" ").filter(Boolean));
  const colour = (kind, name) => {
    for (const s of set) if (s.startsWith(kind + "-")) set.delete(s);
    if (name !== null) set.add(`${kind}-${name}`);
  };
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i];
    if (c === 0) set.clear();
    else if (ON[c]) set.add(ON[c]);
    else if (OFF[c]) OFF[c].forEach((s) => set.delete(s));
    else if (c === 38 || c === 48) i += extended(codes.slice(i + 1), (name) => colour(c === 38 ? "fg" : "bg", name));
    else if ((c >= 30 && c <= 37) || (c >= 90 && c <= 97)) colour("fg", c % 10);
    else if ((c >= 40 && c <= 47) || (c >= 100 && c <= 107)) colour("bg", c % 10);
    else if (c === 39) colour("fg", null);
    else if (c === 49) colour("bg", null);
  }
  return [...set].sort().join(" ");
}

// extended reads 5;N and 2;R;G;B: the nearest of the eight colours, which the theme keeps readable. It returns how many
// numbers it took.
function extended([kind, a, b, c], set) {
  if (kind === 5) {
    if (a < 16) set(a % 8);
    else if (a >= 232) set(null);
    else if (a < 232) set(nearest(Math.floor((a - 16) / 36) * 51, (Math.floor((a - 16) / 6) % 6) * 51, ((a - 16) % 6) * 51));
    return 2;
  }
  if (kind !== 2) return 0;
  set(nearest(a, b, c));
  return 4;
}

function nearest(r, g, b) {
  const most = Math.max(r, g, b),
    least = Math.min(r, g, b);
  if (!(most - least > 40)) return null; // a grey is the text's own colour
  const middle = (most + least) / 2;
  return (r > middle ? 1 : 0) + (g > middle ? 2 : 0) + (b > middle ? 4 : 0);
}
