/**
 * The files of model folders: fetched together, kept by the browser where the page asks for it, or handed over by another
 * worker. WebAssembly verifies every hash itself.
 */

import { Files } from './build/glue/clinlite.js';

const CACHE = 'clinlite models';

/** What a model folder holds: `{ address, files, bytes }`, each file `{ name, bytes, sha256 }` and the manifest in it. */
export async function listFolder(address) {
  const response = await request(new URL('manifest.json', address), 'E_MODEL_FETCH');
  expectFile(response, new URL('manifest.json', address));
  const manifest = new Uint8Array(await response.arrayBuffer());
  const files = [{ name: 'manifest.json', bytes: manifest.length, content: manifest }, ...listFiles(manifest, address)];
  return { address, files, bytes: files.reduce((sum, file) => sum + file.bytes, 0) };
}

/** The same files, each with its `content`; `onBytes(name, count)` hears of what comes in. */
export async function fetchFolder({ address, files }, useCache, onBytes) {
  const store = useCache ? await openCache() : null;
  const fetched = async (file) => {
    const hear = (count) => onBytes(file.name, count);
    if (file.content) hear(file.bytes);
    return { name: file.name, content: file.content ?? (await cached(new URL(file.name, address), file, store, hear)) };
  };
  return { address, files: await Promise.all(files.map(fetched)) };
}

/** The files in the memory of WebAssembly. */
export function handOver({ files }) {
  const taken = new Files();
  for (const { name, content } of files) taken.add(name, content);
  return taken;
}

/** The files outside the memory of any worker, to be read again by others: `{ address, files }`, each a Blob. */
export function setAside({ address, files }) {
  return { address, files: files.map(({ name, content }) => ({ name, blob: new Blob([content]) })) };
}

/** What was set aside, with its contents. */
export async function takeBack({ address, files }) {
  const read = async ({ name, blob }) => ({ name, content: new Uint8Array(await blob.arrayBuffer()) });
  return { address, files: await Promise.all(files.map(read)) };
}

/** The files of a manifest. WebAssembly verifies the manifest itself; this only reads names. */
function listFiles(manifest, address) {
  let files;
  try {
    files = JSON.parse(new TextDecoder().decode(manifest)).files;
  } catch {
    throw failure('E_MODEL_FORMAT', `${address}manifest.json is not JSON`);
  }
  const plain = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/; // no folder, no other host
  const listed = Object.entries(files ?? {}).map(([name, file]) => ({ name, bytes: file?.bytes, sha256: String(file?.sha256) }));
  if (!listed.length || !listed.every(({ name, bytes }) => plain.test(name) && bytes >= 0 && bytes < 2 ** 31)) {
    throw failure('E_MODEL_FORMAT', `${address}manifest.json: "files" does not list plain file names with their bytes`);
  }
  return listed;
}

/** The cache of this package, or null where the browser has none for this page. */
async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** A file from the cache if what lies there has its hash, else from its address. */
async function cached(address, file, store, onBytes) {
  if (!store) return fetchFile(address, file, onBytes);
  const key = new URL(address);
  key.search = new URLSearchParams({ sha256: file.sha256 });
  const kept = await store.match(key).then((response) => response?.arrayBuffer(), () => null);
  if (kept && (await sha256(kept)) === file.sha256) {
    onBytes(file.bytes);
    return new Uint8Array(kept);
  }
  const content = await fetchFile(address, file, onBytes);
  // Without room, without permission: the next page fetches again. Other versions of the file go.
  await store.delete(key, { ignoreSearch: true }).then(() => store.put(key, new Response(content))).catch(() => {});
  return content;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The bytes of a file, exactly as many as its manifest says, reported as they come in. */
async function fetchFile(address, { bytes: size }, onBytes) {
  const response = await request(address, 'E_MODEL_FETCH');
  expectFile(response, address);
  const content = new Uint8Array(size);
  let filled = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > size) throw failure('E_MODEL_HASH', `${address}: longer than the ${size} bytes of the manifest`);
    content.set(value, filled);
    filled += value.length;
    onBytes(value.length);
  }
  if (filled < size) throw failure('E_MODEL_HASH', `${address}: expected ${size} bytes, found ${filled}`);
  return content;
}

function expectFile({ headers, status }, address) {
  const type = headers.get('content-type') ?? '';
  if (type.includes('html')) throw failure('E_MODEL_FETCH', `${address}: expected a model file, found a web page (content type ${type}, status ${status})`);
}

export async function request(address, code) {
  let response;
  try {
    response = await fetch(address);
  } catch {
    const offline = navigator.onLine === false;
    throw failure(offline ? 'E_OFFLINE' : code, `${address} cannot be fetched: ${offline ? 'this device is offline' : 'network error, or blocked by the Content-Security-Policy (connect-src)'}`);
  }
  if (!response.ok) throw failure(code, `${address} cannot be fetched: status ${response.status}`);
  return response;
}

export function failure(code, message) {
  return Object.assign(new Error(message), { code });
}
