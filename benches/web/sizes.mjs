// What a page downloads beside the model, as it was really asked for: raw, gzip, brotli.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { OUT } from './prepare.mjs';

/** Packing the peers' files takes a minute, so the sizes are kept by the hash of a file. */
function sizesOf(file) {
  const bytes = readFileSync(file);
  const kept = join(OUT, 'sizes', createHash('sha256').update(bytes).digest('hex'));
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8'));
  const sizes = { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
  mkdirSync(join(OUT, 'sizes'), { recursive: true });
  writeFileSync(kept, JSON.stringify(sizes));
  return sizes;
}

/** `{ engine: [{ file, raw, gzip, brotli }] }` from the downloads of each engine; the bench's own pages and the models are left out. */
export function downloads(byEngine) {
  const isRuntime = ({ url, file }) => !url.startsWith('/bench/') && !url.startsWith('/models/') && file && existsSync(file);
  return Object.fromEntries(
    Object.entries(byEngine).map(([engine, files]) => [engine, files.filter(isRuntime).map(({ url, file }) => ({ file: url.replace(/\?.*/, ''), ...sizesOf(file) }))]),
  );
}
