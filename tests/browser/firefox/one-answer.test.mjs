// The same document in Firefox as from the command line: `make test-firefox`, which installs Debian's Firefox when there is none.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { makeServer, ROOTS } from '../../../www/serve.mjs';
import { findProgram, install } from '../chrome.mjs';
import { MODEL, MODEL_FOLDER, ROOT } from '../harness.mjs';
import { longNote } from '../notes.mjs';

const BINARY = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
const NAMES = ['firefox', 'firefox-esr'];
const NOTE = longNote(500);

let server;
let browser;

before(async () => {
  if (!process.env.FIREFOX && !findProgram(NAMES)) install('firefox-esr');
  server = makeServer({ roots: { ...ROOTS, '/tests/': join(ROOT, 'tests/browser/pages') } });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  browser = await puppeteer.launch({ browser: 'firefox', executablePath: process.env.FIREFOX ?? findProgram(NAMES), headless: true, protocolTimeout: 240_000 });
});
after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

/** What the command line says of the note. */
function native() {
  const folder = mkdtempSync(join(tmpdir(), 'clinlite-firefox-'));
  const path = join(folder, 'note.txt');
  writeFileSync(path, NOTE);
  const output = execFileSync(BINARY, ['tag', '--model', MODEL_FOLDER, '--format', 'json', '--offsets', 'utf16', path], { encoding: 'utf8', maxBuffer: 1 << 28 });
  rmSync(folder, { recursive: true });
  const { file, ...rest } = JSON.parse(output);
  return rest;
}

test('one answer of both builds, all their kernels and the command line, to the last digit of every score', async () => {
  const expected = native();
  assert.ok(expected.entities.length > 30);
  const page = await browser.newPage();
  await page.goto(`http://localhost:${server.address().port}/tests/blank.html`);
  const ask = async (options, note) => {
    const { load } = await import('/pkg/index.js');
    const tagger = await load({ backend: 'simd', ...options });
    const document = await tagger.tag(note);
    tagger.dispose();
    return document;
  };
  for (const [build, kernels] of [['clinlite_bg', 'simd128'], ['clinlite_relaxed_bg', 'relaxed-simd'], ['clinlite_relaxed_bg', 'relaxed-simd-dot']]) {
    const found = await page.evaluate(ask, { model: `/models/${MODEL}/`, wasm: `/pkg/dist/${build}.wasm`, kernels }, NOTE);
    assert.deepEqual(found, expected, kernels);
  }
  const several = await page.evaluate(ask, { model: `/models/${MODEL}/`, workers: 2 }, NOTE);
  assert.deepEqual(several, expected, 'two workers');
});
