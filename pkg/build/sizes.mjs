// What a page downloads before the model, in bytes: raw, gzip, brotli.

import { readdirSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const root = new URL('../', import.meta.url);
const { files } = JSON.parse(readFileSync(new URL('package.json', root)));
const dist = readdirSync(new URL('dist/', root)).map((file) => `dist/${file}`);

/** The most that the scripts and the larger WebAssembly of the engine may take, compressed with gzip. */
export const BUDGET = 445_000;

/** One row a file that a page may download: `{ file, raw, gzip, brotli }`. */
export function sizes() {
  const served = [...files, ...dist].filter((file) => /\.(js|wasm)$/.test(file)).sort();
  return served.map((file) => {
    const bytes = readFileSync(new URL(file, root));
    return { file, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
  });
}

/** What writes results in other forms: downloaded where a page asks for it. */
const EXPORT = 'dist/clinlite_export_bg.wasm';

/** What one page downloads at most: all scripts and the larger WebAssembly of the engine. */
export function download(rows) {
  const isEngine = ({ file }) => file.endsWith('.wasm') && file !== EXPORT;
  const most = (kind) => Math.max(...rows.filter(isEngine).map((row) => row[kind]));
  const scripts = (kind) => rows.filter(({ file }) => file.endsWith('.js')).reduce((sum, row) => sum + row[kind], 0);
  const [raw, gzip, brotli] = ['raw', 'gzip', 'brotli'].map((kind) => most(kind) + scripts(kind));
  return { file: 'scripts and larger engine', raw, gzip, brotli };
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
