// The other tasks of the public API in a real browser: the answers, beside those of transformers and the command line.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { loadFailure } from './harness.mjs';
import { cases, native, openTiny, sliced } from './tiny.mjs';

const TOLERANCE = 2e-4; // of a score in four places beside one in f32

let tiny;

before(async () => {
  tiny = await openTiny();
});
after(() => tiny.host.close());

/** Scores beside those of transformers. */
function sameScores(scores, expected) {
  assert.equal(scores.length, expected.length);
  scores.forEach(({ score }, i) => assert.ok(Math.abs(score - expected[i]) < TOLERANCE, `expected ${expected[i]}, found ${score}`));
}

/** Relations beside those of transformers, none left out. */
function sameRelations(document, { pairs, pairs_too_far }) {
  assert.deepEqual([document.coverage.pairs, document.coverage.pairs_too_far], [pairs.length, pairs_too_far]);
  assert.deepEqual(document.relations.map(({ head, tail }) => [head, tail]), pairs.map(({ head, tail }) => [`T${head + 1}`, `T${tail + 1}`]));
  document.relations.forEach(({ label, score }, i) => {
    const most = Math.max(...pairs[i].scores);
    assert.equal(label, document.model.labels[pairs[i].scores.indexOf(most)]);
    assert.ok(Math.abs(score - most) < TOLERANCE, `expected ${most}, found ${score}`);
  });
}

describe('the same answers as transformers and the command line', () => {
  for (const name of ['classify', 'multi-label']) {
    test(`classification: ${name}`, async () => {
      const { engine, model, methods, bytes } = await tiny.load({ model: `/models/${name}`, task: 'classify' });
      assert.deepEqual([methods, model.task, model.id, model.multi_label], [['classify'], 'classify', name, name === 'multi-label']);
      assert.ok(bytes > 10_000);
      const asked = cases(name);
      const documents = await tiny.ask('classify', asked.map(({ text }) => [text]));
      documents.forEach((document, i) => {
        assert.equal(document.schema, 'clinlite/classification/1');
        assert.deepEqual([document.engine, document.model], [engine, model]);
        assert.deepEqual(document.scores.map(({ label }) => label), model.labels);
        assert.deepEqual([document.coverage.windows, document.coverage.truncated], [asked[i].input_ids.length, false]);
        sameScores(document.scores, asked[i].scores);
      });
      assert.deepEqual(documents, native(['classify', '--model', tiny.folder(name)], asked.map(({ text }) => ({ text }))));
    });
  }

  test('inference', async () => {
    const { model, methods } = await tiny.load({ model: '/models/nli/', task: 'nli' });
    assert.deepEqual([methods, model.task, model.labels], [['infer'], 'nli', ['contradiction', 'entailment', 'neutral']]);
    const asked = cases('nli').map(({ premise, hypothesis }) => ({ premise, hypothesis }));
    const documents = await tiny.ask('infer', asked.map(({ premise, hypothesis }) => [premise, hypothesis]));
    documents.forEach((document, i) => sameScores(document.scores, cases('nli')[i].scores));
    assert.ok(documents[1].coverage.windows > 10, 'a long premise by windows');
    assert.equal(documents[1].label, 'neutral');
    assert.deepEqual(documents, native(['nli', '--model', tiny.folder('nli')], asked));
  });

  for (const name of ['relation', 'relation-replaced']) {
    test(`relations: ${name}`, async () => {
      const { model, methods, tagger } = await tiny.load({ model: `/models/${name}/`, task: 'relation' });
      assert.deepEqual([methods, model.task, tagger], [['relate'], 'relation', undefined]);
      const asked = cases(name);
      const documents = await tiny.ask('relate', asked.map(({ text, entities }) => [text, entities, { none: true }]));
      documents.forEach((document, i) => {
        assert.deepEqual(document.entities.map(({ start, end, label }) => ({ start, end, label })), asked[i].entities);
        assert.ok(sliced(asked[i].text, document), 'note.slice(start, end) === text');
        sameRelations(document, asked[i]);
      });
      const command = ['relation', '--model', tiny.folder(name), '--offsets', 'utf16'];
      const questions = asked.map(({ text, entities }) => ({ text, entities }));
      assert.deepEqual(documents, native([...command, '--none'], questions));
      const told = await tiny.ask('relate', asked.map(({ text, entities }) => [text, entities]));
      assert.ok(told.every(({ relations }) => relations.every(({ label }) => label !== 'none')));
      assert.deepEqual(told, native(command, questions));
    });
  }

  test('relations of the entities that a tagger finds', async () => {
    const note = 'The patient denies chest pains. 😀 Aspirin 81 µg,\r\n\tno fever.\n\r\nRash after aspirin.';
    const { tagger, bytes } = await tiny.load({ model: '/models/relation-replaced/', task: 'relation', tagger: '/models/bert-bio' });
    assert.deepEqual([tagger.task, tagger.id, tagger.labels], ['ner', 'bert-bio', ['PROBLEM', 'TEST', 'DRUG']]);
    const { document, stages } = await tiny.page.evaluate(async (note) => {
      const stages = new Set();
      const document = await globalThis.loaded.relate(note, undefined, { none: true, onProgress: ({ stage }) => stages.add(stage) });
      return { document, stages: [...stages] };
    }, note);
    assert.deepEqual(stages, ['tag', 'relate']);
    assert.ok(document.entities.length > 2 && sliced(note, document));
    const { coverage } = document;
    const pairs = coverage.pairs + coverage.pairs_too_far + coverage.pairs_overlapping + coverage.pairs_beyond;
    assert.equal(pairs, document.entities.length * (document.entities.length - 1), 'no pair is dropped in silence');
    const [given] = await tiny.ask('relate', [[note, document.entities, { none: true }]]);
    assert.deepEqual(given, document, 'entities of a document may be given back');
    const [outside] = native(['relation', '--model', tiny.folder('relation-replaced'), '--tagger', tiny.folder('bert-bio'), '--offsets', 'utf16', '--none'], [{ text: note }]);
    assert.deepEqual(document, outside);
    const alone = await tiny.load({ model: '/models/bert-bio/' });
    assert.deepEqual([alone.methods, alone.model], [['tag'], tagger], 'without a task, a tagger');
    assert.ok(bytes > alone.bytes, 'the bytes of both models are counted');
    const [tagging] = await tiny.ask('tag', [[note]]);
    assert.deepEqual(tagging.entities.map(({ start, end, text, label }) => [start, end, text, label]), document.entities.map(({ start, end, text, label }) => [start, end, text, label]));
  });

  test('a packed model: int8', async () => {
    tiny.pack('packed', 'nli');
    const { model, bytes } = await tiny.load({ model: '/models/packed/', task: 'nli' });
    assert.equal(model.id, 'packed');
    assert.ok(bytes < 60_000, `${bytes} bytes`);
    const asked = cases('nli').map(({ premise, hypothesis }) => ({ premise, hypothesis }));
    const documents = await tiny.ask('infer', asked.map(({ premise, hypothesis }) => [premise, hypothesis]));
    assert.deepEqual(documents, native(['nli', '--model', tiny.folder('packed')], asked));
  });

  test('nothing was fetched for an answer, and nothing said on the console', async () => {
    const marks = [tiny.host.served.length, tiny.seen.requests.length];
    await tiny.ask('infer', [['No fever.', 'No rash.']]);
    assert.deepEqual([tiny.host.served.length, tiny.seen.requests.length], marks);
    assert.equal((await tiny.page.evaluate(() => globalThis.loaded.requests())).sinceReady, 0);
    assert.deepEqual([tiny.seen.console, tiny.seen.errors, tiny.seen.violations], [[], [], []]);
  });
});

describe('options', () => {
  test('of classification', async () => {
    await tiny.load({ model: '/models/multi-label/', task: 'classify' });
    const { text } = cases('multi-label')[1];
    const [mean, max, all, none] = await tiny.ask('classify', [[text], [text, { pooling: 'max' }], [text, { threshold: 0 }], [text, { threshold: 1 }]]);
    assert.deepEqual([mean.pooling, max.pooling, mean.threshold, all.threshold], ['mean', 'max', 0.5, 0]);
    assert.ok(max.scores.every(({ score }, i) => score > mean.scores[i].score));
    assert.deepEqual([all.labels.length, none.labels.length], [4, 0]);
  });

  test('of relations', async () => {
    await tiny.load({ model: '/models/relation-replaced/', task: 'relation' });
    const { text, entities } = cases('relation-replaced')[1];
    const beyond = await tiny.ask('relate', [[text, entities, { maxPieces: 4 }], [text, entities, { maxLines: 0 }], [text.replaceAll('. ', '.\n'), entities, { maxLines: 0 }]]);
    assert.deepEqual(beyond.map(({ coverage }) => coverage.pairs_beyond), [8, 0, 8]);
  });

  test('of a relation model whose folder does not name its markers', async () => {
    tiny.serve('silent', 'relation-replaced', (config) => delete config.clinlite);
    const silent = { model: '/models/silent/', task: 'relation' };
    const refused = await loadFailure(tiny.page, silent);
    assert.equal(refused.code, 'E_UNSUPPORTED_ARCH');
    assert.match(refused.message, /\/models\/silent\/: config\.json: clinlite\.relations is missing: name the markers/);
    assert.match((await loadFailure(tiny.page, { ...silent, markers: 'bold' })).message, /markers: expected one of typed, replaced, found "bold"/);
    await tiny.load({ ...silent, markers: 'replaced' });
    const { text, entities } = cases('relation-replaced')[0];
    assert.equal((await tiny.ask('relate', [[text, entities]]))[0].markers, 'replaced');
  });
});
