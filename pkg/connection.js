/**
 * One worker: what it was asked and has not answered yet, and how its end is noticed.
 *
 * A worker that throws sends an event. One that the browser ends for want of memory sends nothing: it holds a lock as long
 * as it lives, for which the page queues up.
 */

import { ClinliteError } from './error.js';

const CANNOT_START = 'the worker could not run: worker.js is missing, was served with a wrong type, or is blocked by the Content-Security-Policy (worker-src, script-src)';

export class Connection {
  /** Why it is over: a ClinliteError, of the code `E_INTERNAL` if the worker died while it ran. */
  ended = null;
  /** Resolves when the script runs. */
  started;
  /** Hears when another engine computes in the worker. */
  onEngine;
  #worker;
  #runs = false;
  #waiting = new Map();
  #lastId = 0;
  #watch = new AbortController();

  constructor(workerFactory) {
    this.#worker = workerFactory ? workerFactory() : makeWorker();
    this.#worker.addEventListener('message', ({ data }) => this.#receive(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault?.();
      if (this.#runs) this.#die();
      else this.end('E_WORKER', CANNOT_START);
    });
    this.started = this.#start();
    this.started.catch(() => {}); // whoever waits hears of it
  }

  /** The answer to a message. `onProgress` hears what the worker says before. */
  request(message, onProgress) {
    if (this.ended) return Promise.reject(this.ended);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ ...message, id });
    });
  }

  /** A message without an answer. */
  tell(message) {
    if (!this.ended) this.#worker.postMessage(message);
  }

  /** Ends the worker; whoever still waits is rejected. */
  end(code, message) {
    if (this.ended) return;
    this.ended = new ClinliteError(code, message);
    this.#watch.abort();
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.ended);
    this.#waiting.clear();
  }

  #die(message = 'a worker stopped unexpectedly') {
    this.end('E_INTERNAL', message);
  }

  /** The worker answers once it holds its lock, so that the page gets it when the worker has died, and not before. */
  async #start() {
    // Locks need a secure context.
    const lock = globalThis.navigator?.locks ? `clinlite ${crypto.randomUUID()}` : null;
    await this.request({ type: 'start', lock });
    this.#runs = true;
    const watch = { signal: this.#watch.signal };
    if (lock) navigator.locks.request(lock, watch, () => this.#die()).catch(() => {}); // ended workers are not waited for
  }

  #receive({ id, type, value, code, message }) {
    if (type === 'broken') return this.#die(message);
    if (type === 'engine') return this.onEngine?.(value);
    const waiting = this.#waiting.get(id);
    if (type === 'progress') return waiting?.onProgress?.(value);
    this.#waiting.delete(id);
    if (type === 'done') waiting?.resolve(value);
    if (type === 'failed') waiting?.reject(new ClinliteError(code, message));
  }
}

let policy;

function makeWorker() {
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
