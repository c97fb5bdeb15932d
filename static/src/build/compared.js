import { instruction, size, spent, stateOf, took } from "./words.js";
import { order } from "./steplist.js";

const MOST = 1_000; // steps that are compared

// compared puts the steps of two builds side by side: [{a, b}], either of which may be missing. a is the older build.
export function compared(a, b) {
  const left = listed(a),
    right = listed(b),
    same = common(left.map(key), right.map(key));
  const pairs = [];
  let i = 0,
    j = 0;
  for (const [m, n] of [...same, [left.length, right.length]]) {
    changedOf(left.slice(i, m), right.slice(j, n), pairs);
    if (m < left.length) pairs.push({ a: left[m], b: right[n] });
    i = m + 1;
    j = n + 1;
  }
  return pairs;
}

const listed = (model) => order([...model.steps.values()].filter((s) => s.kind !== "internal")).slice(0, MOST);
const key = (s) => `${s.stage}\n${instruction(s, 4000)}`;
const verb = (s) => `${s.stage} ${instruction(s).split(" ")[0]}`;

// changedOf pairs what stands between two equal steps: the same instruction with other words is one that was changed.
function changedOf(left, right, pairs) {
  const rest = [...right];
  for (const a of left) {
    const at = rest.findIndex((b) => verb(b) === verb(a));
    pairs.push({ a, b: at < 0 ? null : rest[at], changed: at >= 0 });
    if (at >= 0) rest.splice(at, 1);
  }
  for (const b of rest) pairs.push({ a: null, b });
}

// common is the longest common run of both lists: pairs of places.
function common(a, b) {
  const n = b.length + 1,
    table = new Uint16Array((a.length + 1) * n);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * n + j] = a[i] === b[j] ? table[(i + 1) * n + j + 1] + 1 : Math.max(table[(i + 1) * n + j], table[i * n + j + 1]);
    }
  }
  const found = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) found.push([i++, j++]);
    else if (table[(i + 1) * n + j] >= table[i * n + j + 1]) i++;
    else j++;
  }
  return found;
}

export const cost = (s) => (!s || stateOf(s) === "cached" ? 0 : (spent(s, 0) ?? 0));

// verdict says in a sentence or two what made the difference.
export function verdict(a, b, pairs) {
  const wholeA = spent(a.head, 0) ?? 0,
    wholeB = spent(b.head, 0) ?? 0,
    less = wholeA - wholeB;
  const words = [];
  if (Math.abs(less) < 50) words.push(`Both took ${took(wholeB)}.`);
  else
    words.push(
      `The newer build took ${took(wholeB)}, ${took(Math.abs(less))} ${less > 0 ? "less" : "more"} than the older one (${took(wholeA)}).`,
    );
  const why = cause(pairs, less);
  if (why) words.push(why);
  const grown = (b.head.image_size || 0) - (a.head.image_size || 0);
  if (a.head.image_size && b.head.image_size) {
    words.push(grown ? `Its image is ${size(Math.abs(grown))} ${grown > 0 ? "larger" : "smaller"}.` : "Their images are of the same size.");
  }
  return words.join(" ");
}

// cause is the step that explains most of the difference.
function cause(pairs, less) {
  const way = Math.sign(less);
  const hit = pairs.filter((p) => p.a && p.b && stateOf(p.b) === "cached" && stateOf(p.a) !== "cached").length,
    lost = pairs.filter((p) => p.a && p.b && stateOf(p.a) === "cached" && stateOf(p.b) !== "cached").length;
  const most = pairs.map((p) => ({ ...p, gain: (cost(p.a) - cost(p.b)) * way })).sort((x, y) => y.gain - x.gain)[0];
  if (!most || !(most.gain > 50)) return hit || lost ? `${hit} more steps came from the cache, ${lost} fewer.` : "";
  const name = `“${instruction(most.b ?? most.a, 60)}”`;
  if (!most.a) return `Most of it is the new step ${name}.`;
  if (!most.b) return `Most of it is ${name}, which is gone.`;
  if (way > 0 && stateOf(most.b) === "cached")
    return `Most of it: ${name} came from the cache this time${hit > 1 ? `, as did ${hit - 1} other${hit > 2 ? "s" : ""}` : ""}.`;
  if (way < 0 && stateOf(most.a) === "cached")
    return `Most of it: ${name} had to run again${lost > 1 ? `, and so had ${lost - 1} other${lost > 2 ? "s" : ""}` : ""}.`;
  return `Most of it: ${name} took ${took(cost(most.b))} instead of ${took(cost(most.a))}.`;
}
