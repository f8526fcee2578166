/**
 * The WebAssembly of a worker: which of the two builds of the engine, compiled while it comes in, and which of its kernels; and
 * what writes results in other forms, a module of its own.
 */

import init, { Kernels } from './build/glue/clinlite.js';
import { failure, request } from './files.js';

// Beside the bundled script, in `dist`.
const BUILDS = { plain: new URL('./clinlite_bg.wasm', import.meta.url), relaxed: new URL('./clinlite_relaxed_bg.wasm', import.meta.url) };
const EXPORTS = new URL('./clinlite_export_bg.wasm', import.meta.url);

/** The smallest modules with one instruction of an extension: `i32x4.dot_i16x8_s`, `i32x4.relaxed_dot_i8x16_i7x16_add_s`. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 11, 1, 9, 0, 32, 0, 32, 0, 253, 186, 1, 11];
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 147, 2, 11];

/**
 * Starts the engine: `{ module, memory, kernels }`. `module` and `kernels` come from another worker that has chosen them.
 * Where the relaxed build cannot be had or does not run, the plain one is taken.
 */
export async function startEngine({ wasm = BUILDS, module, kernels }) {
  if (!knows(SIMD)) throw failure('E_UNSUPPORTED', 'this browser has no WebAssembly SIMD: it needs one of 2023 or later');
  const { plain, relaxed } = wasm.plain ? wasm : { plain: wasm };
  const builds = module ? [module] : relaxed && knows(RELAXED) ? [relaxed, plain] : [plain];
  for (const build of builds) {
    try {
      const compiled = await compile(build);
      const { memory } = await init({ module_or_path: compiled });
      return { module: compiled, memory, kernels: Kernels.choose(kernels) };
    } catch (error) {
      if (build === builds.at(-1)) throw error;
    }
  }
}

/** Starts what writes results, from its own place where `source` is only true: `{ module, write }`, the module for other workers. */
export async function startExport(source) {
  const [module, { default: start, write }] = await Promise.all([compile(source === true ? EXPORTS : source), import('./build/glue/clinlite_export.js')]);
  await start({ module_or_path: module });
  return { module, write };
}

function knows(probe) {
  return WebAssembly.validate(new Uint8Array(probe));
}

/** A compiled module from an address, from bytes, or as it is. */
async function compile(source) {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source !== 'string' && !(source instanceof URL)) return compiled(checked(new Uint8Array(source.buffer ?? source), 'the given bytes'), 'the given bytes');
  const response = await request(source, 'E_WASM_FETCH');
  const type = response.headers.get('content-type');
  const described = `${source} (content type ${type})`;
  if (type === 'application/wasm' && WebAssembly.compileStreaming) return compiled(response, described);
  return compiled(checked(new Uint8Array(await response.arrayBuffer()), described), described);
}

function checked(bytes, described) {
  if (String(bytes.subarray(0, 4)) === '0,97,115,109') return bytes;
  throw failure('E_WASM_MIME', `${described} is not WebAssembly: it starts with ${hex(bytes.subarray(0, 4))}, expected 00 61 73 6d`);
}

/** The module in some bytes, or in a response while it comes in. */
async function compiled(source, described) {
  try {
    return await (source instanceof Response ? WebAssembly.compileStreaming(source) : WebAssembly.compile(source));
  } catch (error) {
    if (/unsafe-eval/.test(error.message)) {
      throw failure('E_CSP', "the Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to script-src, for the worker file too");
    }
    throw failure('E_WASM', `${described} does not compile here: ${error.message}`);
  }
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
