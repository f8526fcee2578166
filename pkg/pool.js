/**
 * The workers of one model. Windows of a question wait in a queue; each worker takes one at a time.
 *
 * The first worker fetches the model. The others only run their script until there is enough to do for them: then they get the
 * compiled module and the files from the first one, without a request. A worker that dies is replaced, and what it had
 * taken is done again.
 */

import { Connection } from './connection.js';
import { ClinliteError } from './error.js';
import { answerTo } from './question.js';

/** The most workers that are started without being asked for. */
const MOST = 4;
/** So many windows must wait before one more worker takes the model in: that takes as long as some windows. */
const WORTH = 3;
/** Milliseconds after which the files are set aside, unless another worker needs them before: the first question goes first. */
const REST = 300;
/** So many workers may die while they load before the pool does without. */
const TRIES = 2;
/** So often a fresh worker may look whether a lost graphics processor is back. */
const RETURNS = 3;

export class Pool {
  /** Hears when another engine computes, because a graphics processor was lost or is back. */
  onEngine;
  #settings;
  #workerFactory;
  #limit;
  #isFixed;
  #workers = [];
  #questions = [];
  #engine = null; // what the first worker has chosen: module and kernels
  #files = null; // a promise of what it has fetched
  #deaths = 0; // of workers that were loading, in a row
  #lost = null; // a worker that lost its graphics processor
  #returns = 0;
  #isDisposed = false;

  /** `workers`: their number, or nothing to choose it by machine and model. */
  constructor({ workerFactory, workers, ...settings }) {
    this.#settings = settings;
    this.#workerFactory = workerFactory;
    this.#limit = workers ?? 1;
    this.#isFixed = workers !== undefined;
  }

  /** Resolves when a first worker holds the model, to what that says about itself. */
  async load({ signal, onProgress }) {
    if (signal?.aborted) throw new ClinliteError('E_ABORTED', 'cancelled');
    const started = performance.now();
    const cancel = () => this.dispose('E_ABORTED', 'cancelled');
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const { about, capacity, ...engine } = await this.#loadFirst(onProgress);
      // Every script is here before the model is called ready: from then on there is no request.
      await Promise.allSettled(this.#alive().map((worker) => worker.started));
      if (this.#isDisposed) throw new ClinliteError('E_ABORTED', 'cancelled');
      this.#engine = engine;
      setTimeout(() => this.#share(), REST);
      return { ...about, loadMs: performance.now() - started };
    } catch (error) {
      this.dispose(error.code, error.message);
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** The document that answers a question, as JSON. */
  ask(asked, watch) {
    return answerTo(asked, watch, (question) => {
      if (this.#isDisposed) return question.fail(disposed());
      this.#questions.push(question);
      this.#pump();
    });
  }

  /** What each worker answers to a question about itself. */
  async each(type) {
    if (this.#isDisposed) throw disposed();
    const answers = this.#alive().map(async (worker) => ({ ...(await worker.request({ type })), isLate: worker.isLate }));
    return (await Promise.allSettled(answers)).filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  }

  /** Ends all workers. What still waits is rejected. */
  dispose(code = disposed().code, message = disposed().message) {
    this.#isDisposed = true;
    for (const question of this.#questions) question.fail(new ClinliteError(code, message));
    for (const worker of this.#workers) worker.end(code, message);
    this.#engine = this.#files = null;
  }

  #alive() {
    this.#workers = this.#workers.filter(({ ended }) => !ended);
    return this.#workers;
  }

  #add() {
    const state = { isLoaded: false, isLoading: false, steps: 0, capacity: 1, hasFetched: false, isLate: this.#engine !== null };
    const worker = Object.assign(new Connection(this.#workerFactory), state);
    worker.onEngine = (engine) => this.#fallBack(worker, engine);
    this.#workers.push(worker);
    return worker;
  }

  async #loadFirst(onProgress) {
    for (let tries = 1; ; tries++) {
      const worker = this.#alive()[0] ?? this.#add();
      try {
        const loaded = await worker.request({ type: 'load', ...this.#settings }, (progress) => {
          this.#gather(progress.total);
          onProgress?.(progress);
        });
        Object.assign(worker, { isLoaded: true, hasFetched: true, capacity: loaded.capacity });
        if (worker.capacity > 1) this.#dismiss();
        return loaded;
      } catch (error) {
        if (worker.ended?.code !== 'E_INTERNAL' || tries === TRIES) throw error;
      }
    }
  }

  /** The files of the model, outside the memory of any worker; undefined if who fetched them died before. */
  #share() {
    this.#files ??= this.#alive().find(({ hasFetched }) => hasFetched)?.request({ type: 'share' }).catch(() => {});
    return this.#files;
  }

  /** Starts the scripts of the other workers, once the size of the model is known. */
  #gather(bytes) {
    if (!this.#isFixed) this.#limit = best(bytes, navigator);
    while (this.#alive().length < this.#limit) this.#add();
  }

  /** Gives every idle worker something to do, and the model to more workers where much waits. */
  #pump() {
    this.#questions = this.#questions.filter(({ isSettled }) => !isSettled);
    for (const worker of this.#alive().filter(({ isLoaded }) => isLoaded)) while (this.#give(worker));
    const waiting = this.#questions.reduce((sum, question) => sum + question.waiting, 0);
    let [able, coming] = ['isLoaded', 'isLoading'].map((state) => this.#alive().filter((worker) => worker[state]).length);
    for (; able + coming < this.#limit && waiting - coming > (able + coming ? WORTH : 0); coming++) {
      this.#equip(this.#alive().find(({ isLoaded, isLoading }) => !isLoaded && !isLoading) ?? this.#add());
    }
    if (this.#lost && !this.#questions.length && !this.#isDisposed) this.#return();
  }

  /** Gives a worker one more step, unless it has enough or there is none. */
  #give(worker) {
    if (worker.steps === worker.capacity) return false;
    for (const question of this.#questions) {
      const step = question.take();
      if (step === null) continue;
      this.#work(worker, question, step);
      return true;
    }
    return false;
  }

  async #work(worker, question, step) {
    worker.steps++;
    try {
      await question.do(step, worker);
    } catch (error) {
      if (worker.ended) question.putBack(step, error);
      else question.fail(error);
    }
    worker.steps--;
    this.#pump();
  }

  /** Gives the model to one more worker. One that cannot take it is done without. */
  async #equip(worker) {
    worker.isLoading = true;
    try {
      const files = await this.#share();
      const { about, capacity } = await worker.request({ type: 'load', ...this.#settings, ...this.#engine, files });
      Object.assign(worker, { isLoaded: true, hasFetched: !files, capacity, engine: about.engine });
      if (!files) this.#files = null;
      this.#deaths = 0;
    } catch (error) {
      this.#doWithout(worker, error);
    }
    worker.isLoading = false;
    this.#pump();
  }

  /** One worker keeps a graphics processor busy: the others, which hold no model yet, are not needed. */
  #dismiss() {
    this.#limit = 1;
    for (const worker of this.#alive()) if (!worker.isLoaded) worker.end('E_DISPOSED', 'not needed');
  }

  /** A worker has lost its graphics processor and computes on its CPU. */
  #fallBack(worker, engine) {
    worker.capacity = 1;
    if (this.#returns++ < RETURNS) this.#lost = worker;
    this.onEngine?.(engine);
  }

  /** Once nothing is asked, a fresh worker looks for the graphics processor and replaces the one that has lost it. */
  async #return() {
    const [lost, fresh] = [this.#lost, this.#add()];
    this.#lost = null;
    await this.#equip(fresh);
    if (this.#isDisposed) return;
    if (fresh.capacity > 1) {
      lost.end('E_DISPOSED', 'replaced');
      this.onEngine?.(fresh.engine);
    } else {
      fresh.end('E_DISPOSED', 'not needed');
    }
    this.#pump();
  }

  #doWithout(worker, error) {
    const mayRetry = worker.ended?.code === 'E_INTERNAL' && ++this.#deaths < TRIES;
    worker.end(error.code, error.message);
    if (mayRetry) return;
    this.#deaths = 0;
    this.#limit = Math.max(1, this.#limit - 1);
    if (this.#alive().some(({ isLoaded, isLoading }) => isLoaded || isLoading)) return;
    for (const question of this.#questions) question.fail(error);
  }
}

function disposed() {
  return new ClinliteError('E_DISPOSED', 'the model was disposed');
}

/** How many workers do a model of so many bytes good on this machine; each holds a copy. */
export function best(bytes, { hardwareConcurrency = 1, deviceMemory, maxTouchPoints = 0 }) {
  // Only Chromium tells the memory. A tablet that does not may end a page near 1 GB.
  const gigabytes = deviceMemory ?? (maxTouchPoints > 1 ? 2 : 8);
  const share = (gigabytes * 2 ** 30) / 16;
  const each = 3 * bytes + 30e6;
  // A core is the page's own, where there are more than two: it waits while a note is read.
  const cores = hardwareConcurrency > 2 ? hardwareConcurrency - 1 : hardwareConcurrency;
  return Math.max(1, Math.min(MOST, cores, Math.floor(share / each)));
}
