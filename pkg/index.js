/**
 * Clinical transformers inside a web page: entities, relations, inference, classification.
 *
 * Importing this file does nothing: no request, no worker, no WebAssembly. `load()` starts one worker that fetches the
 * model once; after that, notes are read without any request. The types and their meaning stand in index.d.ts.
 */

/** Every failure of this package: `error.code` is stable, `error.message` never holds note text. */
export class ClinliteError extends Error {
  constructor(code, message) {
    super(message);
    this.name = code === 'E_ABORTED' ? 'AbortError' : 'ClinliteError';
    this.code = code;
  }
}

/** Starts a worker, fetches and verifies the model, and resolves to an object with the method of its task. */
export async function load(options) {
  if (!options?.model) throw new ClinliteError('E_INPUT', 'load() needs { model }: the address of a model folder');
  const { task = 'ner', tagger, markers } = options;
  if (!Object.hasOwn(tasks, task)) throw new ClinliteError('E_INPUT', `task: expected one of ${Object.keys(tasks).join(', ')}, found ${String(task)}`);
  if (task !== 'relation' && (tagger || markers)) throw new ClinliteError('E_INPUT', `{ tagger } and { markers } belong to the task relation, not to ${task}`);
  const model = new tasks[task](settings(options, task));
  try {
    await model.ready(options);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** A model in a worker, whatever it is asked. */
class Model {
  #settings;
  #connection = null;
  #disposed = false;

  constructor(settings) {
    this.#settings = settings;
  }

  /** Resolves when a worker holds the model. Starts a fresh one when there is none or when the last one broke. */
  async ready({ signal, onProgress } = {}) {
    if (this.#disposed) throw new ClinliteError('E_DISPOSED', 'the model was disposed');
    if (!this.#connection || this.#connection.broken) {
      const { workerFactory, ...load } = this.#settings;
      const connection = new Connection(workerFactory);
      connection.loaded = connection.request({ type: 'load', ...load }, { signal, onProgress });
      connection.loaded.catch(() => connection.close('E_INTERNAL', 'the worker did not start'));
      this.#connection = connection;
    }
    Object.assign(this, await this.#connection.loaded);
    return this.#connection;
  }

  /** The document that answers a question. */
  async ask(question, { signal, onProgress }) {
    const connection = await this.ready();
    return JSON.parse(await connection.request(question, { signal, onProgress }));
  }

  /** How many network requests the worker has made, in all and since the model was ready. */
  async requests() {
    const connection = await this.ready();
    return connection.request({ type: 'requests' });
  }

  /** Ends the worker and with it every copy of a text and the model. What was still running is rejected. */
  dispose() {
    this.#disposed = true;
    this.#connection?.close('E_DISPOSED', 'the model was disposed');
  }
}

class Tagger extends Model {
  /** Reads a note from its first to its last character. */
  async tag(note, { aggregation, ...watch } = {}) {
    const question = { type: 'tag', note: string('note', note), aggregation: name(aggregation) };
    return inOwnWords(await this.ask(question, watch), note);
  }
}

class Extractor extends Model {
  /** Judges the pairs of the entities of a note: of those given, or of those that the tagger of `load()` finds. */
  async relate(note, entities, { none, maxPieces, maxLines, ...watch } = {}) {
    expect(entities !== undefined || this.tagger, 'entities', 'an array, because load() was given no { tagger }', entities);
    const limits = { maxPieces: count('maxPieces', maxPieces), maxLines: count('maxLines', maxLines) };
    const question = { type: 'relate', note: string('note', note), entities: places(entities), none: Boolean(none), ...limits };
    return inOwnWords(await this.ask(question, watch), note);
  }
}

class Nli extends Model {
  /** Judges what a premise, however long, says of a hypothesis. */
  async infer(premise, hypothesis, watch = {}) {
    return this.ask({ type: 'infer', premise: string('premise', premise), hypothesis: string('hypothesis', hypothesis) }, watch);
  }
}

class Classifier extends Model {
  /** Labels a text, however long. */
  async classify(text, { pooling, threshold, ...watch } = {}) {
    const isScore = threshold === undefined || (typeof threshold === 'number' && threshold >= 0 && threshold <= 1);
    expect(isScore, 'threshold', 'a number from 0 to 1', threshold);
    return this.ask({ type: 'classify', text: string('text', text), pooling: name(pooling), threshold }, watch);
  }
}

const tasks = { ner: Tagger, relation: Extractor, nli: Nli, classify: Classifier };

/** Throws `E_INPUT` unless something holds. Only the type of what was found is told: the value may be note text. */
function expect(holds, what, expected, found) {
  if (!holds) throw new ClinliteError('E_INPUT', `${what}: expected ${expected}, found ${typeof found}`);
}

function string(what, value) {
  expect(typeof value === 'string', what, 'a string', value);
  return value;
}

/** A setting by its name; WebAssembly knows the names. */
function name(value) {
  return value?.toString();
}

/** A number that 32 bits hold, as the length of a string is. */
function isCount(value) {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

function count(what, value) {
  expect(value === undefined || isCount(value), what, 'a whole number that is not negative', value);
  return value;
}

/** Entities as JSON, without what else the caller's objects hold. WebAssembly looks where they lie. */
function places(entities) {
  if (entities === undefined) return undefined;
  expect(Array.isArray(entities), 'entities', 'an array', entities);
  const place = (entity, i) => {
    const { start, end, label } = entity ?? {};
    expect(isCount(start) && isCount(end) && typeof label === 'string', `entity ${i + 1}`, '{ start, end, label }: two places in UTF-16 and a type', entity);
    return { start, end, label };
  };
  return JSON.stringify(Array.from(entities, place));
}

/** With the caller's own characters: the worker saw U+FFFD where a note has a lone surrogate. */
function inOwnWords(document, note) {
  for (const entity of document.entities) entity.text = note.slice(entity.start, entity.end);
  return document;
}

/** One worker and the requests that it has not answered yet. */
class Connection {
  broken = false;
  #worker;
  #waiting = new Map();
  #lastId = 0;

  constructor(workerFactory) {
    this.#worker = workerFactory ? workerFactory() : startWorker();
    this.#worker.addEventListener('message', ({ data }) => this.#receive(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault?.();
      this.close('E_WORKER', 'the worker could not run: worker.js is missing, was served with a wrong type, or is blocked by the Content-Security-Policy (worker-src, script-src)');
    });
  }

  request(message, { signal, onProgress } = {}) {
    if (signal?.aborted) return Promise.reject(new ClinliteError('E_ABORTED', 'cancelled'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const cancel = () => {
        this.#worker.postMessage({ type: 'cancel', id });
        this.#settle(id)?.reject(new ClinliteError('E_ABORTED', 'cancelled'));
      };
      signal?.addEventListener('abort', cancel, { once: true });
      const forget = () => signal?.removeEventListener('abort', cancel);
      this.#waiting.set(id, { resolve, reject, onProgress, forget });
      this.#worker.postMessage({ ...message, id });
    });
  }

  /** Ends the worker; whoever still waits is rejected. */
  close(code, message) {
    this.broken = true;
    this.#worker.terminate();
    for (const id of [...this.#waiting.keys()]) this.#settle(id).reject(new ClinliteError(code, message));
  }

  #receive({ id, type, value, code, message }) {
    if (type === 'progress') this.#waiting.get(id)?.onProgress?.(value);
    if (type === 'done') this.#settle(id)?.resolve(value);
    if (type === 'failed') this.#settle(id)?.reject(new ClinliteError(code, message));
    if (type === 'broken') this.close(code, message);
  }

  #settle(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.forget();
    return waiting;
  }
}

/** What a worker needs, with addresses as the page means them: the worker has another base. */
function settings({ model, tagger, markers, wasm, workerFactory }, task) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const resolve = (address) => new URL(address, base).href;
  const folders = [model, tagger].filter(Boolean).map((place) => resolve(`${place}`.replace(/\/*$/, '/')));
  const isAddress = typeof wasm === 'string' || wasm instanceof URL;
  return { task, folders, markers: name(markers), wasm: isAddress ? resolve(wasm) : wasm, workerFactory };
}

let policy;

function startWorker() {
  if (typeof Worker === 'undefined') throw new ClinliteError('E_UNSUPPORTED', 'this environment has no module workers');
  const address = new URL('./worker.js', import.meta.url);
  return new Worker(trusted(address), { type: 'module', name: 'clinlite' });
}

/** Pages with `require-trusted-types-for 'script'` take a worker only from a policy. */
function trusted(address) {
  try {
    policy ??= globalThis.trustedTypes?.createPolicy('clinlite', { createScriptURL: (url) => url });
  } catch {
    throw new ClinliteError('E_CSP', "the Content-Security-Policy forbids the Trusted Types policy of this package: add it as 'trusted-types clinlite'");
  }
  return policy ? policy.createScriptURL(address.href) : address;
}
