/**
 * The graphics processor of a worker: whether there is one that may be used, and the windows that wait for it.
 */

import * as wasm from './build/glue/clinlite.js';
import { failure } from './files.js';

/** Opens a device for one model: `{ gpu }`, or `{ reason }` why the CPU computes. Asked for by name, it must be there. */
export async function openGpu({ backend, allowSoftware, precision }) {
  if (backend === 'simd') return {};
  try {
    if (!globalThis.isSecureContext) throw failure('E_NO_ADAPTER', 'WebGPU needs a secure context: https, or localhost');
    if (!navigator.gpu) throw failure('E_NO_ADAPTER', 'this browser has no WebGPU');
    if (!wasm.Gpu.open) throw failure('E_NO_ADAPTER', 'this build of clinlite has no WebGPU');
    return { gpu: await wasm.Gpu.open(allowSoftware, precision) };
  } catch (error) {
    if (backend === 'webgpu') throw error;
    return { reason: error.message };
  }
}

/** Windows of any notes of one model. All that has come in while the device was busy is read in one pass. */
export class Together {
  #chosen;
  #waiting = [];
  #isReading = false;

  /** `chosen`: the engine that the model computes on. */
  constructor(chosen) {
    this.#chosen = chosen;
  }

  /** Whether the device still computes. */
  get isOnGpu() {
    return this.#chosen.isGpu;
  }

  /** Windows that a worker takes at once: one pass is read while the next one gathers. */
  get capacity() {
    return 2 * Math.ceil(this.#chosen.busyRows / this.#chosen.maxLength);
  }

  /** The logits of a window. `job` returns its question, or nothing when nobody wants the answer any more. */
  judge(job, window) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, window, resolve, reject });
      this.#readAll();
    });
  }

  async #readAll() {
    if (this.#isReading) return;
    this.#isReading = true;
    // A page sends the windows of a note one after the other: those that are on their way come along.
    await new Promise((resolve) => setTimeout(resolve));
    while (this.#waiting.length) {
      const [pass, read] = this.#gather();
      try {
        const logits = pass ? await pass.read() : [];
        read.forEach(({ resolve }, i) => resolve(logits[i]));
      } catch (error) {
        for (const { reject } of read) reject(error);
      }
    }
    this.#isReading = false;
  }

  /** A pass of as many rows as keep the device busy, and whose they are. */
  #gather() {
    const read = [];
    let pass = null;
    while (this.#waiting.length && !(pass?.rows >= this.#chosen.busyRows)) {
      const next = this.#waiting.shift();
      const one = next.job()?.together(next.window);
      if (!one) {
        next.resolve();
        continue;
      }
      if (pass) pass.append(one);
      else pass = one;
      read.push(next);
    }
    return [pass, read];
  }
}
