// `make bench-web`: this runtime, onnxruntime-web and transformers.js in one page, in turn, on the same weights.
//
//   node benches/web/run.mjs [--quick] [--only encoder,notes,startup,memory,sizes] [--models 4x312,6x384,6x768] [--builds simd128,relaxed]
//
// Prints tables and writes target/bench/web.json and target/bench/web.svg. What is compared: docs/performance.md.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, platform } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { open } from './host.mjs';
import { largestRenderer } from './memory.mjs';
import { plot } from './plot.mjs';
import { models, OUT, wasm } from './prepare.mjs';
import { printAgreement, printMemory, printSizes, printTable, summarise } from './report.mjs';
import { downloads } from './sizes.mjs';
import { noteOf } from './texts.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'encoder,notes,startup,memory,sizes' },
    models: { type: 'string' },
    builds: { type: 'string', default: 'simd128' },
  },
});
const sections = options.only.split(',');
const names = (options.models ?? (options.quick ? '4x312,6x384' : '4x312,6x384,6x768')).split(',');

/** The default model, which notes, startup and memory are about. */
const DEFAULT = '6x384';
/** Largest difference of two `f32` encoders, relative to the largest logit: they run the same model, or the bench ends. */
const SAME_MODEL = 1e-4;
/** Root of the squared errors of an int8 encoder over that of the logits: rounding, not another model. */
const SAME_INT8_MODEL = 0.3;

const LENGTHS = options.quick ? [128, 512] : [64, 128, 256, 512];
const WORDS = options.quick ? [300, 1000] : [300, 1000, 5000];
/** Rounds of a cell: at most `most`, fewer when they take longer than `seconds`, never fewer than `least`. */
const ROUNDS = options.quick ? { most: 10, least: 3, seconds: 3 } : { most: 20, least: 5, seconds: 12 };
/** Notes in f32 up to so many words. */
const WORDS_IN_F32 = options.quick ? 0 : 1000;
const VISITS = options.quick ? 2 : 7;
const SECONDS_OF_READING = options.quick ? 10 : 60;

const folder = models();
const builds = wasm(options.builds.split(','));
const host = await open({ models: folder, wasm: join(OUT, 'wasm') });
async function bench() {
  const page = await host.newPage('/bench/');
  await page.waitForFunction('globalThis.bench');
  const machine = await page.evaluate(() => ({ isolated: bench.isolated, cores: bench.cores }));
  machine.cpu = cpus()[0].model;
  machine.browser = await host.browser.version();
  console.log(`${machine.browser}, ${machine.cpu}, ${machine.cores} cores, ${machine.isolated ? 'cross-origin isolated' : 'not isolated: the peers have one thread'}`);
  const rows = [];
  const graphs = {};
  const asked = (section) => sections.includes(section);
  for (const name of new Set([...(asked('encoder') ? names : []), DEFAULT])) graphs[name] = await chosen(page, name);
  if (asked('encoder')) for (const name of names) rows.push(...(await encoders(page, name, graphs[name])));
  if (asked('notes')) rows.push(...(await notes(page, graphs[DEFAULT])));
  await page.close();
  const files = { 'onnxruntime-web': host.requested('/1/onnxruntime-web/') };
  if (asked('startup') || asked('sizes')) rows.push(...(await visits(graphs[DEFAULT], files)));
  if (asked('memory') && platform() === 'linux') rows.push(...(await memory(graphs[DEFAULT])));
  const sizes = asked('sizes') ? printSizes(downloads(files)) : undefined;
  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, 'web.json'), `${JSON.stringify({ machine, graphs, rows, sizes }, null, 1)}\n`);
  writeFileSync(join(OUT, 'web.svg'), plot(rows));
  console.log('target/bench/web.json, target/bench/web.svg');
}

function vocabularyOf(name) {
  return JSON.parse(readFileSync(join(folder, name, 'f32/config.json'), 'utf8')).vocab_size;
}

/** The graphs that are fastest in onnxruntime-web here. */
async function chosen(page, name) {
  const graphs = await page.evaluate((plan) => bench.chooseGraphs(plan), { name, vocabulary: vocabularyOf(name) });
  for (const [dtype, { graph, minima }] of Object.entries(graphs)) {
    const tried = Object.entries(minima).map(([tried, times]) => `${tried} ${times.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
    console.log(`${name}: the peers' ${dtype} graph is ${graph} (128 and 512 tokens: ${tried.join(', ')})`);
  }
  return graphs;
}

async function encoders(page, name, graphs) {
  const withAddress = builds.map(({ build, file }) => ({ build, wasm: `/wasm/${file}` }));
  const plan = { name, vocabulary: vocabularyOf(name), lengths: LENGTHS, rounds: ROUNDS, graphs, builds: withAddress };
  const { agreement, rows } = await page.evaluate((plan) => bench.encoders(plan), plan);
  printAgreement(name, agreement);
  for (const { engine, dtype, threads, difference, relative } of agreement.engines) {
    const same = dtype === 'f32' ? difference <= SAME_MODEL * agreement.largest : relative <= SAME_INT8_MODEL;
    assert.ok(same, `${engine}, ${dtype}, ${threads} threads runs another model: the largest difference is ${difference}`);
  }
  return printTable(`${name}, encoder alone: ids in, logits out`, summarise('encoder', name, rows));
}

async function notes(page, graphs) {
  const plan = { name: DEFAULT, texts: WORDS.map(noteOf), rounds: ROUNDS, graphs, wordsInF32: WORDS_IN_F32 };
  const { rows } = await page.evaluate((plan) => bench.notes(plan), plan);
  return printTable(`${DEFAULT}, notes end to end: text in, entities out`, summarise('note', DEFAULT, rows));
}

/** The pages that want one entity, by engine. */
const startPages = (graphs) => [
  { engine: 'clinlite', threads: 1, path: `/bench/startup.html?engine=clinlite&model=${DEFAULT}&workers=1` },
  { engine: 'transformers.js', threads: 1, path: `/bench/startup.html?engine=transformers&model=${DEFAULT}&graph=${graphs.int8.graph}` },
];

/** First entity of a fresh visitor and of one who comes back. Adds what the fresh one downloads to `files`. */
async function visits(graphs, files) {
  const pages = startPages(graphs).map((page) => ({ ...page, cold: [], warm: [] }));
  for (let round = 0; round < VISITS; round++) {
    for (const { engine, path, cold, warm } of pages) {
      const visited = await host.visitTwice(path);
      cold.push(visited.cold);
      warm.push(visited.warm);
      files[engine] = visited.downloads;
    }
  }
  const measured = (visit) => pages.map((page) => ({ engine: page.engine, dtype: 'int8', threads: 1, length: visit, times: page[visit] }));
  return printTable(`${DEFAULT}, first entity after the visit began`, summarise('startup', DEFAULT, [...measured('cold'), ...measured('warm')]));
}

/** Memory of pages after three notes of 1,000 words and after many more, above that of a page without an engine. */
async function memory(graphs) {
  const empty = await memoryOf('/bench/startup.html?engine=nothing', 0);
  const rows = [];
  const two = { engine: 'clinlite', threads: 2, path: `/bench/startup.html?engine=clinlite&model=${DEFAULT}&workers=2` };
  for (const { engine, threads, path } of [two, ...startPages(graphs)]) {
    const { early, late, notes } = await memoryOf(path, SECONDS_OF_READING);
    const bytes = early.now - empty.early.now;
    rows.push({ kind: 'memory', engine, model: DEFAULT, dtype: 'int8', threads, bytes, bytes_later: late.now - empty.early.now, notes_later: notes, peak_bytes: late.most - empty.late.most });
  }
  return printMemory(rows);
}

/** Memory of a page in a browser of its own, after three notes and after reading for some seconds. */
async function memoryOf(path, seconds) {
  const alone = await open({ models: folder, wasm: join(OUT, 'wasm') });
  try {
    const page = await alone.newPage(path);
    await page.waitForFunction('globalThis.firstEntity');
    const reading = (...limits) => page.evaluate((note, limits) => read(note, ...limits), noteOf(1000), limits);
    await reading(3, 600);
    const early = await largestRenderer(alone.browser);
    const notes = await reading(10_000, seconds);
    return { early, late: await largestRenderer(alone.browser), notes };
  } finally {
    await alone.close();
  }
}

try {
  await bench();
} finally {
  await host.close();
}
