// The real worker, whose engine traps at the first window of a note.

import '/pkg/dist/worker.js';

const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...args) => {
  const { exports } = await instantiate(...args);
  const trapping = { ...exports, job_judge: trap };
  return Object.create(WebAssembly.Instance.prototype, { exports: { value: trapping } });
};

/** A real trap: `unreachable`, which is what Rust's abort compiles to. */
function trap() {
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11];
  new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports.t();
}
