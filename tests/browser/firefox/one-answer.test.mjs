// The same document in Firefox as from the command line.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findFirefox } from '../firefox.mjs';
import { MODEL, MODEL_FOLDER, open, ROOT } from '../harness.mjs';
import { longNote } from '../notes.mjs';

const BINARY = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
const NOTE = longNote(500);

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

/** In the page: the document of the note by a model that is loaded for it. */
async function ask(options, note) {
  const { load } = await import('/pkg/dist/index.js');
  const tagger = await load({ backend: 'simd', ...options });
  const document = await tagger.tag(note);
  tagger.dispose();
  return document;
}

test('one answer of both builds, all their kernels and the command line, to the last digit of every score', { skip: !findFirefox() && 'there is no Firefox' }, async () => {
  const expected = native();
  assert.ok(expected.entities.length > 30);
  const host = await open({ firefox: {} });
  try {
    const { page } = await host.newPage({ path: '/tests/blank.html' });
    for (const [build, kernels] of [['clinlite_bg', 'simd128'], ['clinlite_relaxed_bg', 'relaxed-simd'], ['clinlite_relaxed_bg', 'relaxed-simd-dot']]) {
      const found = await page.evaluate(ask, { model: `/models/${MODEL}/`, wasm: `/pkg/dist/${build}.wasm`, kernels }, NOTE);
      assert.deepEqual(found, expected, kernels);
    }
    const several = await page.evaluate(ask, { model: `/models/${MODEL}/`, workers: 2 }, NOTE);
    assert.deepEqual(several, expected, 'two workers');
  } finally {
    await host.close();
  }
});
