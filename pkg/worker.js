/**
 * The worker: fetches the models, owns the WebAssembly instance, answers one request after the other.
 *
 * Between two windows of a text it returns to its event loop, so that a cancel can arrive. A trap inside WebAssembly
 * leaves the instance in an unknown state: the worker says `broken` and is ended by the page.
 */

import init, { Classifier, Extractor, Files, Nli, Tagger } from './dist/clinlite.js';

const tasks = { ner: Tagger, relation: Extractor, nli: Nli, classify: Classifier };

let model; // what is asked
let tagger; // what finds the entities for a relation model, where there is one
let requestsWhenReady = 0;
let queue = Promise.resolve();
const open = new Set();

self.addEventListener('message', ({ data }) => {
  if (data.type === 'cancel') return void open.delete(data.id);
  open.add(data.id);
  queue = queue.then(() => answer(data));
});

const actions = { load, requests, tag, relate, infer, classify };

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

async function load({ id, task, folders, markers, wasm }, progress) {
  const started = performance.now();
  await init({ module_or_path: await compile(wasm ?? new URL('./dist/clinlite_bg.wasm', import.meta.url)) });
  const listed = [];
  for (const address of folders) listed.push(await listFolder(address, id));
  const total = listed.reduce((sum, { bytes }) => sum + bytes, 0);
  let loaded = 0;
  const models = [];
  for (const folder of listed) {
    const files = await fetchFolder(folder, id, (file, count) => {
      loaded += count;
      progress({ stage: 'download', file, loaded, total });
    });
    progress({ stage: 'prepare', loaded, total });
    const kind = models.length ? Tagger : tasks[task];
    models.push(verified(folder.address, () => kind.load(files, markers)));
  }
  [model, tagger] = models;
  requestsWhenReady = performance.getEntriesByType('resource').length;
  const about = JSON.parse(model.about());
  if (tagger) about.tagger = JSON.parse(tagger.about()).model;
  return { ...about, bytes: loaded, loadMs: performance.now() - started };
}

async function requests() {
  const made = performance.getEntriesByType('resource').length;
  return { total: made, sinceReady: made - requestsWhenReady };
}

function tag({ id, note, aggregation }, progress) {
  return answerOf(model.start(note, aggregation), id, 'tag', progress);
}

async function relate({ id, note, entities, none, maxPieces, maxLines }, progress) {
  entities ??= JSON.stringify(JSON.parse(await answerOf(tagger.start(note), id, 'tag', progress)).entities);
  return answerOf(model.start(note, entities, none, maxPieces, maxLines), id, 'relate', progress);
}

function infer({ id, premise, hypothesis }, progress) {
  return answerOf(model.start(premise, hypothesis), id, 'infer', progress);
}

function classify({ id, text, pooling, threshold }, progress) {
  return answerOf(model.start(text, pooling, threshold), id, 'classify', progress);
}

/** The document of a job that is done to its end, unless it is cancelled before. */
async function answerOf(job, id, stage, progress) {
  while (open.has(id) && job.done < job.windows) {
    job.step();
    progress({ stage, done: job.done, windows: job.windows });
    await eventLoop();
  }
  if (open.has(id)) return job.finish();
  job.free();
  throw failure('E_ABORTED', 'cancelled');
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

/** What a model folder holds: `{ address, manifest, files, bytes }`. */
async function listFolder(address, id) {
  const manifest = await fetchFile(new URL('manifest.json', address), id, null, () => {});
  const files = listFiles(manifest, address);
  return { address, manifest, files, bytes: files.reduce((sum, file) => sum + file.bytes, manifest.length) };
}

/** The files of a folder in the memory of WebAssembly; `onBytes(name, count)` hears of what comes in. */
async function fetchFolder({ address, manifest, files }, id, onBytes) {
  const taken = new Files();
  onBytes('manifest.json', manifest.length);
  taken.add('manifest.json', manifest);
  for (const { name, bytes } of files) {
    taken.add(name, await fetchFile(new URL(name, address), id, bytes, (count) => onBytes(name, count)));
  }
  return taken;
}

/** What `load` makes of a folder. What it refuses is said of the folder. */
function verified(address, load) {
  try {
    return load();
  } catch (error) {
    if (!error.code) throw error; // a trap
    const advice = error.code === 'E_MODEL_TASK' ? '; load() needs another { task }, or another folder' : '';
    throw failure(error.code, `${address}: ${error.message}${advice}`);
  }
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
