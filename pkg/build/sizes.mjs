// What a page downloads before the model, in bytes: raw, gzip, brotli.

import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const root = new URL('../', import.meta.url);
const files = ['dist/clinlite_bg.wasm', 'dist/clinlite.js', 'index.js', 'worker.js'];

/** One row a file: `{ file, raw, gzip, brotli }`. */
export function sizes() {
  return files.map((file) => {
    const bytes = readFileSync(new URL(file, root));
    return { file, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const row = (...cells) => cells.map((cell, i) => String(cell).padStart(i ? 10 : 24)).join('');
  console.log(row('file', 'raw', 'gzip', 'brotli'));
  for (const { file, raw, gzip, brotli } of sizes()) console.log(row(file, raw, gzip, brotli));
}
