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
import { longNote } from '../../tests/browser/notes.mjs';
import { open } from './host.mjs';
import { largestRenderer } from './memory.mjs';
import { plot } from './plot.mjs';
import { models, OUT, wasm } from './prepare.mjs';
import { printAgreement, printMemory, printSizes, printTable, summarise } from './report.mjs';
import { downloads } from './sizes.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'encoder,notes,startup,memory,sizes' },
    models: { type: 'string', default: '4x312,6x384,6x768' },
    builds: { type: 'string', default: 'simd128' },
  },
});
const sections = options.only.split(',');
const names = options.models.split(',');

/** The default model, which notes, startup and memory are about. */
const DEFAULT = '6x384';
/** Largest difference of two `f32` encoders, relative to the largest logit: they run the same model, or the bench ends. */
const SAME_MODEL = 1e-4;
/** Root of the squared errors of an int8 encoder over that of the logits: rounding, not another model. */
const SAME_INT8_MODEL = 0.3;

const LENGTHS = options.quick ? [128, 512] : [64, 128, 256, 512];
const WORDS = options.quick ? [300, 1000] : [300, 1000, 5000];
const ROUNDS = options.quick ? { most: 10, least: 3, seconds: 4 } : { most: 20, least: 5, seconds: 20 };
const VISITS = options.quick ? 3 : 7;

const folder = models();
const builds = wasm(options.builds.split(','));
const host = await open({ models: folder, wasm: join(OUT, 'wasm') });
try {
  await bench();
} finally {
  await host.close();
}

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
  const ofOnnxruntime = host.requested('/1/onnxruntime-web/');
  const visits = await visit(graphs[DEFAULT], { 'onnxruntime-web': ofOnnxruntime });
  rows.push(...visits.rows);
  if (sections.includes('sizes')) printSizes(visits.sizes);
  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, 'web.json'), `${JSON.stringify({ machine, graphs, rows, sizes: visits.sizes }, null, 1)}\n`);
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
    const tried = Object.entries(minima).map(([tried, ms]) => `${tried} ${ms.toFixed(1)} ms`).join(', ');
    console.log(`${name}: the peers' ${dtype} graph is ${graph} (128 tokens: ${tried})`);
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
  const plan = { name: DEFAULT, texts: WORDS.map((words) => longNote(words)), rounds: ROUNDS, graphs };
  const { rows } = await page.evaluate((plan) => bench.notes(plan), plan);
  return printTable(`${DEFAULT}, notes end to end: text in, entities out`, summarise('note', DEFAULT, rows));
}

/** First entity of a fresh visitor and of one who comes back; what was downloaded; memory. */
async function visit(graphs, sizes) {
  const engines = [
    { engine: 'clinlite', query: `engine=clinlite&model=${DEFAULT}` },
    { engine: 'transformers.js', query: `engine=transformers&model=${DEFAULT}&graph=${graphs.int8.graph}` },
  ];
  const rows = [];
  const times = engines.map(() => ({ cold: [], warm: [] }));
  const wanted = sections.includes('startup') ? VISITS : 1;
  for (let round = 0; round < wanted; round++) {
    for (const [i, { engine, query }] of engines.entries()) {
      const first = await host.visitTwice(`/bench/startup.html?${query}`);
      times[i].cold.push(first.cold);
      times[i].warm.push(first.warm);
      sizes[engine] = first.downloads;
    }
  }
  if (sections.includes('startup')) {
    const measured = ['cold', 'warm'].flatMap((visit) => engines.map(({ engine }, i) => ({ engine, dtype: 'int8', threads: 1, length: visit, times: times[i][visit] })));
    rows.push(...printTable(`${DEFAULT}, first entity after the visit began`, summarise('startup', DEFAULT, measured)));
  }
  if (sections.includes('memory') && platform() === 'linux') rows.push(...(await memory(engines)));
  return { rows, sizes: sections.includes('sizes') ? downloads(sizes) : undefined };
}

/** Memory of pages after three notes of 1,000 words and after many more, above that of a page without an engine. */
async function memory(engines) {
  const many = options.quick ? 20 : 200;
  const measure = async (query) => {
    const alone = await open({ models: folder, wasm: join(OUT, 'wasm') });
    const page = await alone.newPage(`/bench/startup.html?${query}`);
    await page.waitForFunction('globalThis.firstEntity');
    const after = async (times) => {
      await page.evaluate((note, times) => read(note, times), longNote(1000), times);
      return largestRenderer(alone.browser);
    };
    const measured = [await after(3), await after(many)];
    await alone.close();
    return measured;
  };
  const [empty] = await measure('engine=nothing');
  const rows = [];
  for (const { engine, query } of engines) {
    const [few, later] = await measure(query);
    const above = (memory) => ({ now: memory.now - empty.now, most: memory.most - empty.most });
    rows.push({ kind: 'memory', engine, model: DEFAULT, dtype: 'int8', threads: 1, bytes: above(few).now, peak_bytes: above(later).most, bytes_later: above(later).now, notes_later: many });
  }
  return printMemory(rows);
}
