// What a page downloads before the model, in bytes: raw, gzip, brotli.

import { readdirSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const root = new URL('../', import.meta.url);
const { files } = JSON.parse(readFileSync(new URL('package.json', root)));
const dist = readdirSync(new URL('dist/', root)).map((file) => `dist/${file}`);

/** The most that the scripts and the larger WebAssembly may take, compressed with gzip. */
export const BUDGET = 520_000;

/** One row a file that a page may download: `{ file, raw, gzip, brotli }`. */
export function sizes() {
  const served = [...files, ...dist].filter((file) => /\.(js|wasm)$/.test(file)).sort();
  return served.map((file) => {
    const bytes = readFileSync(new URL(file, root));
    return { file, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
  });
}

/** What one page downloads at most: all scripts and the larger WebAssembly. */
export function download(rows) {
  const [wasm, scripts] = [true, false].map((isWasm) => rows.filter(({ file }) => file.endsWith('.wasm') === isWasm));
  const most = (kind) => Math.max(...wasm.map((row) => row[kind])) + scripts.reduce((sum, row) => sum + row[kind], 0);
  return { file: 'scripts and larger wasm', raw: most('raw'), gzip: most('gzip'), brotli: most('brotli') };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const row = (...cells) => cells.map((cell, i) => String(cell).padStart(i ? 10 : 30)).join('');
  const rows = sizes();
  console.log(row('file', 'raw', 'gzip', 'brotli'));
  for (const { file, raw, gzip, brotli } of [...rows, download(rows)]) console.log(row(file, raw, gzip, brotli));
  if (download(rows).gzip > BUDGET) {
    console.error(`over the budget of ${BUDGET} bytes`);
    process.exitCode = 1;
  }
}
