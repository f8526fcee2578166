/**
 * Clinical named entity recognition inside a web page.
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

/** Starts a worker, fetches and verifies the model, and resolves to a tagger. */
export async function load(options) {
  if (!options?.model) throw new ClinliteError('E_INPUT', 'load() needs { model }: the address of a model folder');
  const tagger = new Tagger(absolute(options));
  try {
    await tagger.ready(options);
  } catch (error) {
    tagger.dispose();
    throw error;
  }
  return tagger;
}

class Tagger {
  #options;
  #connection = null;
  #disposed = false;

  constructor(options) {
    this.#options = options;
  }

  /** Resolves when a worker holds the model. Starts a fresh one when there is none or when the last one broke. */
  async ready({ signal, onProgress } = {}) {
    if (this.#disposed) throw new ClinliteError('E_DISPOSED', 'the tagger was disposed');
    if (!this.#connection || this.#connection.broken) {
      const connection = new Connection(this.#options);
      const { model, wasm } = this.#options;
      connection.loaded = connection.request({ type: 'load', model, wasm }, { signal, onProgress });
      connection.loaded.catch(() => connection.close('E_INTERNAL', 'the worker did not start'));
      this.#connection = connection;
    }
    Object.assign(this, await this.#connection.loaded);
    return this.#connection;
  }

  /** Reads a note from its first to its last character. */
  async tag(note, { signal, onProgress, aggregation } = {}) {
    if (typeof note !== 'string') throw new ClinliteError('E_INPUT', `a note must be a string, found ${typeof note}`);
    const connection = await this.ready();
    const json = await connection.request({ type: 'tag', note, aggregation }, { signal, onProgress });
    const result = JSON.parse(json);
    // The caller's own characters: the worker saw U+FFFD where this string has a lone surrogate.
    for (const entity of result.entities) entity.text = note.slice(entity.start, entity.end);
    return result;
  }

  /** How many network requests the worker has made, in all and since the model was ready. */
  async requests() {
    const connection = await this.ready();
    return connection.request({ type: 'requests' });
  }

  /** Ends the worker and with it every copy of a note and the model. What was still running is rejected. */
  dispose() {
    this.#disposed = true;
    this.#connection?.close('E_DISPOSED', 'the tagger was disposed');
  }
}

/** One worker and the requests that it has not answered yet. */
class Connection {
  broken = false;
  #worker;
  #waiting = new Map();
  #lastId = 0;

  constructor({ workerFactory }) {
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

/** Addresses as the page means them: the worker has another base. */
function absolute({ model, wasm, workerFactory }) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const resolve = (address) => new URL(address, base).href;
  const isAddress = typeof wasm === 'string' || wasm instanceof URL;
  return { model: resolve(`${model}`.replace(/\/*$/, '/')), wasm: isAddress ? resolve(wasm) : wasm, workerFactory };
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
