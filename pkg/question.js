/**
 * A question on its way through the workers: opened in one or more of them, judged window by window by any of them,
 * finished by one. All that was judged is kept here until the end, so that a worker may die at any point.
 */

import { ClinliteError } from './error.js';

/** So many workers may die of the same step before the caller is told. */
const TRIES = 3;

let lastKey = 0;

export class Question {
  isSettled = false;
  #key = ++lastKey;
  #asked;
  #settle;
  #onProgress;
  #windows = null; // how many there are; unknown until a worker has opened the question
  #next = 0;
  #again = []; // windows whose worker died
  #logits = []; // of each window
  #done = 0;
  #isTaken = false; // opening and finishing are for one worker
  #openIn = new Set();
  #deaths = new Map(); // by step

  /** `settle(document, error)` is called once. */
  constructor(asked, onProgress, settle) {
    this.#asked = asked;
    this.#onProgress = onProgress;
    this.#settle = settle;
  }

  /** How many steps could be taken now. */
  get waiting() {
    if (this.isSettled || this.#isTaken) return 0;
    return this.#windows === null || this.#done === this.#windows ? 1 : this.#windows - this.#next + this.#again.length;
  }

  /** The next step, for one worker alone: `open`, the number of a window, `finish`; null when there is none now. */
  take() {
    if (this.waiting === 0) return null;
    if (this.#windows !== null && this.#done < this.#windows) return this.#again.pop() ?? this.#next++;
    this.#isTaken = true;
    return this.#windows === null ? 'open' : 'finish';
  }

  /** Does a step that was taken. Rejects when the engine refuses, or when the worker dies. */
  async do(step, worker) {
    const key = this.#key;
    if (!this.#openIn.has(worker)) {
      this.#openIn.add(worker);
      const windows = await worker.request({ type: 'open', key, asked: this.#asked });
      if (step === 'open') this.#isTaken = false;
      this.#windows ??= windows;
      if (step === 'open' || this.isSettled) return;
    }
    if (step === 'finish') return this.#end(await worker.request({ type: 'finish', key, logits: this.#logits }));
    this.#logits[step] = await worker.request({ type: 'judge', key, pass: step });
    this.#done++;
    if (!this.isSettled) this.#onProgress?.({ stage: this.#asked.type, done: this.#done, windows: this.#windows });
  }

  /** Takes a step back whose worker died. */
  putBack(step, error) {
    const deaths = (this.#deaths.get(step) ?? 0) + 1;
    this.#deaths.set(step, deaths);
    if (deaths === TRIES) return this.fail(error);
    if (typeof step === 'number') this.#again.push(step);
    else this.#isTaken = false;
  }

  fail(error) {
    this.#end(null, error);
  }

  #end(document, error) {
    if (this.isSettled) return;
    this.isSettled = true;
    for (const worker of this.#openIn) worker.tell({ type: 'forget', key: this.#key });
    this.#openIn.clear();
    this.#logits = [];
    this.#settle(document, error);
  }
}

/** The document that answers a question, as JSON. `begin(question)` is called unless it is cancelled already. */
export function answerTo(asked, { signal, onProgress }, begin) {
  return new Promise((resolve, reject) => {
    const cancelled = () => new ClinliteError('E_ABORTED', 'cancelled');
    if (signal?.aborted) return reject(cancelled());
    const question = new Question(asked, onProgress, (document, error) => {
      signal?.removeEventListener('abort', cancel);
      if (error) reject(error);
      else resolve(document);
    });
    const cancel = () => question.fail(cancelled());
    signal?.addEventListener('abort', cancel, { once: true });
    begin(question);
  });
}
