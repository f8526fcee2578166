// What the driver calls in the page: `bench.encoders(plan)` and `bench.notes(plan)`.

import { loadClinlite, loadOnnxruntime, loadTransformers } from './engines.js';
import { loadTaggers } from './taggers.js';
import { inTurn } from './rounds.js';

const row = ({ engine, dtype, threads, graph, times }) => ({ engine, dtype, threads, graph, times });

/** Ids of a sequence as a tokenizer makes it: [CLS] 2, [SEP] 3, between them pieces of the vocabulary. */
function sequence(length, vocabulary) {
  const pieces = Array.from({ length }, (_, i) => 5 + ((i * 7919) % (vocabulary - 5)));
  return [2, ...pieces.slice(2), 3];
}

/** The lengths at which the peers' graphs are chosen. */
const TRIALS = [128, 512];

/** The fastest of onnxruntime's graphs for a form of numbers; `{ attention_f32: [31.2, 240.1], ... }` are minima in milliseconds. */
async function chooseGraph({ model, vocabulary, candidates }) {
  const loaded = [];
  for (const graph of candidates) {
    loaded.push({ graph, ...(await loadOnnxruntime({ threads: 1, graph: `/models/${model}/onnx/${graph}.onnx` })) });
  }
  const minima = Object.fromEntries(candidates.map((graph) => [graph, []]));
  for (const length of TRIALS) {
    const ids = sequence(length, vocabulary);
    const timed = await inTurn(loaded, { least: 3, most: 8, seconds: 2 }, ({ run }) => run(ids));
    for (const { graph, times } of timed) minima[graph].push(Math.min(...times));
  }
  for (const { dispose } of loaded) await dispose();
  const product = (graph) => minima[graph].reduce((product, ms) => product * ms);
  return { graph: candidates.reduce((best, graph) => (product(graph) < product(best) ? graph : best)), minima };
}

/** The graphs that the peers run, by one thread's times: `{ f32: { graph, minima }, int8: ... }`. */
export async function chooseGraphs({ name, vocabulary }) {
  const choose = (candidates) => chooseGraph({ model: `${name}/f32`, vocabulary, candidates });
  const f32 = await choose(['attention_f32', 'multi_head_f32']);
  return { f32, int8: await choose(['attention_int8', 'attention_uint8', 'multi_head_int8', 'multi_head_uint8']) };
}

/** All engines of one model. */
async function loadEncoders({ name, graphs, builds }) {
  const engines = [];
  for (const dtype of ['f32', 'int8']) {
    const { graph } = graphs[dtype];
    for (const { build, wasm } of builds) {
      engines.push({ engine: `clinlite ${build}`, dtype, threads: 1, ...(await loadClinlite({ wasm, folder: `/models/${name}/${dtype}` })) });
    }
    for (const threads of crossOriginIsolated ? [1, 2] : [1]) {
      const address = `/models/${name}/f32/onnx/${graph}.onnx`;
      engines.push({ engine: 'onnxruntime-web', dtype, threads, graph, ...(await loadOnnxruntime({ threads, graph: address })) });
    }
    engines.push({ engine: 'transformers.js', dtype, threads: 1, graph, ...(await loadTransformers({ threads: 1, model: `${name}/f32`, graph })) });
  }
  return engines;
}

/** How far the logits of every engine lie from ours in f32: `{ largest, engines: [{ engine, dtype, threads, difference, relative }] }`. */
async function compare(engines, ids) {
  const expected = await engines[0].run(ids);
  const compared = [];
  for (const { engine, dtype, threads, run } of engines) {
    const found = await run(ids);
    if (found.length !== expected.length) throw new Error(`${engine}: expected ${expected.length} logits, found ${found.length}`);
    let [difference, errors, squares] = [0, 0, 0];
    for (let i = 0; i < expected.length; i++) {
      difference = Math.max(difference, Math.abs(found[i] - expected[i]));
      errors += (found[i] - expected[i]) ** 2;
      squares += expected[i] ** 2;
    }
    compared.push({ engine, dtype, threads, difference, relative: Math.sqrt(errors / squares) });
  }
  return { largest: expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0), engines: compared };
}

/** Encoders of one model at every length: ids in, logits out. */
export async function encoders({ name, vocabulary, lengths, rounds, graphs, builds }) {
  const engines = await loadEncoders({ name, graphs, builds });
  const agreement = await compare(engines, sequence(128, vocabulary));
  const rows = [];
  for (const length of lengths) {
    const ids = sequence(length, vocabulary);
    const timed = await inTurn(engines, rounds, ({ run }) => run(ids));
    rows.push(...timed.map((engine) => ({ ...row(engine), length })));
  }
  for (const { dispose } of engines) await dispose();
  return { agreement, rows };
}

/** Notes of several lengths, text in and entities out. */
export async function notes({ name, texts, rounds, graphs, wordsInF32 }) {
  const taggers = await loadTaggers({ name, graphs });
  const rows = [];
  for (const note of texts) {
    const words = note.split(/\s+/).filter(Boolean).length;
    const asked = taggers.filter(({ dtype }) => dtype === 'int8' || words <= wordsInF32);
    const timed = await inTurn(asked, rounds, ({ tag }) => tag(note));
    for (const engine of timed) rows.push({ ...row(engine), length: words, covered: engine.covered(note) });
  }
  for (const { dispose } of taggers) await dispose();
  return { rows };
}

globalThis.bench = { chooseGraphs, encoders, notes, isolated: crossOriginIsolated, cores: navigator.hardwareConcurrency };
