/**
 * The worker: fetches the model, owns the WebAssembly instance, answers one request after the other.
 *
 * Between two windows of a note it returns to its event loop, so that a cancel can arrive. A trap inside WebAssembly
 * leaves the instance in an unknown state: the worker says `broken` and is ended by the page.
 */

import init, { Files, Tagger } from './dist/clinlite.js';

let tagger = null;
let requestsWhenReady = 0;
let queue = Promise.resolve();
const open = new Set();

self.addEventListener('message', ({ data }) => {
  if (data.type === 'cancel') return void open.delete(data.id);
  open.add(data.id);
  queue = queue.then(() => answer(data));
});

const actions = { load, tag, requests };

async function answer(request) {
  const { id, type } = request;
  try {
    stopIfCancelled(id);
    const value = await actions[type](request, (progress) => self.postMessage({ id, type: 'progress', value: progress }));
    self.postMessage({ id, type: 'done', value });
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      self.postMessage({ type: 'broken', code: 'E_INTERNAL', message: 'the engine stopped unexpectedly (out of memory, or a defect): the next call starts a fresh one' });
    } else {
      const code = error.code?.startsWith?.('E_') ? error.code : 'E_INTERNAL';
      self.postMessage({ id, type: 'failed', code, message: error.message });
    }
  } finally {
    open.delete(id);
  }
}

async function load({ id, model, wasm }, progress) {
  const started = performance.now();
  await init({ module_or_path: await compile(wasm ?? new URL('./dist/clinlite_bg.wasm', import.meta.url)) });
  const files = new Files();
  const bytes = await fetchModel(model, id, progress, (name, content) => files.add(name, content));
  progress({ stage: 'prepare', loaded: bytes, total: bytes });
  tagger = Tagger.load(files);
  const { engine, model: info } = JSON.parse(await tag({ id, note: '' }, () => {}));
  requestsWhenReady = performance.getEntriesByType('resource').length;
  return { engine, model: info, bytes, loadMs: performance.now() - started };
}

async function tag({ id, note, aggregation }, progress) {
  const job = tagger.start(note, aggregation);
  while (job.done < job.windows && open.has(id)) {
    job.step();
    progress({ stage: 'tag', done: job.done, windows: job.windows });
    await eventLoop();
  }
  const result = open.has(id) ? job.finish() : null;
  job.free();
  stopIfCancelled(id);
  return result;
}

async function requests() {
  const made = performance.getEntriesByType('resource').length;
  return { total: made, sinceReady: made - requestsWhenReady };
}

function stopIfCancelled(id) {
  if (!open.has(id)) throw failure('E_ABORTED', 'cancelled');
}

/** Lets waiting messages in. A message to oneself is not delayed the way a timer is. */
function eventLoop() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** A compiled module from an address, from bytes, or as it is. */
async function compile(source) {
  if (source instanceof WebAssembly.Module) return source;
  let described = 'the given bytes';
  if (typeof source === 'string' || source instanceof URL) {
    const response = await request(source, 'E_WASM_FETCH');
    described = `${source} (content type ${response.headers.get('content-type')})`;
    source = await response.arrayBuffer();
  }
  const bytes = new Uint8Array(source.buffer ?? source);
  if (String(bytes.subarray(0, 4)) !== '0,97,115,109') {
    throw failure('E_WASM_MIME', `${described} is not WebAssembly: it starts with ${hex(bytes.subarray(0, 4))}, expected 00 61 73 6d`);
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    if (/unsafe-eval/.test(error.message)) {
      throw failure('E_CSP', "the Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to script-src, for the worker file too");
    }
    throw failure('E_WASM', `${described} does not compile here: ${error.message}`);
  }
}

/** Fetches the manifest and every file that it names; `take(name, bytes)` receives them. Resolves to the bytes fetched. */
async function fetchModel(folder, id, progress, take) {
  const manifestBytes = await fetchFile(new URL('manifest.json', folder), id, null, () => {});
  const listed = listFiles(manifestBytes, folder);
  const total = listed.reduce((sum, file) => sum + file.bytes, manifestBytes.length);
  let loaded = manifestBytes.length;
  take('manifest.json', manifestBytes);
  for (const { name, bytes } of listed) {
    const content = await fetchFile(new URL(name, folder), id, bytes, (count) => {
      loaded += count;
      progress({ stage: 'download', file: name, loaded, total });
    });
    take(name, content);
  }
  return loaded;
}

/** The files of a manifest, each `{ name, bytes }`. WebAssembly verifies the manifest itself; this only reads names. */
function listFiles(manifestBytes, folder) {
  let files;
  try {
    files = JSON.parse(new TextDecoder().decode(manifestBytes)).files;
  } catch {
    throw failure('E_MODEL_FORMAT', `${folder}manifest.json is not JSON`);
  }
  const plain = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/; // no folder, no other host
  const listed = Object.entries(files ?? {}).map(([name, file]) => ({ name, bytes: file?.bytes }));
  if (!listed.length || !listed.every(({ name, bytes }) => plain.test(name) && bytes >= 0 && bytes < 2 ** 31)) {
    throw failure('E_MODEL_FORMAT', `${folder}manifest.json: "files" does not list plain file names with their bytes`);
  }
  return listed;
}

/** The bytes of a file, exactly `size` of them when it is known, reported as they come in. */
async function fetchFile(address, id, size, onBytes) {
  const response = await request(address, 'E_MODEL_FETCH');
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('html')) {
    throw failure('E_MODEL_FETCH', `${address}: expected a model file, found a web page (content type ${type}, status ${response.status})`);
  }
  if (size === null) return new Uint8Array(await response.arrayBuffer());
  const content = new Uint8Array(size);
  let filled = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    stopIfCancelled(id);
    if (filled + value.length > size) throw failure('E_MODEL_HASH', `${address}: longer than the ${size} bytes of the manifest`);
    content.set(value, filled);
    filled += value.length;
    onBytes(value.length);
  }
  if (filled < size) throw failure('E_MODEL_HASH', `${address}: expected ${size} bytes, found ${filled}`);
  return content;
}

async function request(address, code) {
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

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function failure(code, message) {
  return Object.assign(new Error(message), { code });
}
