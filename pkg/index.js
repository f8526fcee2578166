/**
 * Clinical transformers inside a web page: entities, relations, inference, classification.
 *
 * Importing this file does nothing: no worker, no WebAssembly. `load()` starts workers, of which one fetches the model
 * once; after that, notes are read without any request. The types and their meaning stand in index.d.ts.
 */

import { ClinliteError } from './error.js';
import { Pool } from './pool.js';

export { ClinliteError };

/** Fetches and verifies the model, and resolves to an object with the method of its task. */
export async function load(options) {
  if (!options?.model) throw new ClinliteError('E_INPUT', 'load() needs { model }: the address of a model folder');
  const { task = 'ner', tagger, markers } = options;
  if (!Object.hasOwn(tasks, task)) throw new ClinliteError('E_INPUT', `task: expected one of ${Object.keys(tasks).join(', ')}, found ${String(task)}`);
  if (task !== 'relation' && (tagger || markers)) throw new ClinliteError('E_INPUT', `{ tagger } and { markers } belong to the task relation, not to ${task}`);
  const model = new tasks[task](new Pool(settings(options, task)));
  await model.start(options);
  return model;
}

/** A model in its workers, whatever it is asked. */
class Model {
  #pool;

  constructor(pool) {
    this.#pool = pool;
  }

  /** Resolves when a worker holds the model. */
  async start({ signal, onProgress, onEngine }) {
    Object.assign(this, await this.#pool.load({ signal, onProgress }));
    this.#pool.onEngine = (engine) => {
      this.engine = engine;
      onEngine?.(engine);
    };
  }

  /** What answers a question, as it is written. */
  written(asked, { signal, onProgress }) {
    return this.#pool.ask(asked, { signal, onProgress });
  }

  /** The document that answers a question. */
  async ask(asked, watch) {
    return JSON.parse(await this.written(asked, watch));
  }

  /** How many network requests the workers have made, in all and since the model was ready. */
  async requests() {
    const made = await this.#pool.each('requests');
    const sum = (count) => made.reduce((sum, worker) => sum + count(worker), 0);
    // The script of a late worker, one that replaces another, is a request too.
    return { total: sum(({ total }) => total), sinceReady: sum(({ total, sinceReady, isLate }) => (isLate ? total + 1 : sinceReady)) };
  }

  /** Bytes of WebAssembly memory, one number a worker that holds the model. */
  async memory() {
    const held = await this.#pool.each('memory');
    return held.map(({ bytes }) => bytes).filter(Boolean);
  }

  /** Ends the workers and with them every copy of a text and the model. What was still running is rejected. */
  dispose() {
    this.#pool.dispose();
  }
}

class Tagger extends Model {
  /** Reads a note from its first to its last character. */
  async tag(note, { aggregation, ...watch } = {}) {
    const question = { type: 'tag', note: string('note', note), aggregation: name(aggregation) };
    return inOwnWords(await this.ask(question, watch), note);
  }

  /** Writes what `tag()` found in a note, or a corrected copy, in another form. */
  async export(note, result, format, { signal, ...options } = {}) {
    expect(typeof result === 'object' && result !== null, 'result', 'a result of tag()', result);
    const question = { type: 'export', note: string('note', note), document: json(result), format: string('format', format), options: json(options) };
    return this.written(question, { signal });
  }
}

class Extractor extends Model {
  /** Judges the pairs of the entities of a note: of those given, or of those that the tagger of `load()` finds. */
  async relate(note, entities, { none, maxPieces, maxLines, ...watch } = {}) {
    expect(entities !== undefined || this.tagger, 'entities', 'an array, because load() was given no { tagger }', entities);
    const limits = { maxPieces: count('maxPieces', maxPieces), maxLines: count('maxLines', maxLines) };
    const [text, given] = [string('note', note), places(entities)];
    const found = given ?? JSON.stringify((await this.ask({ type: 'tag', note: text }, watch)).entities);
    const question = { type: 'relate', note: text, entities: found, none: Boolean(none), ...limits };
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

/** As JSON in which a lone surrogate is U+FFFD, as it is in what WebAssembly sees of the note. */
function json(value) {
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder('utf-8', { ignoreBOM: true })];
  return JSON.stringify(value, (_, part) => (typeof part === 'string' ? decoder.decode(encoder.encode(part)) : part));
}

/** With the caller's own characters: the worker saw U+FFFD where a note has a lone surrogate. */
function inOwnWords(document, note) {
  for (const entity of document.entities) entity.text = note.slice(entity.start, entity.end);
  return document;
}

/** What the workers need, with addresses as the page means them: a worker has another base. */
function settings({ model, tagger, markers, wasm, workers, kernels, exports = false, cache, knowledge = {}, backend = 'auto', precision = 'int8', allowSoftware, workerFactory }, task) {
  const isNumber = Number.isInteger(workers) && workers >= 1 && workers <= 64;
  expect(isNumber || workers === undefined || workers === 'auto', 'workers', "'auto' or a whole number from 1 to 64", workers);
  expect(['auto', 'webgpu', 'simd'].includes(backend), 'backend', "'auto', 'webgpu' or 'simd'", backend);
  expect(['int8', 'f32', 'f16'].includes(precision), 'precision', "'int8', 'f32' or 'f16'", precision);
  const isSource = (source) => typeof source === 'string' || source instanceof Uint8Array;
  const isKnowledge = ([kind, source]) => ['rules', 'sections', 'abbreviations', 'terms'].includes(kind) ? isSource(source) : kind === 'system' && typeof source === 'string';
  expect(Object.entries(knowledge).every(isKnowledge), 'knowledge', '{ rules, sections, abbreviations, terms, system }: texts or bytes', knowledge);
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const resolve = (address) => new URL(address, base).href;
  const folders = [model, tagger].filter(Boolean).map((place) => resolve(`${place}`.replace(/\/*$/, '/')));
  const source = (given) => (typeof given === 'string' || given instanceof URL ? resolve(given) : given);
  const files = wasm?.plain ? { plain: source(wasm.plain), relaxed: source(wasm.relaxed) } : source(wasm);
  return { task, folders, markers: name(markers), wasm: files, workers: isNumber ? workers : undefined, kernels: name(kernels), exports: source(exports), cache: cache === true, knowledge, backend, precision, allowSoftware: allowSoftware === true, workerFactory };
}
