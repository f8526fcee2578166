/**
 * A worker: owns a WebAssembly instance with the models, and answers one message after the other.
 *
 * A question is opened, judged pass by pass and finished; what is judged in another worker comes back with `finish`. A trap
 * inside WebAssembly leaves the instance in an unknown state: the worker says `broken` and is ended by the page.
 */

import { Classifier, Extractor, Knowledge, Nli, Tagger } from './build/glue/clinlite.js';
import { startEngine, startExport } from './engine.js';
import { failure, fetchFolder, handOver, listFolder, setAside, takeBack } from './files.js';
import { openGpu, Together } from './gpu.js';

const tasks = { ner: Tagger, relation: Extractor, nli: Nli, classify: Classifier };
const actions = { start, load, share, open, judge, finish, forget, requests, memory };

let model; // what is asked
let tagger; // what finds the entities for a relation model, where there is one
let fetched; // the files, until they are shared
let instance; // its memory
let together; // windows that wait for the graphics processor, where the model lies on one
let write; // writes results in other forms, where that was asked for
let ready; // since when the model is, in milliseconds
const jobs = new Map();
let queue = Promise.resolve();

self.addEventListener('message', ({ data }) => {
  // Who waits for the graphics processor holds up nobody, or there would be nothing to read together.
  queue = queue.then(() => (data.type === 'judge' ? void answer(data) : answer(data)));
});

async function answer(message) {
  const { id, type } = message;
  try {
    const value = await actions[type](message, (progress) => self.postMessage({ id, type: 'progress', value: progress }));
    if (id) self.postMessage({ id, type: 'done', value }, value instanceof Float32Array ? [value.buffer] : []);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      self.postMessage({ type: 'broken', message: 'the engine stopped unexpectedly (out of memory, or a defect)' });
    } else {
      const code = error.code?.startsWith?.('E_') ? error.code : 'E_INTERNAL';
      self.postMessage({ id, type: 'failed', code, message: error.message });
    }
  }
}

/** Takes a lock for as long as this worker lives. Where none can be had, its death in silence goes unnoticed. */
function start({ lock }) {
  ready = performance.now();
  if (!lock) return undefined;
  const held = new Promise((resolve, reject) => {
    const hold = () => {
      resolve();
      return new Promise(() => {});
    };
    navigator.locks.request(lock, hold).catch(reject);
  });
  return held.catch(() => {});
}

/** Fetches engine and models together, or takes over those of another worker. */
async function load({ task, knowledge, folders, files, markers, wasm, module, kernels, exports, cache, backend, allowSoftware, precision }, progress) {
  const engine = startEngine({ wasm, module, kernels });
  const writer = exports ? startExport(exports) : null;
  const devices = engine.then(() => Promise.all(folders.map(() => openGpu({ backend, allowSoftware, precision }))));
  for (const coming of [engine, devices, writer]) coming?.catch(() => {}); // heard below
  const contents = files ? await Promise.all(files.map(takeBack)) : await fetchAll(folders, cache, progress);
  const { memory, ...chosen } = await engine;
  instance = memory;
  const [laidOn, written] = await Promise.all([devices, writer]);
  write = written?.write;
  [model, tagger] = contents.map((folder, i) => {
    const [{ gpu, reason }, of] = [laidOn[i], i ? Tagger : tasks[task]];
    return verified(folder.address, () => of.load(handOver(folder), gpu, reason, of === Tagger ? known(knowledge) : markers));
  });
  const models = [model, tagger].filter(Boolean);
  for (const { chosen } of models) await chosen.choose?.(backend === 'webgpu');
  together = new Map(models.map((each) => [each, new Together(each.chosen)]).filter(([, windows]) => windows.isOnGpu));
  ready = performance.now();
  if (!files) fetched = contents;
  const about = JSON.parse(model.about());
  const capacity = Math.max(1, ...Array.from(together.values(), (windows) => windows.capacity));
  if (tagger) about.tagger = JSON.parse(tagger.about()).model;
  const bytes = contents.flatMap((folder) => folder.files).reduce((sum, { content }) => sum + content.length, 0);
  return { about: { ...about, kernels: chosen.kernels, bytes }, capacity, ...chosen, exports: written?.module };
}

/** The rules that ship with what the page adds; nothing where it adds nothing, for the tagger has those that ship. */
function known({ system, ...given }) {
  if (!Object.keys(given).length) return undefined;
  const bytes = (source) => (typeof source === 'string' ? new TextEncoder().encode(source) : source);
  return Object.entries(given).reduce((rules, [kind, source]) => rules.add(kind, bytes(source), system), new Knowledge());
}

/** The files that this worker has fetched, for other workers. */
function share() {
  const files = fetched.map(setAside);
  fetched = null;
  return files;
}

/** All folders with the contents of their files. */
async function fetchAll(folders, cache, progress) {
  const listed = await Promise.all(folders.map(listFolder));
  const total = listed.reduce((sum, { bytes }) => sum + bytes, 0);
  let loaded = 0;
  const onBytes = (file, count) => {
    loaded += count;
    progress({ stage: 'download', file, loaded, total });
  };
  const contents = await Promise.all(listed.map((folder) => fetchFolder(folder, cache, onBytes)));
  progress({ stage: 'prepare', loaded, total });
  return contents;
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

const starts = {
  tag: ({ note, aggregation }) => (tagger ?? model).start(note, aggregation),
  relate: ({ note, entities, none, maxPieces, maxLines }) => model.start(note, entities, none, maxPieces, maxLines),
  infer: ({ premise, hypothesis }) => model.start(premise, hypothesis),
  classify: ({ text, pooling, threshold }) => model.start(text, pooling, threshold),
  export: writing,
};

/** A question of no passes: a result in another form. */
function writing({ note, document, format, options }) {
  if (!write) throw failure('E_INPUT', 'export() needs load({ exports: true })');
  return { windows: 0, finish: () => write(note, document, format, options), free() {} };
}

/** How many passes a question takes. */
function open({ key, asked }) {
  const job = starts[asked.type](asked);
  jobs.set(key, { asker: (asked.type === 'tag' && tagger) || model, job });
  return job.windows;
}

async function judge({ key, pass }) {
  const { asker, job } = jobs.get(key);
  const windows = together.get(asker);
  if (!windows) return job.judge(pass);
  const logits = await windows.judge(() => jobs.get(key)?.job, pass);
  if (!windows.isOnGpu) fallBack(asker);
  return logits;
}

/** The graphics processor gave up: from now on the CPU computes here, and the page is told. */
function fallBack(asker) {
  if (!together.delete(asker)) return;
  self.postMessage({ type: 'engine', value: JSON.parse(model.about()).engine });
}

/** The document of a question from what was judged, here or elsewhere. */
function finish({ key, logits }) {
  const { job } = jobs.get(key);
  logits.forEach((of, pass) => job.accept(pass, of));
  jobs.delete(key);
  return job.finish();
}

function forget({ key }) {
  jobs.get(key)?.job.free();
  jobs.delete(key);
}

function requests() {
  const made = performance.getEntriesByType('resource');
  // An entry comes some time after its response: when the request began is what counts.
  return { total: made.length, sinceReady: made.filter(({ startTime }) => startTime > ready).length };
}

function memory() {
  return { bytes: model ? instance.buffer.byteLength : 0 };
}
