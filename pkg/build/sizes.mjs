// What a page downloads before the model, in bytes: raw, gzip, brotli.

import { readdirSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);

/** The most that the scripts and the larger WebAssembly of the engine may take, compressed with gzip. */
export const BUDGET = 310_000;

/** What writes results in other forms: downloaded where a page asks for it. */
const EXPORT = ['clinlite_export.js', 'clinlite_export_bg.wasm'];

/** One row a file that a page may download: `{ file, raw, gzip, brotli }`. */
export function sizes() {
  const served = readdirSync(dist).filter((file) => /\.(js|wasm)$/.test(file)).sort();
  return served.map((file) => {
    const bytes = readFileSync(new URL(file, dist));
    return { file, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
  });
}

/** What a page that finds, relates or classifies downloads at most: the scripts and the larger WebAssembly of the engine. */
export function download(rows) {
  const engine = rows.filter(({ file }) => !EXPORT.includes(file));
  const of = (kind) => {
    const [scripts, builds] = ['.js', '.wasm'].map((type) => engine.filter(({ file }) => file.endsWith(type)).map((row) => row[kind]));
    return scripts.reduce((sum, bytes) => sum + bytes, 0) + Math.max(...builds);
  };
  return { file: 'scripts and larger engine', raw: of('raw'), gzip: of('gzip'), brotli: of('brotli') };
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
