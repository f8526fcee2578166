// Several workers: the same documents as of one, whatever dies; memory that stays; the ends of all of them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertQuiet, loadTagger, MODEL, until } from './harness.mjs';
import { longNote } from './notes.mjs';
import { cases, openTiny } from './tiny.mjs';
import { best } from '../../pkg/pool.js';

/** Notes that the memory test reads; CLINLITE_NOTES=10000 takes minutes. */
const NOTES = Number(process.env.CLINLITE_NOTES ?? 300);
const NOTE = longNote(500);
const TAGGER = `/models/${MODEL}/`;

let tiny;
let page;
let seen;

before(async () => {
  tiny = await openTiny();
  ({ page, seen } = tiny);
});
after(() => tiny.host.close());

/** In the page: the document of a note as JSON, and how it came about. */
async function tag(note) {
  const progress = [];
  const document = await globalThis.tagger.tag(note, { onProgress: (event) => progress.push(event) });
  return { document: JSON.stringify(document), progress, held: (await globalThis.tagger.memory()).length, requests: await globalThis.tagger.requests() };
}

let alone; // the document of NOTE by one worker

describe('the same documents', () => {
  test('one worker', async () => {
    await loadTagger(page, { workers: 1 });
    const { document, held } = await page.evaluate(tag, NOTE);
    alone = document;
    assert.equal(held, 1);
    assert.ok(JSON.parse(alone).coverage.windows > 8 && JSON.parse(alone).entities.length > 30);
  });

  for (const workers of [2, 3]) {
    test(`${workers} workers: byte for byte, in order, without a request`, async () => {
      await loadTagger(page, { workers });
      const requests = tiny.host.served.length;
      await page.evaluate(tag, NOTE); // the others take the model in meanwhile
      await page.waitForFunction(async (workers) => (await globalThis.tagger.memory()).length === workers, {}, workers);
      const { document, progress, requests: made } = await page.evaluate(tag, NOTE);
      assert.equal(document, alone);
      const { windows } = JSON.parse(document).coverage;
      assert.deepEqual(progress, Array.from({ length: windows }, (_, i) => ({ stage: 'tag', done: i + 1, windows })));
      assert.equal(tiny.host.served.length, requests, 'no request after load');
      assert.equal(made.sinceReady, 0);
    });
  }

  test('a short note is not worth a second worker', async () => {
    await loadTagger(page, { workers: 3 });
    const { held } = await page.evaluate(tag, 'Patient has pneumonia.');
    assert.equal(held, 1);
    assert.equal(page.workers().length, 3, 'whose scripts wait');
  });

  const asked = (method, { text, entities, premise, hypothesis }) => ({ classify: [text], infer: [premise, hypothesis], relate: [text, entities] })[method];
  const long = 'No fever, no rash 😀.\r\n'.repeat(400);
  const entities = Array.from({ length: 400 }, (_, i) => ({ start: 3 + 23 * i, end: 8 + 23 * i, label: i % 2 ? 'DRUG' : 'EFFECT' }));
  const questions = { classify: ['classify', [long]], nli: ['infer', [long, 'No rash.']], relation: ['relate', [long, entities, { none: true }]] };
  for (const [task, [method, given]] of Object.entries(questions)) {
    test(`${task}: three workers as one`, async () => {
      const documents = [];
      for (const workers of [1, 3]) {
        await tiny.load({ model: `/models/${task}/`, task, workers });
        for (let held = 0, rounds = 0; held < workers; held = await page.evaluate(async () => (await globalThis.loaded.memory()).length)) {
          assert.ok(rounds++ < 50, `${held} of ${workers} workers have come`);
          await tiny.ask(method, [given]);
        }
        documents.push(await tiny.ask(method, [given, ...cases(task).map((stored) => asked(method, stored))]));
      }
      assert.deepEqual(documents[1], documents[0]);
    });
  }

  test('many short notes at once', async () => {
    await loadTagger(page, { workers: 3 });
    const answers = await page.evaluate(async () => {
      const notes = Array.from({ length: 24 }, (_, i) => `Day ${i}: fever and pneumonia, given aspirin ${i} mg.`);
      const results = await Promise.all(notes.map((note) => globalThis.tagger.tag(note)));
      const apart = [];
      for (const note of notes) apart.push(await globalThis.tagger.tag(note));
      return [results, apart].map((list) => JSON.stringify(list));
    });
    assert.equal(answers[0], answers[1]);
  });
});

test('how many workers are best', () => {
  const [tiny, base] = [16e6, 66e6];
  const cases = [
    [tiny, { hardwareConcurrency: 8, deviceMemory: 8 }, 4],
    [tiny, { hardwareConcurrency: 4, deviceMemory: 8 }, 3],
    [tiny, { hardwareConcurrency: 3, deviceMemory: 8 }, 2],
    [tiny, { hardwareConcurrency: 2, deviceMemory: 8 }, 2],
    [tiny, { hardwareConcurrency: 1, deviceMemory: 8 }, 1],
    [tiny, { hardwareConcurrency: 8, deviceMemory: 4 }, 3],
    [tiny, { hardwareConcurrency: 8, deviceMemory: 2 }, 1],
    [base, { hardwareConcurrency: 8, deviceMemory: 8 }, 2],
    [base, { hardwareConcurrency: 8, deviceMemory: 4 }, 1],
    [tiny, { hardwareConcurrency: 8, maxTouchPoints: 5 }, 1], // an iPad, which does not tell its memory
    [tiny, { hardwareConcurrency: 8, maxTouchPoints: 0 }, 4], // a desktop that does not
    [tiny, {}, 1],
  ];
  for (const [bytes, machine, expected] of cases) assert.equal(best(bytes, machine), expected, JSON.stringify([bytes, machine]));
});

describe('a worker that dies', () => {
  let loose;
  before(async () => {
    const opened = await tiny.host.newPage({ path: '/without-policy.html' });
    loose = opened.page;
    loose.seen = opened.seen;
    await loose.evaluate(install);
  });
  after(() => assertQuiet({ ...loose.seen, requests: [] }));

  /** In the page: `live` workers by number, and two ways to end one: in silence, as the browser does, or with an event. */
  function install() {
    globalThis.made = [];
    globalThis.workerFactory = () => {
      globalThis.made.push(new Worker('/pkg/dist/worker.js', { type: 'module' }));
      return globalThis.made.at(-1);
    };
    globalThis.kill = (number, loudly) => {
      const worker = globalThis.made[number];
      if (loudly) worker?.dispatchEvent(new ErrorEvent('error', { cancelable: true }));
      else worker?.terminate();
    };
    globalThis.fresh = async (options) => {
      const { load } = await import('/pkg/dist/index.js');
      globalThis.tagger?.dispose();
      globalThis.made = [];
      globalThis.tagger = await load({ workerFactory: globalThis.workerFactory, backend: 'simd', ...options });
    };
  }

  for (const loudly of [true, false]) {
    const manner = loudly ? 'with an error' : 'in silence';

    test(`${manner}, while the model comes in`, async () => {
      for (const stage of ['download', 'prepare']) {
        const { document, workers } = await loose.evaluate(async (model, note, loudly, stage) => {
          let isKilled = false;
          const onProgress = (progress) => {
            if (isKilled || progress.stage !== stage) return;
            isKilled = true;
            globalThis.kill(0, loudly);
          };
          await globalThis.fresh({ model, workers: 2, onProgress });
          return { document: JSON.stringify(await globalThis.tagger.tag(note)), workers: globalThis.made.length };
        }, TAGGER, NOTE, loudly, stage);
        assert.equal(document, alone);
        assert.ok(workers >= 2, `${workers} workers`);
      }
    });

    test(`${manner}, while it judges a window; every one of them in turn`, async () => {
      for (const workers of [1, 2, 3]) {
        const documents = await loose.evaluate(async (model, note, loudly, workers) => {
          await globalThis.fresh({ model, workers });
          const documents = [];
          for (let victim = 0; victim < 3; victim++) {
            const onProgress = ({ done }) => done === victim + 1 && globalThis.kill(globalThis.made.length - 1 - (victim % workers), loudly);
            documents.push(JSON.stringify(await globalThis.tagger.tag(note, { onProgress })));
          }
          return documents;
        }, TAGGER, NOTE, loudly, workers);
        for (const document of documents) assert.equal(document, alone);
      }
    });

    test(`${manner}, at any moment of a note`, async () => {
      const documents = await loose.evaluate(async (model, note, loudly) => {
        await globalThis.fresh({ model, workers: 2 });
        const documents = [];
        for (const delay of [0, 1, 3, 7, 20, 45, 90, 150]) {
          setTimeout(() => globalThis.kill(globalThis.made.length - 1 - (delay % 2), loudly), delay);
          documents.push(JSON.stringify(await globalThis.tagger.tag(note)));
        }
        return documents;
      }, TAGGER, NOTE, loudly);
      for (const document of documents) assert.equal(document, alone);
    });

    test(`${manner}, between two notes`, async () => {
      for (const workers of [1, 2]) {
        const document = await loose.evaluate(async (model, note, loudly, workers) => {
          await globalThis.fresh({ model, workers });
          await globalThis.tagger.tag(note);
          for (const number of globalThis.made.keys()) globalThis.kill(number, loudly);
          return JSON.stringify(await globalThis.tagger.tag(note));
        }, TAGGER, NOTE, loudly, workers);
        assert.equal(document, alone);
      }
    });
  }

  test('the replacement has the model from the first one: only its script is fetched', async () => {
    await loose.evaluate((model) => globalThis.fresh({ model, workers: 1 }), TAGGER);
    await new Promise((resolve) => setTimeout(resolve, 1500)); // by then the first one has set the files aside
    const before = tiny.host.served.length;
    const { sinceReady, document } = await loose.evaluate(async (note) => {
      globalThis.kill(0, true);
      const document = JSON.stringify(await globalThis.tagger.tag(note));
      return { document, ...(await globalThis.tagger.requests()) };
    }, NOTE);
    assert.equal(document, alone);
    const fetched = tiny.host.served.slice(before);
    assert.deepEqual(fetched.filter((url) => !url.startsWith('/pkg/') || url.endsWith('.wasm')), []);
    assert.ok(sinceReady > 0, 'and it is counted');
  });

  test('dying again and again at one note is E_INTERNAL, and the next note is answered', async () => {
    const outcomes = await loose.evaluate(async (model) => {
      await globalThis.fresh({ model, workers: 1 });
      const original = globalThis.made[0].postMessage;
      Worker.prototype.postMessage = function (message, ...rest) {
        original.call(this, message, ...rest);
        if (message.asked?.note === 'poison') this.dispatchEvent(new ErrorEvent('error', { cancelable: true }));
      };
      const outcome = (note) => globalThis.tagger.tag(note).then(({ entities }) => entities.length, ({ code, message }) => [code, message]);
      const outcomes = [await outcome('poison'), await outcome('Patient has pneumonia.'), globalThis.made.length];
      Worker.prototype.postMessage = original;
      return outcomes;
    }, TAGGER);
    assert.deepEqual(outcomes, [['E_INTERNAL', 'a worker stopped unexpectedly'], 1, 4]);
  });
});

describe('ending', () => {
  test('cancel between windows: three workers go on with the next note', async () => {
    await loadTagger(page, { workers: 3 });
    await page.evaluate(tag, NOTE);
    const answer = await page.evaluate(async (note) => {
      const stop = new AbortController();
      const done = [];
      const onProgress = (progress) => {
        done.push(progress.done);
        if (done.length === 4) stop.abort();
      };
      const cancelled = globalThis.tagger.tag(note, { signal: stop.signal, onProgress }).catch(({ name }) => name);
      const next = globalThis.tagger.tag(note);
      return { cancelled: await cancelled, done, next: JSON.stringify(await next) };
    }, NOTE);
    assert.deepEqual([answer.cancelled, answer.done], ['AbortError', [1, 2, 3, 4]]);
    assert.equal(answer.next, alone);
  });

  test('dispose ends every worker and rejects what runs', async () => {
    await loadTagger(page, { workers: 3 });
    const codes = await page.evaluate(async (note) => {
      const running = [1, 2].map(() => globalThis.tagger.tag(note).catch(({ code }) => code));
      await new Promise((resolve) => setTimeout(resolve, 100));
      globalThis.tagger.dispose();
      const after = [globalThis.tagger.tag('x'), globalThis.tagger.requests(), globalThis.tagger.memory()].map((call) => call.catch(({ code }) => code));
      return Promise.all([...running, ...after]);
    }, NOTE);
    assert.deepEqual(codes, Array(5).fill('E_DISPOSED'));
    await page.evaluate(() => globalThis.loaded.dispose());
    await until(() => page.workers().length === 0, 'no worker');
  });

  test('a number of workers that is none is E_INPUT', async () => {
    const codes = await page.evaluate(async (model) => {
      const { load } = await import('/pkg/dist/index.js');
      return Promise.all([0, -1, 1.5, 65, NaN, 'many', null, {}].map((workers) => load({ model, workers }).catch(({ code }) => code)));
    }, TAGGER);
    assert.deepEqual(codes, Array(8).fill('E_INPUT'));
  });
});

test(`the memory of the instances stays over ${NOTES} notes`, async () => {
  await loadTagger(page, { workers: 2 });
  const before = await page.evaluate(async (long) => {
    const { tagger } = globalThis;
    await tagger.tag(long);
    while ((await tagger.memory()).length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    for (let i = 0; i < 4; i++) await tagger.tag(long);
    return tagger.memory();
  }, NOTE);
  const read = async (from, to, long) => {
    for (let i = from; i < to; i++) {
      const [start, length] = [(i * 37) % 400, i % 50 === 0 ? 1500 : 20 + ((i * 211) % 280)]; // short notes, and every 50th long
      await globalThis.tagger.tag(long.slice(start, start + length));
    }
    return globalThis.tagger.memory();
  };
  let after;
  for (let from = 0; from < NOTES; from += 300) after = await page.evaluate(read, from, Math.min(from + 300, NOTES), NOTE);
  assert.deepEqual(after, before);
  assert.ok(before.every((bytes) => bytes > 16e6 && bytes < 60e6), `${before} bytes`);
});

test('and nothing was said on the console', () => assertQuiet(seen));
