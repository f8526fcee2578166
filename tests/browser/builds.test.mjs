// The two builds of the WebAssembly: which one is taken, what happens when a file is damaged, and that all give one answer.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadFailure, loadTagger, MODEL, MODEL_FOLDER, open, ROOT } from './harness.mjs';
import { longNote } from './notes.mjs';

const BINARY = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
const FILES = { plain: 'clinlite_bg.wasm', relaxed: 'clinlite_relaxed_bg.wasm' };
const RELAXED = /^relaxed-simd(-dot)?$/;
const NOTE = longNote(500);

let host;
let page;
let seen;
const damage = new Map(); // by address: how the host answers

before(async () => {
  host = await open({ intercept: (request, response) => damage.get(request.url)?.(response) ?? false });
  ({ page, seen } = await host.newPage({ path: '/tests/blank.html' }));
});
after(() => host.close());

const bytesOf = (build) => readFileSync(join(ROOT, 'pkg/dist', FILES[build]));

/** What a host or a network may do to a file. */
const damages = {
  'is missing': () => (response) => response.writeHead(404).end(),
  'is a web page': () => (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>app</title>'),
  'is a web page that says it is WebAssembly': () => (response) => response.writeHead(200, { 'Content-Type': 'application/wasm' }).end('<!doctype html>'),
  'is cut short': (bytes) => (response) => response.writeHead(200, { 'Content-Type': 'application/wasm' }).end(bytes.subarray(0, bytes.length / 2)),
  'is cut short and called something else': (bytes) => (response) => response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(bytes.subarray(0, bytes.length - 1)),
  'breaks off': (bytes) => (response) => {
    response.writeHead(200, { 'Content-Type': 'application/wasm', 'Content-Length': bytes.length });
    response.write(bytes.subarray(0, 1000), () => response.destroy());
    return response;
  },
  'is empty': () => (response) => response.writeHead(200, { 'Content-Type': 'application/wasm' }).end(),
};

/** Does something while the files of some builds are damaged. */
async function damaged(builds, how, act) {
  for (const build of builds) damage.set(`/pkg/dist/${FILES[build]}`, how(bytesOf(build)));
  try {
    return await act();
  } finally {
    damage.clear();
  }
}

/** The document of the note by the tagger of the page. */
const document = () => page.evaluate(async (note) => globalThis.tagger.tag(note), NOTE);

/** What the command line says of the note. */
function native() {
  const path = join(host.models, 'note.txt');
  writeFileSync(path, NOTE);
  const output = execFileSync(BINARY, ['tag', '--model', MODEL_FOLDER, '--format', 'json', '--offsets', 'utf16', path], { encoding: 'utf8', maxBuffer: 1 << 28 });
  rmSync(path);
  const { file, ...rest } = JSON.parse(output);
  return rest;
}

describe('one answer', () => {
  test('of both builds, all their kernels and the command line, to the last digit of every score', async () => {
    const expected = native();
    assert.ok(expected.entities.length > 30);
    const wasm = (build) => `/pkg/dist/${FILES[build]}`;
    for (const [build, kernels] of [['plain', 'simd128'], ['relaxed', 'relaxed-simd'], ['relaxed', 'relaxed-simd-dot']]) {
      const loaded = await loadTagger(page, { wasm: wasm(build), kernels });
      assert.equal(loaded.kernels, kernels);
      assert.deepEqual(await document(), expected, `${build}, ${kernels}`);
    }
  });

  test('kernels that a build has not are E_INPUT', async () => {
    const { code, message } = await loadFailure(page, { model: `/models/${MODEL}/`, wasm: `/pkg/dist/${FILES.plain}`, kernels: 'relaxed-simd' });
    assert.deepEqual([code, message], ['E_INPUT', 'kernels: expected one of simd128']);
  });
});

describe('which build', () => {
  test('the relaxed one here, with kernels chosen by a trial, and the other is not fetched', async () => {
    const before = host.served.length;
    const { kernels, engine } = await loadTagger(page);
    assert.match(kernels, RELAXED);
    assert.equal(engine.backend, 'simd');
    assert.deepEqual(host.served.slice(before).filter((url) => url.endsWith('.wasm')), [`/pkg/dist/${FILES.relaxed}`]);
  });

  for (const [what, how] of Object.entries(damages)) {
    test(`the relaxed file ${what}: the plain one`, async () => {
      const { kernels } = await damaged(['relaxed'], how, () => loadTagger(page));
      assert.equal(kernels, 'simd128');
    });

    test(`both files: ${what}: an error with a code`, async () => {
      const failure = await damaged(['relaxed', 'plain'], how, () => loadFailure(page, { model: `/models/${MODEL}/` }));
      assert.match(failure.code ?? '', /^E_WASM(_FETCH|_MIME)?$/, JSON.stringify(failure));
      assert.match(failure.message, /clinlite_bg\.wasm/);
    });
  }

  test('given addresses: the relaxed one where it runs', async () => {
    const wasm = { plain: `/pkg/dist/${FILES.plain}`, relaxed: `/pkg/dist/${FILES.relaxed}` };
    assert.match((await loadTagger(page, { wasm })).kernels, RELAXED);
    assert.equal((await loadTagger(page, { wasm: { plain: wasm.plain } })).kernels, 'simd128');
    assert.equal((await loadTagger(page, { wasm: { ...wasm, relaxed: '/nothing.wasm' } })).kernels, 'simd128');
  });
});

describe('another browser', () => {
  let loose;
  before(async () => {
    loose = (await host.newPage({ path: '/without-policy.html' })).page;
  });

  const withWorker = (script) => loose.evaluate(async (model, script) => {
    const { load } = await import('/pkg/dist/index.js');
    const workerFactory = () => new Worker(script, { type: 'module' });
    try {
      const tagger = await load({ model, workerFactory });
      const { entities } = await tagger.tag('Patient has pneumonia.');
      tagger.dispose();
      return { kernels: tagger.kernels, entities: entities.length };
    } catch ({ code, message }) {
      return { code, message };
    }
  }, `/models/${MODEL}/`, script);

  test('without relaxed-simd: the plain build', async () => {
    assert.deepEqual(await withWorker('/tests/no-relaxed.js'), { kernels: 'simd128', entities: 1 });
  });

  test('without SIMD: E_UNSUPPORTED, with what is needed', async () => {
    const { code, message } = await withWorker('/tests/no-simd.js');
    assert.deepEqual([code, message], ['E_UNSUPPORTED', 'this browser has no WebAssembly SIMD: it needs one of 2023 or later']);
  });
});

describe('the cache', () => {
  const weights = `/models/${MODEL}/model.safetensors`;
  const keys = () => page.evaluate(async () => {
    const names = await caches.keys();
    const stored = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)));
    return stored.flat();
  });
  const fetched = async (options) => {
    const before = host.served.length;
    await loadTagger(page, options);
    return host.served.slice(before).filter((url) => url.startsWith('/models/'));
  };

  test('is not touched unless it is asked for', async () => {
    await fetched();
    assert.deepEqual(await keys(), []);
  });

  test('holds the files of the model by their hashes, and serves them again', async () => {
    assert.ok((await fetched({ cache: true })).includes(weights));
    const kept = await keys();
    const { files } = JSON.parse(readFileSync(join(MODEL_FOLDER, 'manifest.json')));
    assert.equal(kept.length, Object.keys(files).length);
    assert.ok(kept.every((url) => /\/models\/[^?]+\?sha256=[0-9a-f]{64}$/.test(url)), kept.join());
    assert.deepEqual(await fetched({ cache: true }), [`/models/${MODEL}/manifest.json`]);
    await page.evaluate((note) => globalThis.tagger.tag(note), NOTE);
    assert.deepEqual(await keys(), kept, 'nothing of a note');
  });

  test('a damaged entry is fetched anew, and a host that serves another file is still found out', async () => {
    const change = () => page.evaluate(async () => {
      for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        const key = (await cache.keys()).find(({ url }) => url.includes('safetensors'));
        const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
        bytes[bytes.length - 7] ^= 1;
        await cache.put(key, new Response(bytes));
      }
    });
    await change();
    assert.deepEqual(await fetched({ cache: true }), [`/models/${MODEL}/manifest.json`, weights]);
    assert.deepEqual(await fetched({ cache: true }), [`/models/${MODEL}/manifest.json`], 'and kept again');
    await change();
    const wrong = readFileSync(join(MODEL_FOLDER, 'model.safetensors'));
    wrong[wrong.length - 9] ^= 1;
    damage.set(weights, (response) => response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(wrong));
    assert.equal((await loadFailure(page, { model: `/models/${MODEL}/`, cache: true })).code, 'E_MODEL_HASH');
    damage.clear();
    assert.deepEqual(await fetched({ cache: true }), [`/models/${MODEL}/manifest.json`, weights]);
  });
});

test('all of this wrote nothing to the console but what the browser says of missing files', () => {
  assert.deepEqual(seen.console.filter((text) => !text.startsWith('Failed to load resource')), []);
  assert.deepEqual([seen.errors, seen.violations], [[], []]);
});
