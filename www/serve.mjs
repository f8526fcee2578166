// A static server for the demo: `node www/serve.mjs [PORT]`. It serves three folders of this repository, sets the headers that
// a deployment should set too, and listens on this machine only.

import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Where the addresses lead; the longest prefix wins. */
export const ROOTS = { '/': here('.'), '/pkg/': here('../pkg'), '/models/': here('../models') };

export const CSP = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types clinlite',
].join('; ');

const HEADERS = {
  'Content-Security-Policy': CSP,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), browsing-topics=()',
  'Cache-Control': 'no-cache',
};

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8', // the vocabulary of a model
  '.wasm': 'application/wasm',
  '.safetensors': 'application/octet-stream',
};

/**
 * A server that is not listening yet. `intercept(request, response)` sees every request first and says whether it answered;
 * `headers` are added to those above, or replace them, and `types` to the types of files that it serves.
 */
export function makeServer({ roots = ROOTS, intercept = () => false, headers: added = {}, types = {} } = {}) {
  const known = { ...TYPES, ...types };
  const answer = (response, status, headers) => response.writeHead(status, { ...HEADERS, ...added, ...headers });
  return createServer(async (request, response) => {
    if (intercept(request, response)) return;
    const found = request.method === 'GET' || request.method === 'HEAD' ? await locate(roots, known, request.url) : null;
    if (!found) return answer(response, 404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('not found\n');
    const headers = { 'Content-Type': known[extname(found.file)], 'Content-Length': found.size, ETag: found.tag };
    if (request.headers['if-none-match'] === found.tag) return answer(response, 304, { ETag: found.tag }).end();
    answer(response, 200, headers);
    if (request.method === 'HEAD') return response.end();
    createReadStream(found.file).on('error', () => response.destroy()).pipe(response);
  });
}

/** The file behind an address, or null: unknown types, hidden names and whatever leads out of its root are not there. */
async function locate(roots, types, url) {
  try {
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname).replace(/\/$/, '/index.html');
    const prefix = Object.keys(roots).filter((root) => path.startsWith(root)).sort((a, b) => b.length - a.length)[0];
    const inside = path.slice(prefix.length);
    const hidden = inside.split('/').some((part) => part.startsWith('.') || part === 'node_modules' || part === 'build');
    if (hidden || inside.includes('\0') || !(extname(inside) in types)) return null;
    const root = await realpath(roots[prefix]);
    const file = await realpath(join(root, inside));
    const { size, mtimeMs } = await stat(file);
    return file.startsWith(root + sep) ? { file, size, tag: `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"` } : null;
  } catch {
    return null;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const wanted = Number(process.argv[2] ?? process.env.PORT ?? 8080);
  const server = makeServer();
  server.on('error', (error) => {
    if (error.code !== 'EADDRINUSE') throw error;
    console.error(`port ${wanted} is taken, using another one`);
    server.listen(0, 'localhost');
  });
  server.on('listening', () => console.log(`clinlite demo: http://localhost:${server.address().port}/   (Ctrl-C ends it)`));
  server.listen(wanted, 'localhost');
}
