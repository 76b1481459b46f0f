// The graph of stages as a page: columns from producers to consumers, drawn as SVG without a script from elsewhere.

export interface Node {
  name: string;
  uses: string | null;
  over: string[];
  actions: string | null;
  cached: number | null;
  count: number | null;
  uri: string;
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
}

export interface Graph {
  nodes: Node[];
  edges: { from: string; to: string; port: string }[];
}

const WIDTH = 200;
const HEIGHT = 66;
/** Letters of a line of a box that fit, large and small. */
const LINE = { large: 24, small: 31 };
const GAP_X = 60;
const GAP_Y = 18;

/** The column of each stage: one more than that of its last producer; a circle ends where it began. */
export function columns(graph: Graph): Map<string, number> {
  const producers = new Map<string, string[]>();
  for (const { from, to } of graph.edges) {
    producers.set(to, [...(producers.get(to) ?? []), from]);
  }
  const found = new Map<string, number>();
  const open = new Set<string>();
  const visit = (name: string): number => {
    const known = found.get(name);
    if (known !== undefined) {
      return known;
    }
    if (open.has(name)) {
      return 0;
    }
    open.add(name);
    const before = (producers.get(name) ?? []).map(visit);
    open.delete(name);
    const column = before.length === 0 ? 0 : Math.max(...before) + 1;
    found.set(name, column);
    return column;
  };
  graph.nodes.forEach((node) => visit(node.name));
  return found;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** A text cut to a number of letters; the whole is in the tooltip. */
function cut(text: string, letters: number): string {
  const all = Array.from(text);
  return all.length <= letters ? text : `${all.slice(0, letters - 1).join("").trimEnd()}…`;
}

/** Whether all, some or none of a stage's actions are cached; unknown where nobody has looked. */
export function state(node: Node): "cached" | "partly" | "to-run" | "unknown" {
  if (node.cached === null || node.count === null) {
    return "unknown";
  }
  return node.cached === node.count ? "cached" : node.cached > 0 ? "partly" : "to-run";
}

/** The drawing, with the stage at the cursor marked. */
export function svg(graph: Graph, current: string | undefined): string {
  const column = columns(graph);
  const rows = new Map<number, number>();
  const place = new Map<string, { x: number; y: number }>();
  for (const node of graph.nodes) {
    const at = column.get(node.name) ?? 0;
    const row = rows.get(at) ?? 0;
    rows.set(at, row + 1);
    place.set(node.name, { x: 12 + at * (WIDTH + GAP_X), y: 12 + row * (HEIGHT + GAP_Y) });
  }
  const width = 24 + (Math.max(0, ...rows.keys()) + 1) * (WIDTH + GAP_X);
  const height = 24 + Math.max(1, ...rows.values()) * (HEIGHT + GAP_Y);
  const edges = graph.edges.map(({ from, to, port }) => {
    const [a, b] = [place.get(from), place.get(to)];
    if (!a || !b) {
      return "";
    }
    const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
    const middle = (x1 + x2) / 2;
    const marked = from === current || to === current ? " marked" : "";
    const path = `M${x1},${y1} C${middle},${y1} ${middle},${y2} ${x2},${y2}`;
    return `<path class="edge${marked}" d="${path}"><title>${escape(`${from} → ${to}: ${port}`)}</title></path>`;
  });
  const nodes = graph.nodes.map((node) => {
    const { x, y } = place.get(node.name) ?? { x: 0, y: 0 };
    const marked = node.name === current ? " marked" : "";
    const actions = node.actions ?? "";
    const axes = node.over.join(" × ");
    const small = (text: string, y: number) =>
      `<text class="small" x="10" y="${y}">${escape(cut(text, LINE.small))}</text>`;
    return `<g class="node ${state(node)}${marked}" data-stage="${escape(node.name)}" transform="translate(${x},${y})">
<rect width="${WIDTH}" height="${HEIGHT}" rx="6"/>
<text x="10" y="19">${escape(cut(node.name, LINE.large))}</text>
${small(node.uses ?? "", 33)}
${small(actions, 46)}
${small(axes, 59)}
<title>${escape(`${node.name}: ${node.uses ?? ""}\n${actions}\n${axes}`)}</title></g>`;
  });
  return `<svg width="${width}" height="${height}" xmlns="http://www.w3.org/2000/svg">${edges.join("")}${nodes.join("")}</svg>`;
}

/** The page around the drawing. Its own script alone may run, which says what was clicked. */
export function page(graph: Graph, current: string | undefined, nonce: string): string {
  return `<!DOCTYPE html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}';">
<style nonce="${nonce}">
body { font-family: var(--vscode-font-family, sans-serif); color: var(--vscode-foreground, #333); }
rect { fill: var(--vscode-editorWidget-background, #f3f3f3); stroke: var(--vscode-widget-border, #aaa); stroke-width: 1.5; }
.cached rect { stroke: var(--vscode-charts-green, #2a8); }
.partly rect { stroke: var(--vscode-charts-yellow, #c90); }
.to-run rect { stroke: var(--vscode-charts-blue, #36c); }
.node { cursor: pointer; }
.node.marked rect { stroke-width: 3.5; }
.node.marked text { font-weight: 600; }
text { fill: currentColor; font-size: 12px; } .small { font-size: 10px; opacity: 0.75; }
.edge { fill: none; stroke: var(--vscode-widget-border, #aaa); } .edge.marked { stroke: var(--vscode-focusBorder, #36c); stroke-width: 2; }
</style></head><body>${svg(graph, current)}
<script nonce="${nonce}">
const editor = acquireVsCodeApi();
for (const node of document.querySelectorAll(".node")) {
  node.addEventListener("click", () => editor.postMessage({ stage: node.dataset.stage }));
}
</script></body></html>`;
}
