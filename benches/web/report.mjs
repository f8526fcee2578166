// From times to rows, and from rows to tables.

/** The engine that the others are compared with, by what was measured. */
const PEERS = { encoder: 'onnxruntime-web', note: 'transformers.js', startup: 'transformers.js' };
const RATIOS = { encoder: 'times_faster_than_ort', note: 'times_faster_than_transformers_js', startup: 'times_faster_than_transformers_js' };

const median = (sorted) => (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;

/**
 * One row an engine, form of numbers, number of threads and length. The ratio is to the peer with one thread and the same form of
 * numbers, in medians and in minima. Of a note only the words count that an engine reads: its ratio is one of times a word.
 */
export function summarise(kind, model, measured) {
  const rows = measured.map(({ times, covered, ...row }) => {
    const sorted = [...times].sort((a, b) => a - b);
    return { kind, model, ...row, ...(covered && { covered }), median_ms: median(sorted), min_ms: sorted[0], n: sorted.length };
  });
  for (const row of rows) {
    const isPeer = (other) => other.engine === PEERS[kind] && other.threads === 1 && other.dtype === row.dtype && other.length === row.length;
    const peer = rows.find(isPeer);
    const work = (row.covered ?? 1) / (peer.covered ?? 1);
    row[RATIOS[kind]] = (work * peer.median_ms) / row.median_ms;
    row[`${RATIOS[kind]}_in_minima`] = (work * peer.min_ms) / row.min_ms;
  }
  return rows;
}

const pad = (cells, widths) => cells.map((cell, i) => (i < 2 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('  ');

/** Prints rows of one kind and returns them. */
export function printTable(title, rows) {
  const { kind } = rows[0];
  const length = { encoder: 'tokens', note: 'words', startup: 'visit' }[kind];
  const widths = [18, 5, 7, 6, 9, 10, 10, 4, 8, 8];
  console.log(`\n${title}; ratios: ${PEERS[kind]} with 1 thread${kind === 'note' ? ', a word,' : ''} / this, in medians and in minima`);
  console.log(pad(['engine', 'form', 'threads', length, kind === 'note' ? 'read' : '', 'median ms', 'min ms', 'n', 'ratio', 'minima'], widths));
  for (const row of [...rows].sort((a, b) => rows.findIndex(({ length }) => length === a.length) - rows.findIndex(({ length }) => length === b.length))) {
    const ratios = [row[RATIOS[kind]], row[`${RATIOS[kind]}_in_minima`]].map((ratio) => ratio.toFixed(2));
    console.log(pad([row.engine, row.dtype, row.threads, row.length, row.covered ?? '', row.median_ms.toFixed(1), row.min_ms.toFixed(1), row.n, ...ratios], widths));
  }
  return rows;
}

/** How far the encoders lie from ours in f32. */
export function printAgreement(name, { largest, engines }) {
  console.log(`\n${name}: logits beside ours in f32, of which the largest is ${largest.toFixed(2)}`);
  for (const { engine, dtype, threads, difference, relative } of engines) {
    console.log(`  ${engine.padEnd(18)}  ${dtype.padEnd(5)} ${threads} thread${threads > 1 ? 's' : ' '}  largest difference ${difference.toExponential(1)}, relative error ${relative.toExponential(1)}`);
  }
}

/** Prints memory above that of an empty page, and returns the rows. */
export function printMemory(rows) {
  const mega = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log('\nmemory of the page and its workers above an empty page, notes of 1,000 words');
  for (const { engine, threads, bytes, bytes_later: later, notes_later: notes, peak_bytes: peak } of rows) {
    console.log(`  ${engine.padEnd(16)} ${threads} ${threads === 1 ? 'thread ' : 'workers'}  after 3 notes ${mega(bytes)}, after ${notes} more ${mega(later)}, at most ${mega(peak)}`);
  }
  return rows;
}

/** Prints what a page downloads beside the model, and returns it. */
export function printSizes(sizes) {
  console.log('\nwhat a page downloads beside the model, in bytes');
  const widths = [72, 0, 11, 11, 11];
  console.log(pad(['file', '', 'raw', 'gzip', 'brotli'], widths));
  for (const [engine, files] of Object.entries(sizes)) {
    const total = (form) => files.reduce((sum, file) => sum + file[form], 0);
    for (const { file, raw, gzip, brotli } of files) console.log(pad([`  ${file}`, '', raw, gzip, brotli], widths));
    console.log(pad([`${engine}, ${files.length} files`, '', total('raw'), total('gzip'), total('brotli')], widths));
  }
  return sizes;
}
