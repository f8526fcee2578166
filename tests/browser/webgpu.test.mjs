// The graphics processor in Chromium's own emulation: the same answers, and nothing lost when it goes away.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertQuiet, loadFailure } from './harness.mjs';
import { cases, openTiny } from './tiny.mjs';

const GPU = ['--enable-unsafe-webgpu'];
/** Largest difference of two scores of the engines: the documents round to four places. */
const SAME = 2e-4;
/** The same for int8. */
const SAME_INT8 = 0.01;
const NOTE = 'No fever, no rash. Started aspirin for chest pain; CT of the chest showed pneumonia. '.repeat(12);

let tiny;
let loose; // a page on which a worker may be another one

before(async () => {
  tiny = await openTiny({ flags: GPU });
  loose = await tiny.host.newPage({ path: '/without-policy.html' });
});
after(() => tiny.host.close());

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

// An emulation takes half a minute to compile the kernels: each test opens as few devices as it can.

/** In the page: loads a model whose first worker has a fault, reads a note, then another; what was seen. */
async function misbehave({ fault, after = 0, later = '/pkg/worker.js', note, options }) {
  const { load } = await import('/pkg/index.js');
  const engines = [];
  const addresses = [`/tests/gpu.js?fault=${fault}&after=${after}`];
  const workerFactory = () => new Worker(addresses.pop() ?? later, { type: 'module' });
  const tagger = await load({ model: '/models/bert-bio/', backend: 'auto', allowSoftware: true, ...options, workerFactory, onEngine: ({ backend }) => engines.push(backend) });
  const loaded = tagger.engine;
  const first = await tagger.tag(note);
  for (let end = Date.now() + 60_000; engines.length === 1 && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
  const second = await tagger.tag(note);
  const { engine } = tagger;
  tagger.dispose();
  return { loaded, first, second, engines, engine };
}

/** In the page: the code of what loading a model throws whose graphics processor is asked for and has a fault. */
async function refusal(fault) {
  const { load } = await import('/pkg/index.js');
  const workerFactory = () => new Worker(`/tests/gpu.js?fault=${fault}`, { type: 'module' });
  const failed = await load({ model: '/models/bert-bio/', backend: 'webgpu', allowSoftware: true, workerFactory }).catch((error) => error);
  return failed.code;
}

describe('the same answers as the CPU', () => {
  test('of a tagger, many notes at once', async () => {
    const notes = [NOTE, ...NOTE.split('. ').map((line) => `${line}.`), ''];
    await tiny.load({ ...model('bert-bio'), backend: 'simd' });
    const expected = await tiny.ask('tag', notes.map((note) => [note]));
    const { engine } = await tiny.load(model('bert-bio'));
    assert.deepEqual([engine.backend, engine.reason], ['webgpu', 'asked for']);
    const found = await tiny.page.evaluate((notes) => Promise.all(notes.map((note) => globalThis.loaded.tag(note))), notes);
    found.forEach((document, i) => assertSame(document, expected[i], `note ${i}`));
  });

  test('of a relation model and its tagger, each on a device of its own', async () => {
    const options = { ...model('relation', 'relation'), tagger: '/models/bert-bio/' };
    const asked = cases('relation').map(({ text, entities }) => [text, entities]);
    await tiny.load({ ...options, backend: 'simd' });
    const expected = await tiny.ask('relate', asked);
    await tiny.load(options);
    (await tiny.ask('relate', asked)).forEach((document, i) => assertSame(document, expected[i], `question ${i}`));
    const [found] = await tiny.ask('relate', [[asked[0][0]]]);
    assert.equal(found.engine.backend, 'webgpu');
  });

  test('of an int8 model, but for attention, which the CPU sums in integers', async () => {
    tiny.pack('bert-int8', 'bert-bio');
    await tiny.load({ ...model('bert-int8'), backend: 'simd' });
    const [expected] = await tiny.ask('tag', [[NOTE]]);
    await tiny.load(model('bert-int8'));
    assertSame((await tiny.ask('tag', [[NOTE]]))[0], expected, 'int8', SAME_INT8);
  });
});

describe('the choice', () => {
  test('is the result of a trial', async () => {
    const { engine } = await tiny.load({ ...model('bert-bio'), backend: 'auto' });
    assert.match(engine.reason, /^faster than (simd|webgpu) in a trial$/);
    const [{ engine: said }] = await tiny.ask('tag', [[NOTE]]);
    assert.deepEqual(said, engine);
  });

  test('an emulation counts as none unless it is asked for', async () => {
    const { engine } = await tiny.load({ model: '/models/bert-bio/', backend: 'auto' });
    assert.equal(engine.backend, 'simd');
    assert.match(engine.reason, /software/);
    const { code } = await loadFailure(tiny.page, { model: '/models/bert-bio/', backend: 'webgpu' });
    assert.equal(code, 'E_SOFTWARE_ADAPTER');
  });

  test('another engine is E_INPUT', async () => {
    assert.equal((await loadFailure(tiny.page, { model: '/models/bert-bio/', backend: 'cuda' })).code, 'E_INPUT');
  });

  test('without an adapter, and without a secure context, the CPU computes and says why', async () => {
    const plain = await openTiny({ flags: ['--host-resolver-rules=MAP insecure.test 127.0.0.1'] });
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

describe('a graphics processor that fails', () => {
  let expected;

  before(async () => {
    await tiny.load({ model: '/models/bert-bio/' });
    [expected] = await tiny.ask('tag', [[NOTE]]);
  });

  const entities = ({ entities }) => entities.map(({ start, end, label }) => ({ start, end, label }));

  for (const fault of ['shader', 'limits']) {
    test(`${fault}: the CPU from the start`, async () => {
      const { loaded, first } = await loose.page.evaluate(misbehave, { fault, note: NOTE });
      assert.equal(loaded.backend, 'simd');
      assert.ok(loaded.reason.length > 10, loaded.reason);
      assert.deepEqual(first.entities, expected.entities);
      assert.match(await loose.page.evaluate(refusal, fault), /^E_(SHADER|GPU_LIMITS)$/);
    });
  }

  // The first submission warms up, the second is that of the note.
  test('lost in the middle of a note: the CPU finishes it, the page is told, and the device comes back', async () => {
    const seen = await loose.page.evaluate(misbehave, { fault: 'lost', after: 2, note: NOTE, options: { backend: 'webgpu' } });
    assert.deepEqual(entities(seen.first), entities(expected));
    assert.equal(seen.first.engine.backend, 'simd');
    assert.match(seen.first.engine.reason, /^webgpu: .*lost/);
    assert.deepEqual(seen.engines, ['simd', 'webgpu']);
    assert.equal(seen.engine.backend, 'webgpu');
    assert.equal(seen.second.engine.backend, 'webgpu');
    assert.deepEqual(entities(seen.second), entities(expected));
  });

  test('out of memory while the model is laid on it: the CPU computes', async () => {
    const { loaded, first, second } = await loose.page.evaluate(misbehave, { fault: 'memory', after: 1000, note: NOTE });
    assert.equal(loaded.backend, 'simd');
    for (const document of [first, second]) assert.deepEqual(document.entities, expected.entities);
  });
});

test('and nothing was said on the console', () => assertQuiet(tiny.seen));
