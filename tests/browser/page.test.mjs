// The demo as a visitor meets it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assertQuiet, MODEL_FOLDER, open, ROOT } from './harness.mjs';
import { LAST_SENTENCE, longNote } from './notes.mjs';

const AXE = readFileSync(new URL(import.meta.resolve('axe-core')), 'utf8');

let host;
before(async () => {
  host = await open();
});
after(() => host.close());

/** A page whose model is loaded. */
async function visit(options) {
  const { page, seen } = await host.newPage(options);
  await page.waitForSelector('body[data-state="ready"]');
  return { page, seen };
}

/** Puts a text in the box as a paste would, and reads it. */
async function paste(page, note) {
  await page.$eval('#status', (status) => (status.textContent = ''));
  await page.$eval('#note', (box, note) => {
    box.value = note;
    box.dispatchEvent(new Event('input', { bubbles: true }));
  }, note);
  await page.click('#tag');
  await page.waitForFunction(() => document.querySelector('#status').textContent.includes('tokens read'));
}

/** Gives the page a file, as the file dialog does. */
async function openFile(page, content) {
  const folder = mkdtempSync(join(tmpdir(), 'clinlite-note-'));
  const path = join(folder, 'note.txt');
  writeFileSync(path, content);
  await (await page.$('#file')).uploadFile(path);
  return () => rmSync(folder, { recursive: true });
}

const text = (page, selector) => page.$eval(selector, (node) => node.textContent);

describe('a visit', () => {
  let page;
  let seen;
  before(async () => {
    ({ page, seen } = await visit());
  });

  test('says what it is, what it is not, and what runs', async () => {
    assert.match(await text(page, '.intended'), /research, education.*Not a medical device.*not for decisions about individual patients/);
    assert.match(await text(page, '#about'), /Engine clinlite \d+\.\d+\.\d+, simd.*Model .*MB, sha256 [0-9a-f]{16}/);
    assert.equal(await text(page, '#egress'), '0 requests since the model was ready');
  });

  test('each sample is tagged at a press: marks, legend with counts, table, coverage', async () => {
    const samples = await page.$$('#samples button');
    assert.equal(samples.length, 3);
    for (const sample of samples) {
      await page.$eval('#status', (status) => (status.textContent = ''));
      await sample.click();
      await page.waitForFunction(() => document.querySelector('#status').textContent.includes('tokens read'));
      const shown = await page.evaluate(() => {
        const marks = [...document.querySelectorAll('#reader mark')];
        return {
          marks: marks.map((mark) => mark.textContent),
          rows: [...document.querySelectorAll('#rows button')].map((button) => button.textContent),
          counted: [...document.querySelectorAll('#legend b')].reduce((sum, { textContent }) => sum + Number(textContent), 0),
          whole: [...document.querySelectorAll('#reader div')].map((block) => block.textContent).join('') === document.querySelector('#note').value,
          status: document.querySelector('#status').textContent,
        };
      });
      assert.ok(shown.marks.length > 10, `${shown.marks.length} marks`);
      assert.deepEqual(shown.marks, shown.rows);
      assert.equal(shown.counted, shown.marks.length);
      assert.ok(shown.whole, 'the tagged note is the note, character for character');
      assert.match(shown.status, /^All [\d,]+ tokens read in \d+ windows?, nothing cut off\. Took [\d,]+ ms\.$/);
    }
  });

  test('reads 3,000 words to the last sentence, without a request', async () => {
    const before = host.served.length;
    const requests = seen.requests.length;
    await paste(page, longNote(3000));
    const last = await page.evaluate((sentence) => {
      const mark = [...document.querySelectorAll('#reader mark')].at(-1);
      const blocks = document.querySelector('#reader').textContent;
      return { text: mark.textContent, inside: sentence.includes(mark.textContent), end: blocks.endsWith(sentence) };
    }, LAST_SENTENCE);
    assert.ok(last.inside && last.end, JSON.stringify(last));
    assert.deepEqual([host.served.length, seen.requests.length], [before, requests]);
    assert.equal(await text(page, '#egress'), '0 requests since the model was ready');
    assert.equal(await text(page, '#since'), '0 by the page, 0 by the worker');
  });

  test('a file keeps its own line ends and characters', async () => {
    await page.$eval('#status', (status) => (status.textContent = ''));
    const note = '\ufeffHx: fever 😀 at 38.4 °C\r\n\tGiven aspirin 81 mg\r\n';
    const done = await openFile(page, note);
    await page.waitForFunction(() => document.querySelector('#status').textContent.includes('tokens read'));
    assert.equal(await page.$$eval('#reader div', (blocks) => blocks.map((block) => block.textContent).join('')), note.slice(1));
    done();
  });

  test('a file that is not UTF-8 is refused in words', async () => {
    const done = await openFile(page, Buffer.from([0x66, 0xff, 0xfe, 0x20]));
    await page.waitForSelector('#problem:not([hidden])');
    assert.match(await text(page, '#problem'), /not UTF-8/);
    done();
  });

  test('typing is read after a pause', async () => {
    await page.$eval('#note', (box) => (box.value = ''));
    await page.$eval('#status', (status) => (status.textContent = ''));
    await page.type('#note', 'She has pneumonia.');
    await page.waitForFunction(() => document.querySelector('#status').textContent.includes('tokens read'));
    assert.deepEqual(await page.$$eval('#reader mark', (marks) => marks.map((mark) => mark.textContent)), ['pneumonia']);
  });

  test('markup in a note stays text', async () => {
    const note = '<img src=x onerror="document.title=1"><script>document.title=2</script> fever &amp; <b>cough</b>';
    await paste(page, note);
    assert.equal(await page.$$eval('#reader div', (blocks) => blocks.map((block) => block.textContent).join('')), note);
    assert.equal(await page.$$eval('#main img, #main script, #main td b, #reader b', (nodes) => nodes.length), 0);
    assert.equal(await page.title(), 'clinlite');
  });

  test('a label can be hidden and shown', async () => {
    await paste(page, longNote(60));
    const visible = () => page.$$eval('#rows tr', (rows) => rows.filter((row) => row.offsetParent).length);
    const all = await visible();
    const chip = await page.$('#legend button');
    const count = Number(await chip.$eval('b', (bold) => bold.textContent));
    await chip.click();
    assert.equal(await visible(), all - count);
    assert.equal(await chip.evaluate((button) => button.getAttribute('aria-pressed')), 'false');
    await chip.click();
    assert.equal(await visible(), all);
  });

  test('the text is in no address, title or storage, and Clear removes it', async () => {
    await paste(page, 'MARKER-8215 with pneumonia');
    const kept = await page.evaluate(async () => [
      location.href, document.title, JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie,
      JSON.stringify(await caches.keys()), JSON.stringify(await indexedDB.databases()), JSON.stringify(history.state),
    ].join(' '));
    assert.doesNotMatch(kept, /MARKER/);
    const workers = page.workers();
    await page.click('#clear');
    assert.doesNotMatch(await page.evaluate(() => document.body.textContent + document.querySelector('#note').value), /MARKER/);
    await page.waitForFunction(() => document.querySelector('#busy').hidden);
    await page.waitForFunction(() => /fresh one/.test(document.querySelector('#status').textContent));
    assert.ok(workers.every((worker) => !page.workers().includes(worker)), 'the worker that read the note has ended');
    await paste(page, 'It reads again: pneumonia');
    assert.doesNotMatch(JSON.stringify([host.served, seen.requests]), /MARKER/);
  });

  test('nothing was written to the console, the policy was kept, no other host was asked', () => {
    assertQuiet(seen);
    assert.deepEqual(seen.requests.filter((url) => !url.startsWith(`${host.address}/`)), []);
  });
});

test('leaving the page empties it', async () => {
  const { page } = await visit();
  await paste(page, 'MARKER-8215 with pneumonia');
  await page.goto(`${host.address}/tests/blank.html`);
  await page.goBack();
  await page.waitForSelector('#note');
  assert.equal(await page.$eval('#note', (box) => box.value), '');
  assert.equal(await page.$$eval('mark', (marks) => marks.length), 0);
  await page.close();
});

test('a note may be taken while the model still loads', async () => {
  const { page, seen } = await host.newPage();
  await page.click('#samples button');
  await page.waitForSelector('mark');
  assert.ok(await page.$eval('#problem', ({ hidden }) => hidden));
  assertQuiet(seen);
  await page.close();
});

test('cancel stops a long note and loses nothing', async () => {
  const { page, seen } = await visit();
  const note = longNote(20_000);
  await page.$eval('#note', (box, note) => (box.value = note), note);
  await page.click('#tag');
  await page.waitForFunction(() => /window [2-9]/.test(document.querySelector('#doing').textContent));
  await page.click('#cancel');
  await page.waitForFunction(() => document.querySelector('#status').textContent.startsWith('Cancelled'));
  assert.equal(await page.$eval('#note', (box) => box.value.length), note.replaceAll('\r\n', '\n').length);
  assert.ok(await page.$eval('#problem', ({ hidden }) => hidden));
  assertQuiet(seen);
  await page.close();
});

test('the keyboard is enough', async () => {
  const { page, seen } = await visit();
  const focused = () => page.evaluate(() => ({ tag: document.activeElement.tagName, id: document.activeElement.id, text: document.activeElement.textContent, label: document.activeElement.dataset?.label }));
  const tabUntil = async (matches) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if (matches(await focused())) return;
    }
    assert.fail('not reached with Tab');
  };
  await tabUntil(({ text }) => text === 'Oncology clinic letter');
  await page.keyboard.press('Enter');
  await page.waitForSelector('mark');
  await tabUntil(({ tag }) => tag === 'MARK');
  const first = await focused();
  await page.keyboard.press('ArrowRight');
  const second = await focused();
  assert.notEqual(first.text, second.text);
  assert.ok(await page.$eval('#card', (card) => !card.hidden && card.getBoundingClientRect().width > 0), 'the card shows on focus');
  assert.match(await text(page, '#card'), new RegExp(`${second.label}.*\\d+ %`));
  await page.keyboard.press('Enter');
  assert.deepEqual([(await focused()).tag, (await focused()).text], ['BUTTON', second.text]);
  await page.keyboard.press('ArrowUp');
  assert.equal((await focused()).text, first.text);
  await page.keyboard.press('End');
  const last = await focused();
  await page.keyboard.press('Enter');
  assert.deepEqual([(await focused()).tag, (await focused()).text], ['MARK', last.text]);
  const inView = await page.evaluate(() => {
    const [mark, reader] = [document.activeElement, document.querySelector('#reader')].map((node) => node.getBoundingClientRect());
    return mark.top >= reader.top && mark.bottom <= reader.bottom;
  });
  assert.ok(inView, 'the text scrolled to the entity');
  assertQuiet(seen);
  await page.close();
});

describe('how it looks', () => {
  let page;
  let seen;
  before(async () => {
    ({ page, seen } = await visit());
    await page.click('#samples button');
    await page.waitForSelector('mark');
    await page.evaluate(AXE);
  });

  for (const [name, width, height] of [['phone', 390, 844], ['tablet', 820, 1180], ['desktop', 1440, 900], ['desktop at 200 % zoom', 640, 450]]) {
    test(`fits a ${name} and has no accessibility issue that is serious`, async () => {
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      await page.setViewport({ width, height });
      assert.ok(await fits(), 'no scrolling sideways');
      await page.click('#privacy summary');
      assert.ok(await fits(), 'nor with the privacy panel open');
      const issues = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
        return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ target }) => target).join(', ')}`);
      });
      assert.deepEqual(issues.filter((issue) => /^(serious|critical)/.test(issue)), []);
      await page.click('#privacy summary');
    });
  }

  test('on paper every mark carries its label, and the legend and the notice are there', async () => {
    await page.emulateMediaType('print');
    const printed = await page.evaluate(() => ({
      labels: [...document.querySelectorAll('mark')].map((mark) => {
        const { content, position, clipPath } = getComputedStyle(mark, '::after');
        return content.includes(mark.dataset.label) && position === 'static' && clipPath === 'none';
      }),
      shown: ['.legend', '.intended', '#rows', '#status', '#about'].map((selector) => document.querySelector(selector).getClientRects().length > 0),
      hidden: ['textarea', '.privacy', '#tag'].map((selector) => document.querySelector(selector).getClientRects().length === 0),
    }));
    await page.emulateMediaType(null);
    assert.ok(printed.labels.length > 10 && printed.labels.every(Boolean), 'label names in the text');
    assert.deepEqual([...printed.shown, ...printed.hidden], Array(8).fill(true));
  });

  test('forced colours keep the marks apart from the text', async () => {
    const session = await page.createCDPSession();
    await session.send('Emulation.setEmulatedMedia', { features: [{ name: 'forced-colors', value: 'active' }] });
    const [border, glyph] = await page.$eval('mark', (mark) => [getComputedStyle(mark).borderTopWidth, getComputedStyle(mark, '::before').content]);
    assert.equal(border, '1px');
    assert.match(glyph, /[▲◆■●✚★]/);
  });

  test('and nothing of this was said on the console', () => assertQuiet(seen));
});

test('the page and the command line give the same document', async () => {
  const note = longNote(1200);
  const folder = mkdtempSync(join(tmpdir(), 'clinlite-native-'));
  writeFileSync(join(folder, 'note.txt'), note);
  const binary = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
  assert.ok(existsSync(binary), `${binary} is built`);
  const command = ['tag', '--model', MODEL_FOLDER, '--format', 'json', '--offsets', 'utf16', join(folder, 'note.txt')];
  const { file, ...native } = JSON.parse(execFileSync(binary, command, { encoding: 'utf8', maxBuffer: 1 << 28 }));
  rmSync(folder, { recursive: true });
  const { page } = await host.newPage({ path: '/tests/blank.html' });
  const inPage = await page.evaluate(async (note) => {
    const { load } = await import('/pkg/dist/index.js');
    const tagger = await load({ model: '/models/clinlite-ner-en/', backend: 'simd' });
    return tagger.tag(note);
  }, note);
  assert.ok(native.entities.length > 50);
  assert.equal(file, join(folder, 'note.txt'));
  assert.deepEqual(inPage, native);
  await page.close();
});
