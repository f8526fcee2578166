// The public API in a real browser, on a page with the strict policy and nothing else on it.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadFailure, loadTagger, MODEL, open, until } from './harness.mjs';
import { hugeNote, LAST_SENTENCE, longNote } from './notes.mjs';

/** Answers some addresses in a way that a misconfigured host would. */
const misconfigured = {
  '/models/spa/model.safetensors': [200, 'text/html', '<!doctype html><title>app</title>'],
  '/broken/html.wasm': [200, 'text/html', '<!doctype html><title>404</title>'],
};

function intercept(request, response) {
  const [status, type, body] = misconfigured[request.url] ?? [];
  if (!status) return false;
  response.writeHead(status, { 'Content-Type': type }).end(body);
  return true;
}

let host;
let page;
let seen;

before(async () => {
  host = await open({ intercept });
  ({ page, seen } = await host.newPage({ path: '/tests/blank.html' }));
});
after(() => host.close());

/** A copy of the model folder under another name; `edit(path)` changes it. */
function variant(name, edit) {
  const folder = join(host.models, name);
  cpSync(join(host.models, MODEL), folder, { recursive: true });
  edit?.((file) => join(folder, file));
  return { model: `/models/${name}/` };
}

/** Tags in the page; the result with what only the page can check. */
function tag(note, options) {
  return page.evaluate(async (note, options) => {
    const result = await globalThis.tagger.tag(note, options);
    const sliced = result.entities.every(({ start, end, text }) => end > start && note.slice(start, end) === text && text.trim() === text);
    const sorted = result.entities.every(({ start }, i, all) => i === 0 || start >= all[i - 1].end);
    return { result, sliced, sorted };
  }, note, options);
}

describe('loading', () => {
  test('reports bytes, names engine and model', async () => {
    const loaded = await page.evaluate(async (model) => {
      const { load } = await import('/pkg/dist/index.js');
      const progress = [];
      const tagger = await load({ model, onProgress: (event) => progress.push(event) });
      const { engine, bytes } = tagger;
      const answer = { engine, bytes, model: tagger.model, progress };
      tagger.dispose();
      return answer;
    }, `/models/${MODEL}`);
    assert.equal(loaded.engine.name, 'clinlite');
    assert.equal(loaded.engine.backend, 'simd');
    assert.match(loaded.model.sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual([...loaded.model.labels].sort(), ['ANATOMY', 'DRUG', 'LAB_VALUE', 'PROBLEM', 'TEST', 'TREATMENT']);
    const download = loaded.progress.filter(({ stage }) => stage === 'download');
    assert.ok(download.every(({ loaded: now }, i) => i === 0 || now >= download[i - 1].loaded), 'bytes only grow');
    assert.deepEqual([download.at(-1).loaded, download.at(-1).total], [loaded.bytes, loaded.bytes]);
    assert.equal(loaded.progress.at(-1).stage, 'prepare');
  });

  test('one changed byte of the weights is E_MODEL_HASH', async () => {
    const changed = variant('changed', (path) => {
      const bytes = readFileSync(path('model.safetensors'));
      bytes[bytes.length - 7] ^= 1;
      writeFileSync(path('model.safetensors'), bytes);
    });
    const failure = await loadFailure(page, changed);
    assert.equal(failure.code, 'E_MODEL_HASH');
    assert.match(failure.message, /model\.safetensors/);
  });

  test('one byte too few or too many is E_MODEL_HASH', async () => {
    const shorter = variant('shorter', (path) => writeFileSync(path('tokenizer.json'), readFileSync(path('tokenizer.json')).subarray(1)));
    const longer = variant('longer', (path) => writeFileSync(path('tokenizer.json'), Buffer.concat([readFileSync(path('tokenizer.json')), Buffer.from(' ')])));
    for (const options of [shorter, longer]) assert.equal((await loadFailure(page, options)).code, 'E_MODEL_HASH');
  });

  test('a web page in place of a model file is named as such', async () => {
    const failure = await loadFailure(page, variant('spa'));
    assert.equal(failure.code, 'E_MODEL_FETCH');
    assert.match(failure.message, /spa\/model\.safetensors: expected a model file, found a web page \(content type text\/html, status 200\)/);
  });

  test('a missing model names address and status', async () => {
    const failure = await loadFailure(page, { model: '/models/nowhere/' });
    assert.equal(failure.code, 'E_MODEL_FETCH');
    assert.match(failure.message, /\/models\/nowhere\/manifest\.json cannot be fetched: status 404/);
  });

  test('a manifest that is not one is E_MODEL_FORMAT', async () => {
    const contents = ['<!doctype html>', 'null', '{}', '{"files":{"../secret":{"bytes":1}}}', '{"files":{"https://example.org/x":{"bytes":1}}}'];
    for (const [i, content] of contents.entries()) {
      const failure = await loadFailure(page, variant(`manifest-${i}`, (path) => writeFileSync(path('manifest.json'), content)));
      assert.equal(failure.code, 'E_MODEL_FORMAT', content);
    }
  });

  test('a web page in place of the WebAssembly is E_WASM_MIME', async () => {
    const failure = await loadFailure(page, { model: `/models/${MODEL}/`, wasm: '/broken/html.wasm' });
    assert.equal(failure.code, 'E_WASM_MIME');
    assert.match(failure.message, /\/broken\/html\.wasm \(content type text\/html\) is not WebAssembly: it starts with 3c 21 64 6f/);
  });

  test('the WebAssembly may come as bytes or compiled, without being fetched again', async () => {
    const before = host.served.filter((url) => url.endsWith('.wasm')).length;
    const loaded = await page.evaluate(async (model) => {
      const { load } = await import('/pkg/dist/index.js');
      const bytes = await (await fetch('/pkg/dist/clinlite_bg.wasm')).arrayBuffer();
      const answers = [];
      for (const wasm of [bytes, new Uint8Array(bytes), await WebAssembly.compile(bytes)]) {
        const tagger = await load({ model, wasm });
        answers.push(tagger.engine.name);
        tagger.dispose();
      }
      return answers;
    }, `/models/${MODEL}/`);
    assert.deepEqual(loaded, ['clinlite', 'clinlite', 'clinlite']);
    assert.equal(host.served.filter((url) => url.endsWith('.wasm')).length, before + 1);
  });

  test('can be cancelled', async () => {
    const failure = await page.evaluate(async (model) => {
      const { load, ClinliteError } = await import('/pkg/dist/index.js');
      const stop = new AbortController();
      try {
        await load({ model, signal: stop.signal, onProgress: () => stop.abort() });
      } catch (error) {
        return { code: error.code, name: error.name, typed: error instanceof ClinliteError };
      }
    }, `/models/${MODEL}/`);
    assert.deepEqual(failure, { code: 'E_ABORTED', name: 'AbortError', typed: true });
  });

  test('without an address is E_INPUT', async () => {
    assert.equal((await loadFailure(page, {})).code, 'E_INPUT');
  });
});

describe('tagging', () => {
  before(() => loadTagger(page));
  after(() => page.evaluate(() => globalThis.tagger.dispose()));

  test('a note of 3,000 words: every offset exact, the last sentence read, not one request', async () => {
    const note = longNote(3000);
    const marks = [host.served.length, seen.requests.length];
    const { result, sliced, sorted } = await tag(note);
    assert.ok(sliced, 'note.slice(start, end) === text for every entity');
    assert.ok(sorted, 'sorted, none overlaps');
    assert.ok(note.split(/\s+/).length >= 3000);
    assert.equal(result.length.utf16, note.length);
    assert.equal(result.coverage.truncated, false);
    assert.ok(result.coverage.windows > 10 && result.coverage.tokens > 3000, JSON.stringify(result.coverage));
    assert.ok(result.entities.length > 100, `${result.entities.length} entities`);
    const last = note.length - LAST_SENTENCE.length;
    assert.ok(result.entities.some(({ start, label }) => start >= last && label === 'PROBLEM'), 'a problem in the last sentence');
    assert.deepEqual([host.served.length, seen.requests.length], marks, 'no request after load');
    const counted = await page.evaluate(() => globalThis.tagger.requests());
    assert.equal(counted.sinceReady, 0);
    assert.ok(counted.total >= 4, 'the worker counted its own fetches');
  });

  test('what was found makes sense', async () => {
    const { result } = await tag('Admitted with pneumonia and treated with ceftriaxone. Chest X-ray showed consolidation in the left lung. Creatinine was 1.4 mg/dL.');
    const found = Object.fromEntries(result.entities.map(({ text, label }) => [text.toLowerCase(), label]));
    assert.equal(found.pneumonia, 'PROBLEM', JSON.stringify(found));
    assert.equal(found.ceftriaxone, 'DRUG', JSON.stringify(found));
    assert.equal(found.creatinine, 'TEST', JSON.stringify(found));
  });

  test('the same note twice gives the same bytes', async () => {
    const [first, second] = await page.evaluate(async (note) => {
      const results = [await globalThis.tagger.tag(note), await globalThis.tagger.tag(note)];
      return results.map((result) => JSON.stringify(result));
    }, longNote(600));
    assert.equal(first, second);
  });

  test('lone surrogates stay the caller’s own', async () => {
    const answer = await page.evaluate(async () => {
      const notes = ['\ud83d fever and \udc00pneumonia\ud83d and cough \ude00', 'aspirin\ud800', '\ud800', '\udfff\ud800\udfff'];
      const results = [];
      for (const note of notes) {
        const { entities, length } = await globalThis.tagger.tag(note);
        results.push({ exact: entities.every(({ start, end, text }) => note.slice(start, end) === text), length: length.utf16 === note.length, found: entities.length });
      }
      return results;
    });
    assert.ok(answer.every(({ exact, length }) => exact && length), JSON.stringify(answer));
    assert.ok(answer[0].found > 0);
  });

  test('an empty note and one of white space have no entity', async () => {
    for (const note of ['', ' ', '\r\n\t\u00a0\u200b']) {
      const { result } = await tag(note);
      assert.deepEqual(result.entities, []);
      assert.equal(result.coverage.truncated, false);
    }
  });

  test('what is not a string, or an aggregation that is none, is E_INPUT', async () => {
    const codes = await page.evaluate(async () => {
      const calls = [[null], [42], [undefined], [{}], ['x', { aggregation: 'best' }]];
      return Promise.all(calls.map((call) => globalThis.tagger.tag(...call).then(() => 'resolved', ({ code }) => code)));
    });
    assert.deepEqual(codes, Array(5).fill('E_INPUT'));
  });

  test('every aggregation keeps the offsets', async () => {
    for (const aggregation of ['none', 'simple', 'first', 'average', 'max']) {
      const { result, sliced } = await tag(longNote(100), { aggregation });
      assert.ok(sliced, aggregation);
      assert.ok(result.entities.every(({ score_method }) => score_method === aggregation), aggregation);
    }
  });

  test('two notes at once are both answered, each with its own', async () => {
    const answers = await page.evaluate(async () => {
      const notes = ['Patient has pneumonia.', 'Given aspirin 81 mg for angina.', 'ECG was normal.'];
      const results = await Promise.all(notes.map((note) => globalThis.tagger.tag(note)));
      const alone = [];
      for (const note of notes) alone.push(await globalThis.tagger.tag(note));
      return [results, alone].map((list) => JSON.stringify(list));
    });
    assert.equal(answers[0], answers[1]);
  });

  test('cancelling one leaves the others alone', async () => {
    const answer = await page.evaluate(async (note) => {
      const stop = new AbortController();
      const outcome = (promise) => promise.then(() => 'done', ({ name }) => name);
      const [first, second] = [globalThis.tagger.tag(note, { signal: stop.signal, onProgress: () => stop.abort() }), globalThis.tagger.tag('Fever.')];
      const outcomes = [await outcome(first), await outcome(second), await outcome(globalThis.tagger.tag('Cough.', { signal: stop.signal }))];
      return { outcomes, after: (await globalThis.tagger.tag('Fever and cough.')).length.utf16 };
    }, longNote(1000));
    assert.deepEqual(answer, { outcomes: ['AbortError', 'done', 'AbortError'], after: 16 });
  });

  test('10 MB of text: progress moves, the page stays alive, cancel works, the tagger survives', async () => {
    const answer = await page.evaluate(async (line, bytes) => {
      const note = line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
      const stop = new AbortController();
      const progress = [];
      let ticks = 0;
      const clock = setInterval(() => ticks++, 20);
      const onProgress = (event) => {
        progress.push(event);
        if (progress.length === 20) stop.abort();
      };
      const error = await globalThis.tagger.tag(note, { signal: stop.signal, onProgress }).catch((caught) => caught);
      clearInterval(clock);
      const { entities } = await globalThis.tagger.tag('Patient has pneumonia.');
      return { code: error.code, message: error.message, done: progress.map(({ done }) => done), windows: progress[0]?.windows, ticks, entities: entities.length };
    }, hugeNote(97), 10_000_000);
    assert.equal(answer.code, 'E_ABORTED', answer.message);
    assert.deepEqual(answer.done, Array.from({ length: 20 }, (_, i) => i + 1));
    assert.ok(answer.windows > 5000, `${answer.windows} windows`);
    assert.ok(answer.ticks > 10, `the page's clock ticked ${answer.ticks} times`);
    assert.equal(answer.entities, 1);
  });
});

describe('breaking and ending', () => {
  let loose; // a page without a policy, on which a worker may come from anywhere
  before(async () => {
    loose = (await host.newPage({ path: '/without-policy.html' })).page;
  });

  /** What becomes of two notes, and of a third after them, when the first `trapping` workers trap at every window. */
  function withTraps(trapping) {
    return loose.evaluate(async (model, trapping) => {
      const { load } = await import('/pkg/dist/index.js');
      let workers = 0;
      const workerFactory = () => new Worker(workers++ < trapping ? '/tests/trap.js' : '/pkg/dist/worker.js', { type: 'module' });
      const tagger = await load({ model, workerFactory, workers: 1 });
      const outcome = (promise) => promise.then(({ entities }) => entities.length, ({ code }) => code);
      const both = await Promise.all([outcome(tagger.tag('Patient has pneumonia.')), outcome(tagger.tag('Patient has fever.'))]);
      const after = await outcome(tagger.tag('Patient has pneumonia.'));
      tagger.dispose();
      return { both, after, workers };
    }, `/models/${MODEL}/`, trapping);
  }

  test('after a trap a fresh worker does the window again', async () => {
    assert.deepEqual(await withTraps(1), { both: [1, 1], after: 1, workers: 2 });
  });

  test('a window at which three workers trap is E_INTERNAL for its note alone', async () => {
    assert.deepEqual(await withTraps(3), { both: ['E_INTERNAL', 1], after: 1, workers: 4 });
  });

  test('dispose rejects what runs and what comes, and ends the worker', async () => {
    await until(() => page.workers().length === 0, 'earlier workers have ended');
    await loadTagger(page, { workers: 1 });
    await until(() => page.workers().length === 1, 'one worker');
    const codes = await page.evaluate(async (note) => {
      const running = globalThis.tagger.tag(note).catch(({ code }) => code);
      await new Promise((resolve) => setTimeout(resolve, 50));
      globalThis.tagger.dispose();
      globalThis.tagger.dispose();
      return [await running, await globalThis.tagger.tag('x').catch(({ code }) => code)];
    }, longNote(1000));
    assert.deepEqual(codes, ['E_DISPOSED', 'E_DISPOSED']);
    await until(() => page.workers().length === 0, 'no worker');
  });

  test('a worker that cannot start is E_WORKER', async () => {
    const code = await loose.evaluate(async () => {
      const { load } = await import('/pkg/dist/index.js');
      const workerFactory = () => new Worker('/tests/nothing.js', { type: 'module' });
      return load({ model: '/models/x/', workerFactory }).then(() => 'loaded', ({ code }) => code);
    });
    assert.equal(code, 'E_WORKER');
  });
});

test('all of this wrote nothing to the console', () => {
  assert.deepEqual(seen.console.filter((text) => !text.startsWith('Failed to load resource')), []);
  assert.deepEqual(seen.errors, []);
});
