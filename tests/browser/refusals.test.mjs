// The other tasks of the public API in a real browser: what is refused, cancelled, broken and ended.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { loadFailure, until } from './harness.mjs';
import { openTiny, sliced } from './tiny.mjs';

/** Words of the texts below, which must not turn up in any error. */
const SECRETS = /patient|rash|fever|😀/i;

let tiny;

before(async () => {
  tiny = await openTiny();
});
after(() => tiny.host.close());

describe('refusals', () => {
  test('a model of another task is E_MODEL_TASK, with where and what to do', async () => {
    const wrong = [['classify', 'nli', 'classify'], ['nli', 'relation', 'nli'], ['relation', 'classify', 'relation'], ['classify', undefined, 'classify'], ['bert-bio', 'classify', 'token-classification']];
    for (const [name, task, made] of wrong) {
      const failure = await loadFailure(tiny.page, { model: `/models/${name}/`, task });
      assert.equal(failure.code, 'E_MODEL_TASK', `${name} for ${task}`);
      assert.ok(failure.message.endsWith(`/models/${name}/: config.json: the model was made for ${made}, not for ${task ?? 'ner'}; load() needs another { task }, or another folder`), failure.message);
    }
    const failure = await loadFailure(tiny.page, { model: '/models/relation/', task: 'relation', tagger: '/models/nli/' });
    assert.deepEqual([failure.code, /\/models\/nli\/: config\.json: the model was made for nli, not for ner/.test(failure.message)], ['E_MODEL_TASK', true]);
  });

  test('a task that is none, and what belongs to another task, are E_INPUT before a worker starts', async () => {
    const requests = tiny.host.served.length;
    for (const task of ['poetry', 'toString', '', null, 7]) {
      const failure = await loadFailure(tiny.page, { model: '/models/nli/', task });
      assert.deepEqual([failure.code, failure.message], ['E_INPUT', `task: expected one of ner, relation, nli, classify, found ${task}`]);
    }
    for (const options of [{ tagger: '/models/bert-bio/' }, { task: 'nli', markers: 'typed' }]) {
      const failure = await loadFailure(tiny.page, { model: '/models/nli/', ...options });
      assert.deepEqual([failure.code, /belong to the task relation/.test(failure.message)], ['E_INPUT', true]);
    }
    assert.equal(tiny.host.served.length, requests);
  });

  /** `[arguments, what the message says]`; every call is refused with E_INPUT and no word of a text. */
  async function refused(options, method, calls) {
    await tiny.load(options);
    const failures = await tiny.page.evaluate(async (method, calls) => {
      const failure = (call) => globalThis.loaded[method](...call).then(() => ({}), ({ code, message }) => ({ code, message }));
      return Promise.all(calls.map(([call]) => failure(call)));
    }, method, calls);
    failures.forEach(({ code, message }, i) => {
      assert.deepEqual([code, message?.includes(calls[i][1])], ['E_INPUT', true], `${message} for ${JSON.stringify(calls[i])}`);
      assert.doesNotMatch(message, SECRETS);
    });
  }

  test('texts to classify', () => refused({ model: '/models/classify/', task: 'classify' }, 'classify', [
    [[], 'text: expected a string, found undefined'],
    [[['rash']], 'text: expected a string, found object'],
    [[''], 'the text holds no word'],
    [[' \r\n\u200b'], 'the text holds no word'],
    [['rash', { pooling: 'median' }], 'pooling: expected one of mean, max, found "median"'],
    [['rash', { pooling: 7 }], 'pooling: expected one of mean, max, found "7"'],
    [['rash', { threshold: 2 }], 'threshold: expected a number from 0 to 1, found number'],
    [['rash', { threshold: 'rash' }], 'threshold: expected a number from 0 to 1, found string'],
  ]));

  test('pairs to judge', () => refused({ model: '/models/nli/', task: 'nli' }, 'infer', [
    [['rash'], 'hypothesis: expected a string, found undefined'],
    [[7, 'rash'], 'premise: expected a string, found number'],
    [['', 'rash'], 'the premise holds no word'],
    [['rash', ' '], 'the hypothesis holds no word'],
    [['x', 'rash '.repeat(15)], 'hypothesis: the second text has 15 pieces, beside the first at most 14 fit'],
  ]));

  test('entities to relate', () => {
    const note = 'No fever 😀, no rash'; // the emoji is 9..11
    const entity = (start, end, label = 'DRUG') => ({ start, end, label });
    const places = 'entity 2: expected start < end at borders of characters from 0 to 20 (utf16), found';
    const form = 'entity 2: expected { start, end, label }: two places in UTF-16 and a type, found';
    const second = (wrong) => [note, [entity(3, 8), wrong]];
    return refused({ model: '/models/relation/', task: 'relation' }, 'relate', [
      [[7, []], 'note: expected a string, found number'],
      [[note], 'entities: expected an array, because load() was given no { tagger }, found undefined'],
      [[note, null], 'entities: expected an array, found object'],
      [[note, 'rash'], 'entities: expected an array, found string'],
      [[note, { 0: entity(3, 8), length: 1 }], 'entities: expected an array, found object'],
      [second(null), `${form} object`],
      [second('rash'), `${form} string`],
      [second({ start: 3, end: 8 }), `${form} object`],
      [second(entity(3, 8, 7)), `${form} object`],
      [second(entity('3', 8)), `${form} object`],
      [second(entity(-1, 8)), `${form} object`],
      [second(entity(3, 4.5)), `${form} object`],
      [second(entity(3, 2 ** 40)), `${form} object`],
      [second(entity(9, 10)), `${places} 9..10`],
      [second(entity(10, 20)), `${places} 10..20`],
      [second(entity(16, 21)), `${places} 16..21`],
      [second(entity(2 ** 32 - 2, 2 ** 32 - 1)), `${places} 4294967294..4294967295`],
      [second(entity(8, 3)), `${places} 8..3`],
      [second(entity(4, 4)), `${places} 4..4`],
      [[note, [entity(3, 8, 'rash\ud800')]], 'entities: expected objects of start, end and label'],
      [[note, [], { maxPieces: -1 }], 'maxPieces: expected a whole number that is not negative, found number'],
      [[note, [], { maxLines: 'rash' }], 'maxLines: expected a whole number that is not negative, found string'],
    ]);
  });

  test('entities that overlap, and a note without any, are no mistake', async () => {
    await tiny.load({ model: '/models/relation-replaced/', task: 'relation' });
    const note = 'No fever 😀, no rash';
    const entities = [[3, 8], [3, 8], [0, 20], [9, 11], [16, 20]].map(([start, end]) => ({ start, end, label: 'DRUG' }));
    const [nested, empty, nothing] = await tiny.ask('relate', [[note, entities, { none: true }], [note, []], ['', []]]);
    assert.ok(sliced(note, nested));
    assert.deepEqual(nested.entities.map(({ text }) => text), ['fever', 'fever', note, '😀', 'rash']);
    const { pairs, pairs_too_far, pairs_overlapping } = nested.coverage;
    assert.deepEqual([pairs, pairs_too_far, pairs_overlapping, nested.relations.length], [10, 0, 10, 10]);
    for (const document of [empty, nothing]) assert.deepEqual([document.entities, document.relations, document.coverage.pairs], [[], [], 0]);
  });

  test('lone surrogates stay the caller’s own', async () => {
    await tiny.load({ model: '/models/relation/', task: 'relation' });
    const { own, utf16, entities } = await tiny.page.evaluate(async () => {
      const note = '\ud83d fever \udc00 aspirin\ud83d';
      const document = await globalThis.loaded.relate(note, [{ start: 0, end: 7, label: 'EFFECT' }, { start: 10, end: 18, label: 'DRUG' }]);
      return { own: document.entities.every(({ start, end, text }) => note.slice(start, end) === text), utf16: document.length.utf16, entities: document.entities.length };
    });
    assert.deepEqual([own, utf16, entities], [true, 18, 2]);
  });
});

describe('breaking and ending', () => {
  const LONG = 'No fever, no rash 😀.\r\n'.repeat(400);
  const manyEntities = Array.from({ length: 60 }, (_, i) => ({ start: 3 + 23 * i, end: 8 + 23 * i, label: i % 2 ? 'DRUG' : 'EFFECT' }));
  const work = {
    classify: ['classify', [LONG]],
    nli: ['infer', [LONG, 'No rash.']],
    relation: ['relate', [LONG, manyEntities]],
  };
  assert.equal(LONG.slice(manyEntities[59].start, manyEntities[59].end), 'fever');

  for (const [task, [method, given]] of Object.entries(work)) {
    test(`${task}: cancelled between two passes, the next question is answered`, async () => {
      await tiny.load({ model: `/models/${task}/`, task });
      const answer = await tiny.page.evaluate(async (method, given) => {
        const progress = [];
        const stop = new AbortController();
        const onProgress = (event) => {
          progress.push(event);
          if (progress.length === 3) stop.abort();
        };
        const { loaded } = globalThis;
        const first = loaded[method](...given, { signal: stop.signal, onProgress }).catch((error) => error);
        const second = loaded[method](...given.map((part) => (typeof part === 'string' ? part.slice(0, 8) : part.slice(0, 1))));
        const { code, name, message } = await first;
        return { code, name, message, progress, schema: (await second).schema };
      }, method, given);
      assert.deepEqual([answer.code, answer.name], ['E_ABORTED', 'AbortError'], answer.message);
      assert.deepEqual(answer.progress.map(({ stage, done }) => [stage, done]), [1, 2, 3].map((done) => [method, done]));
      assert.ok(answer.progress[0].windows > 3);
      assert.match(answer.schema, /^clinlite\//);
    });
  }

  test('a trap ends the worker, and a fresh one does the pass again', async () => {
    const loose = (await tiny.host.newPage({ path: '/without-policy.html' })).page;
    const answer = await loose.evaluate(async () => {
      const { load } = await import('/pkg/dist/index.js');
      let workers = 0;
      const workerFactory = () => new Worker(workers++ ? '/pkg/dist/worker.js' : '/tests/trap.js', { type: 'module' });
      const classifier = await load({ model: '/models/classify/', task: 'classify', workerFactory, workers: 1 });
      const { labels } = await classifier.classify('No rash.');
      classifier.dispose();
      return { labels: labels.length, workers };
    });
    assert.deepEqual(answer, { labels: 1, workers: 2 });
    await loose.close();
  });

  test('dispose rejects what runs and ends the worker', async () => {
    await tiny.load({ model: '/models/nli/', task: 'nli' });
    const codes = await tiny.page.evaluate(async (premise) => {
      const running = globalThis.loaded.infer(premise, 'No rash.').catch(({ code }) => code);
      await new Promise((resolve) => setTimeout(resolve, 20));
      globalThis.loaded.dispose();
      return [await running, await globalThis.loaded.infer('x', 'y').catch(({ code }) => code)];
    }, LONG);
    assert.deepEqual(codes, ['E_DISPOSED', 'E_DISPOSED']);
    await until(() => tiny.page.workers().length === 0, 'no worker');
  });

  test('and the console stayed empty', () => assert.deepEqual([tiny.seen.console, tiny.seen.errors, tiny.seen.violations], [[], [], []]));
});
