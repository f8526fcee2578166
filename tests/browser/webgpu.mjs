// What the graphics processor of every browser must show, in a worker and through the public interface: the answers of the CPU
// of the same page, every kernel compiled, the choice, and nothing lost when it goes away.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assertQuiet, loadFailure, ROOT } from './harness.mjs';
import { ARCHITECTURES, cases, openTiny } from './tiny.mjs';

/** Largest difference of two scores of the engines: the documents round to four places. */
const SAME = 2e-4;
/** The same for int8. */
const SAME_INT8 = 0.01;
/** The same for weights rounded to f16. */
const SAME_F16 = 1e-3;
const NOTE = 'No fever, no rash. Started aspirin for chest pain; CT of the chest showed pneumonia. '.repeat(12);
const NOTES = [NOTE, ...NOTE.split('. ').map((line) => `${line}.`), ''];
/** Random weights give a long text one label: each of these has a score of its own. */
const FEW = [NOTE, 'The patient denies chest pains.', 'Aspirin 81 mg, no fever (37.9)', 'SHORTNESS of breath with wheezing; started 20 mg', 'x'];
const KERNELS = join(ROOT, 'src/backend/webgpu/kernels');

/** Opens a browser for the tests of a file: `tiny`, its models and a page; `loose`, a page on which a worker may be another one. */
export function graphics(options) {
  const on = {};
  before(async () => {
    on.tiny = await openTiny(options);
    on.loose = await on.tiny.host.newPage({ path: '/without-policy.html' });
  });
  after(() => on.tiny?.host.close());
  return on;
}

const model = (name, task) => ({ model: `/models/${name}/`, task, backend: 'webgpu', allowSoftware: true });

/** The same answer, but for the engine and rounding. */
function assertSame(found, expected, what, tolerance = SAME) {
  const { engine: _, ...rest } = expected;
  const { engine, ...own } = found;
  assert.equal(engine.backend, 'webgpu', what);
  close(own, rest, what, tolerance);
}

function close(found, expected, what, tolerance) {
  if (typeof expected === 'number') return assert.ok(Math.abs(found - expected) <= tolerance, `${what}: ${found}, expected ${expected}`);
  if (typeof expected !== 'object' || expected === null) return assert.equal(found, expected, what);
  assert.deepEqual(Object.keys(found), Object.keys(expected), what);
  for (const [key, value] of Object.entries(expected)) close(found[key], value, `${what}.${key}`, tolerance);
}

/** The answers of the CPU, of which there must be something to compare. */
async function onCpu(tiny, options, notes) {
  await tiny.load({ ...options, backend: 'simd' });
  const documents = await tiny.ask('tag', notes.map((note) => [note]));
  assert.ok(documents[0].entities.length > 0);
  return documents;
}

// An emulation may take half a minute to compile the kernels: each test opens as few devices as it can.

/** In the page: reads many notes at once; also says what was compiled for it. */
async function together({ options, notes }) {
  const { load } = await import('/pkg/dist/index.js');
  const workerFactory = () => new Worker('/tests/gpu.js?fault=watched', { type: 'module' });
  const tagger = await load({ ...options, workerFactory });
  const documents = await Promise.all(notes.map((note) => tagger.tag(note)));
  const channel = new BroadcastChannel('kernels');
  const compiled = await new Promise((resolve) => {
    channel.onmessage = ({ data }) => resolve(data);
    channel.postMessage('which');
  });
  channel.close();
  tagger.dispose();
  return { engine: tagger.engine, documents, compiled };
}

/** Every file that holds a kernel was compiled without an error. */
function assertAllCompiled(compiled) {
  const files = readdirSync(KERNELS).filter((file) => file.endsWith('.wgsl'));
  const kernels = files.filter((file) => readFileSync(join(KERNELS, file), 'utf8').includes('@compute'));
  const names = new Set(compiled.map(({ name }) => `${name}.wgsl`));
  assert.deepEqual(kernels.filter((file) => !names.has(file)), [], 'not compiled');
  assert.deepEqual(compiled.flatMap(({ name, errors }) => errors.map((error) => `${name}: ${error}`)), []);
}

/** Every architecture, in f32 and in int8. */
export const EVERY_MODEL = ARCHITECTURES.flatMap((name) => [name, `${name}-int8`]);

/** The answers of the CPU: of these models as taggers, and of a relation model. */
export function sameAnswers(on, models) {
  describe('the same answers as the CPU', () => {
    test('of a tagger, many notes at once; and every kernel compiles', async () => {
      const expected = await onCpu(on.tiny, model('bert-bio'), NOTES);
      const { engine, documents, compiled } = await on.loose.page.evaluate(together, { options: model('bert-bio'), notes: NOTES });
      assert.deepEqual([engine.backend, engine.reason], ['webgpu', 'asked for']);
      documents.forEach((document, i) => assertSame(document, expected[i], `note ${i}`));
      assertAllCompiled(compiled);
    });

    for (const name of models) {
      const isInt8 = name.endsWith('-int8');
      // In int8 a number that is rounded the other way here and there moves what follows it.
      test(`of ${name}`, async () => {
        if (isInt8) on.tiny.pack(name, name.replace('-int8', ''));
        const expected = await onCpu(on.tiny, model(name), FEW);
        await on.tiny.load(model(name));
        const found = await on.tiny.ask('tag', FEW.map((note) => [note]));
        found.forEach((document, i) => assertSame(document, expected[i], `note ${i}`, isInt8 ? SAME_INT8 : SAME));
      });
    }

    test('of a relation model and its tagger, a MobileBERT, each on a device of its own', async () => {
      const options = { ...model('relation', 'relation'), tagger: '/models/mobilebert-token/' };
      const given = cases('relation').map(({ text, entities }) => [text, entities]);
      const asked = [...given, [given[0][0]]]; // the last one's entities are found by the tagger
      await on.tiny.load({ ...options, backend: 'simd' });
      const expected = await on.tiny.ask('relate', asked);
      assert.ok(expected.at(-1).entities.length > 0);
      await on.tiny.load(options);
      (await on.tiny.ask('relate', asked)).forEach((document, i) => assertSame(document, expected[i], `question ${i}`));
    });
  });
}

/** Weights rounded to f16, on a graphics processor that has `shader-f16`. */
export function sameInF16(on) {
  describe('with weights in f16', () => {
    for (const name of ARCHITECTURES) {
      test(`${name} answers as the CPU does with its own`, async () => {
        const expected = await onCpu(on.tiny, model(name), FEW);
        const options = { ...model(name), precision: 'f16' };
        const { documents, compiled } = await on.loose.page.evaluate(together, { options, notes: FEW });
        documents.forEach((document, i) => assertSame(document, expected[i], `note ${i}`, SAME_F16));
        const inF16 = compiled.filter(({ code }) => code.startsWith('enable f16;')).map(({ name }) => name);
        assert.deepEqual([...new Set(inF16)].sort(), ['linear', 'linear_small']);
        assert.deepEqual(compiled.flatMap(({ errors }) => errors), []);
      });
    }
  });
}

/** What is said on one that has not. */
export function refusesF16(on) {
  test('f16 is refused without shader-f16, or the CPU computes and says why', async () => {
    const options = { ...model('bert-bio'), precision: 'f16' };
    assert.equal((await loadFailure(on.tiny.page, options)).code, 'E_GPU_LIMITS');
    const { engine } = await on.tiny.load({ ...options, backend: 'auto' });
    assert.equal(engine.backend, 'simd');
    assert.match(engine.reason, /shader-f16/);
  });
}

/** Which engine computes and why; `without` opens a browser that offers no adapter and takes insecure.test for this machine. */
export function choices(on, without) {
  describe('the choice', () => {
    test('is the result of a trial', async () => {
      const { engine } = await on.tiny.load({ ...model('bert-bio'), backend: 'auto' });
      assert.match(engine.reason, /^faster than (simd|webgpu) in a trial$/);
      const [{ engine: said }] = await on.tiny.ask('tag', [[NOTE]]);
      assert.deepEqual(said, engine);
    });

    test('an emulation counts as none unless it is asked for', async () => {
      const { engine } = await on.tiny.load({ model: '/models/bert-bio/', backend: 'auto' });
      assert.equal(engine.backend, 'simd');
      assert.match(engine.reason, /software/);
      const { code } = await loadFailure(on.tiny.page, { model: '/models/bert-bio/', backend: 'webgpu' });
      assert.equal(code, 'E_SOFTWARE_ADAPTER');
    });

    test('another engine or precision is E_INPUT', async () => {
      for (const other of [{ backend: 'cuda' }, { precision: 'f64' }]) {
        assert.equal((await loadFailure(on.tiny.page, { model: '/models/bert-bio/', ...other })).code, 'E_INPUT');
      }
    });

    test('without an adapter, and without a secure context, the CPU computes and says why', async () => {
      const plain = await openTiny(without);
      try {
        const { engine } = await plain.load({ model: '/models/bert-bio/', backend: 'auto' });
        assert.equal(engine.backend, 'simd');
        assert.match(engine.reason, /adapter/);
        assert.equal((await loadFailure(plain.page, { model: '/models/bert-bio/', backend: 'webgpu' })).code, 'E_NO_ADAPTER');
        await plain.page.goto(`${plain.host.address.replace('localhost', 'insecure.test')}/tests/blank.html`);
        const insecure = await plain.load({ model: '/models/bert-bio/', backend: 'auto' });
        assert.match(insecure.engine.reason, /secure context/);
      } finally {
        await plain.host.close();
      }
    });
  });
}

/** In the page: loads a model whose first worker has a fault, reads a note, then another; what was seen. */
async function misbehave({ fault, after = 0, later = '/pkg/dist/worker.js', note, options }) {
  const { load } = await import('/pkg/dist/index.js');
  const engines = [];
  const addresses = [`/tests/gpu.js?fault=${fault}&after=${after}`];
  const workerFactory = () => new Worker(addresses.pop() ?? later, { type: 'module' });
  const tagger = await load({ model: '/models/bert-bio/', backend: 'auto', allowSoftware: true, ...options, workerFactory, onEngine: ({ backend }) => engines.push(backend) });
  const loaded = tagger.engine;
  const first = await tagger.tag(note);
  for (let end = Date.now() + 150_000; engines.length === 1 && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
  const second = await tagger.tag(note);
  const { engine } = tagger;
  tagger.dispose();
  return { loaded, first, second, engines, engine };
}

/** In the page: the code of what loading a model throws whose graphics processor is asked for and has a fault. */
async function refusal(fault) {
  const { load } = await import('/pkg/dist/index.js');
  const workerFactory = () => new Worker(`/tests/gpu.js?fault=${fault}`, { type: 'module' });
  const failed = await load({ model: '/models/bert-bio/', backend: 'webgpu', allowSoftware: true, workerFactory }).catch((error) => error);
  return failed.code;
}

/** Nothing is lost when the graphics processor fails. */
export function failures(on) {
  describe('a graphics processor that fails', () => {
    let expected;

    before(async () => {
      [expected] = await onCpu(on.tiny, model('bert-bio'), [NOTE]);
    });

    const entities = ({ entities }) => entities.map(({ start, end, label }) => ({ start, end, label }));

    for (const fault of ['shader', 'limits']) {
      test(`${fault}: the CPU from the start`, async () => {
        const { loaded, first } = await on.loose.page.evaluate(misbehave, { fault, note: NOTE });
        assert.equal(loaded.backend, 'simd');
        assert.ok(loaded.reason.length > 10, loaded.reason);
        assert.deepEqual(first.entities, expected.entities);
        assert.match(await on.loose.page.evaluate(refusal, fault), /^E_(SHADER|GPU_LIMITS)$/);
      });
    }

    // The first submission warms up, the second is that of the note.
    test('lost in the middle of a note: the CPU finishes it, the page is told, and the device comes back', async () => {
      const seen = await on.loose.page.evaluate(misbehave, { fault: 'lost', after: 2, note: NOTE, options: { backend: 'webgpu' } });
      assert.deepEqual(entities(seen.first), entities(expected));
      assert.equal(seen.first.engine.backend, 'simd');
      assert.match(seen.first.engine.reason, /^webgpu: .*lost/);
      assert.deepEqual(seen.engines, ['simd', 'webgpu']);
      assert.equal(seen.engine.backend, 'webgpu');
      assert.equal(seen.second.engine.backend, 'webgpu');
      assert.deepEqual(entities(seen.second), entities(expected));
    });

    test('out of memory while the model is laid on it: the CPU computes', async () => {
      const { loaded, first, second } = await on.loose.page.evaluate(misbehave, { fault: 'memory', after: 1000, note: NOTE });
      assert.equal(loaded.backend, 'simd');
      for (const document of [first, second]) assert.deepEqual(document.entities, expected.entities);
    });
  });
}

/** The last test of a file. */
export function silence(on) {
  test('and nothing was said on the console', () => assertQuiet(on.tiny.seen));
}
