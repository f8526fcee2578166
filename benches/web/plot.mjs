// The rows as a picture: how many times as fast as the peer each engine is, in medians.

const COLOURS = { clinlite: '#0f766e', 'onnxruntime-web': '#c2410c', 'transformers.js': '#6d28d9' };
const ROW = 15;
const LEFT = 330;
const WIDTH = 900;

/** An SVG of bars; the line at 1 is the peer with one thread. */
export function plot(rows) {
  const groups = [...grouped(rows)];
  const ratios = rows.map(ratioOf).filter(Number.isFinite);
  const most = Math.ceil(Math.max(2, ...ratios));
  const x = (ratio) => LEFT + ((WIDTH - LEFT - 60) * ratio) / most;
  let y = 50;
  const parts = [];
  for (const [title, members] of groups) {
    parts.push(`<text x="10" y="${y + 11}" font-weight="bold">${title}</text>`);
    y += ROW + 2;
    for (const row of members) {
      parts.push(bar(row, y, x));
      y += ROW;
    }
    y += 8;
  }
  const grid = Array.from({ length: most + 1 }, (_, i) => `<line x1="${x(i)}" x2="${x(i)}" y1="40" y2="${y}" stroke="${i === 1 ? '#111' : '#ddd'}"/><text x="${x(i)}" y="34" text-anchor="middle">${i}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 10}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="10" y="18" font-size="13" font-weight="bold">Times as fast as onnxruntime-web (encoder) and transformers.js (notes, first entity), one thread, same form of numbers</text>
${[...grid, ...parts].join('\n')}
</svg>
`;
}

const ratioOf = (row) => row.times_faster_than_ort ?? row.times_faster_than_transformers_js;

function grouped(rows) {
  const titles = { encoder: (row) => `${row.model}, ${row.length} tokens`, note: (row) => `note of ${row.length} words`, startup: (row) => `first entity, ${row.length}` };
  const groups = new Map();
  for (const row of rows.filter(({ kind }) => titles[kind])) {
    const title = titles[row.kind](row);
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  return groups;
}

function bar(row, y, x) {
  const ratio = ratioOf(row);
  const colour = COLOURS[row.engine.split(' ')[0]];
  const opacity = row.dtype === 'int8' ? 1 : 0.55;
  const name = `${row.engine}, ${row.dtype}, ${row.threads} thread${row.threads > 1 ? 's' : ''}`;
  return `<text x="${LEFT - 8}" y="${y + 11}" text-anchor="end">${name}</text>
<rect x="${x(0)}" y="${y + 2}" width="${x(ratio) - x(0)}" height="${ROW - 4}" fill="${colour}" fill-opacity="${opacity}"/>
<text x="${x(ratio) + 4}" y="${y + 11}" paint-order="stroke" stroke="white" stroke-width="3">${ratio.toFixed(2)} (${row.median_ms.toFixed(0)} ms)</text>`;
}
