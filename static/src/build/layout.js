// Where the boxes of a graph stand: a column for each stage, top down, each step below what it needs.

// layout gives the columns, [{name, boxes: [{step, row}]}], and the edges between steps, [[from, to]]. steps: those of a
// build, in the order in which they were told. What BuildKit does for itself is left out.
export function layout(steps) {
  const shown = steps.filter((s) => s.kind !== "internal");
  const byID = new Map(shown.map((s) => [s.id, s]));
  const inputs = (s) => s.inputs.filter((id) => byID.has(id) && id !== s.id);
  const staged = shown.filter((s) => s.kind === "instruction");
  const plan = { columns: stages(staged), rows: new Map(), edges: [], byID, inputs };

  for (const s of [...staged].sort((a, b) => (a.line || 1e9) - (b.line || 1e9))) place(plan, s, new Set());
  for (const s of staged) for (const id of inputs(s)) plan.edges.push([id, s.id]);
  finish(
    plan,
    shown.filter((s) => s.kind === "output"),
  );
  for (const c of plan.columns) c.boxes.sort((a, b) => a.row - b.row);
  return { columns: plan.columns, edges: plan.edges, rows: 1 + Math.max(-1, ...plan.rows.values()) };
}

// stages are in the order of the Dockerfile.
function stages(steps) {
  const columns = new Map();
  for (const s of steps) {
    const line = s.line > 0 ? s.line : Infinity;
    const c = columns.get(s.stage) ?? { name: s.stage, first: line, boxes: [], next: 0 };
    c.first = Math.min(c.first, line);
    columns.set(s.stage, c);
  }
  return [...columns.values()].sort((a, b) => (a.first === b.first ? 0 : a.first - b.first));
}

// place gives a step its row: below all its inputs, and below what stands above it in its stage. under: the steps that wait
// for this one; a circle is no build, but must not hang the page.
function place(plan, s, under) {
  if (plan.rows.has(s.id) || under.has(s.id)) return;
  under.add(s.id);
  let row = 0;
  for (const id of plan.inputs(s)) {
    if (plan.byID.get(id).kind === "output") continue;
    place(plan, plan.byID.get(id), under);
    row = Math.max(row, (plan.rows.get(id) ?? -1) + 1);
  }
  put(
    plan,
    plan.columns.find((c) => c.name === s.stage),
    s,
    row,
  );
}

function put(plan, column, step, row) {
  row = Math.max(row, column.next);
  column.next = row + 1;
  column.boxes.push({ step, row });
  plan.rows.set(step.id, row);
}

// finish puts the writing of the image below the stage that ends last.
function finish(plan, rest) {
  if (!rest.length) return;
  if (!plan.columns.length) plan.columns.push({ name: "", first: 0, boxes: [], next: 0 });
  const end = plan.columns.reduce((a, b) => (b.next >= a.next ? b : a));
  for (const s of rest) {
    const from = plan.inputs(s),
      above = end.boxes[end.boxes.length - 1]?.step.id;
    put(plan, end, s, 0);
    if (from.length) plan.edges.push(...from.map((id) => [id, s.id]));
    else if (above) plan.edges.push([above, s.id]);
  }
}
