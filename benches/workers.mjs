// The package in Chromium: one worker beside two on a note of 1,000 words, and a cold start to the first entity.
// `node benches/workers.mjs [ROUNDS] [FOLDER]`; FOLDER is another built `pkg`, whose cold start is measured beside this one's.
// Everything is interleaved; the ratios of the rounds are what to read on a machine that does other things too.

import { cpus } from 'node:os';
import { join } from 'node:path';
import { MODEL, open, ROOT } from '../tests/browser/harness.mjs';
import { longNote } from '../tests/browser/notes.mjs';

const rounds = Number(process.argv[2] ?? 10);
const other = process.argv[3];

const sorted = (values) => [...values].sort((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)];
const row = (name, values) => console.log(`${name.padEnd(28)} median ${median(values).toFixed(1).padStart(7)} ms   minimum ${Math.min(...values).toFixed(1).padStart(7)} ms   n ${values.length}`);
function ratio(name, [slow, fast]) {
  const ratios = sorted(slow.map((time, i) => time / fast[i]));
  console.log(`${name}: ${median(ratios).toFixed(2)} (${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)}), of the minima ${(Math.min(...slow) / Math.min(...fast)).toFixed(2)}`);
}

/** Milliseconds a note for taggers of one and of two workers, in turn, and the longest that the page waited for a frame meanwhile. */
async function workers() {
  const host = await open();
  const { page } = await host.newPage({ path: '/tests/blank.html' });
  const { times, frames, memory, kernels, windows } = await page.evaluate(async (model, note, rounds) => {
    const { load } = await import('/pkg/dist/index.js');
    const taggers = [await load({ model, workers: 1 }), await load({ model, workers: 2 })];
    const [times, frames] = [taggers.map(() => []), taggers.map(() => [])];
    let [windows, longest, last] = [0, 0, performance.now()];
    const frame = (now) => {
      [longest, last] = [Math.max(longest, now - last), now];
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    for (let round = -3; round < rounds; round++) {
      for (const [i, tagger] of taggers.entries()) {
        longest = 0;
        const before = performance.now();
        windows = (await tagger.tag(note)).coverage.windows;
        const after = performance.now();
        await new Promise(requestAnimationFrame); // the last frame, too
        if (round < 0) continue;
        times[i].push(after - before);
        frames[i].push(longest);
      }
    }
    return { times, frames, windows, kernels: taggers[0].kernels, memory: await Promise.all(taggers.map((tagger) => tagger.memory())) };
  }, `/models/${MODEL}/`, longNote(1000), rounds);
  await host.close();
  console.log(`1,000 words, ${windows} windows, ${kernels}, ${cpus().length} cores (${cpus()[0].model})`);
  times.forEach((of, i) => row(`${i + 1} worker${i ? 's' : ''}`, of));
  ratio('one worker / two', times);
  frames.forEach((of, i) => row(`longest frame, ${i + 1} worker${i ? 's' : ''}`, of));
  console.log(`WebAssembly memory: ${memory.map((of) => of.map((bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`).join(' + ')).join('; ')}\n`);
}

/** Milliseconds from importing the package at `pkg` to the first entity, in a browser that has never seen it. */
async function coldStart(pkg) {
  const host = await open({ pkg });
  const { page } = await host.newPage({ path: '/tests/blank.html' });
  const times = await page.evaluate(async (model) => {
    const before = performance.now();
    const { load } = await import('/pkg/dist/index.js');
    const tagger = await load({ model });
    const ready = performance.now();
    const { entities } = await tagger.tag('Admitted with pneumonia and treated with ceftriaxone.');
    if (!entities.length) throw new Error('no entity');
    return { ready: ready - before, first: performance.now() - before };
  }, `/models/${MODEL}/`);
  await host.close();
  return times;
}

async function starts() {
  const packages = [join(ROOT, 'pkg'), ...(other ? [other] : [])];
  const times = packages.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, pkg] of packages.entries()) times[i].push(await coldStart(pkg));
  }
  console.log('cold start, from importing the package');
  packages.forEach((pkg, i) => {
    for (const until of ['ready', 'first']) row(`${i ? 'other' : 'this'}: ${until === 'ready' ? 'model ready' : 'first entity'}`, times[i].map((time) => time[until]));
  });
  if (other) ratio('first entity, other / this', [times[1], times[0]].map((of) => of.map(({ first }) => first)));
}

await workers();
await starts();
