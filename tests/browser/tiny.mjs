// Tiny models in a page: those of tests/fixtures, with what PyTorch answered and what the command line answers.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { open, ROOT } from './harness.mjs';

const BINARY = process.env.CLINLITE ?? join(ROOT, 'target/debug/clinlite');
/** The four architectures as taggers. */
export const ARCHITECTURES = ['bert-bio', 'distilbert-token', 'mobilebert-token', 'minialbert-token'];
const PLACES = { classify: 'tasks/classify', 'multi-label': 'tasks/multi-label', nli: 'tasks/nli', relation: 'tasks/relation', 'relation-replaced': 'tasks/relation-replaced', ...Object.fromEntries(ARCHITECTURES.map((name) => [name, `models/${name}`])) };

const fixture = (name, file) => join(ROOT, 'tests/fixtures', PLACES[name], file);

/** The questions of a fixture with what transformers answered. Python counts code points; entities become UTF-16. */
export function cases(name) {
  const utf16 = (text, at) => [...text].slice(0, at).join('').length;
  return JSON.parse(readFileSync(fixture(name, 'expected.json'))).map((stored) => {
    const place = ({ start, end, label }) => ({ start: utf16(stored.text, start), end: utf16(stored.text, end), label });
    return stored.entities ? { ...stored, entities: stored.entities.map(place) } : stored;
  });
}

/** A host of all fixtures and a page on it; `load()` keeps a model in the page, `ask()` asks it. */
export async function openTiny(options) {
  const host = await open(options);
  const folder = (name) => join(host.models, name);
  for (const name of Object.keys(PLACES)) serve(name, folder(name));
  const { page, seen } = await host.newPage({ path: '/tests/blank.html' });
  return {
    host, page, seen, folder,
    load: (options) => page.evaluate(load, options),
    ask: (method, calls) => page.evaluate(ask, method, calls),
    /** One more folder, a fixture whose config is changed. */
    serve: (name, of, edit) => serve(of, folder(name), edit),
    /** One more folder, a fixture as `clinlite pack` makes it: int8. */
    pack: (name, of) => execFileSync(BINARY, ['pack', fixture(of, ''), '--out', folder(name)], { stdio: 'ignore' }),
  };
}

/** Puts a fixture where the page finds it, with the manifest that it has not. */
function serve(name, folder, edit = () => {}) {
  mkdirSync(folder);
  const files = {};
  const add = (file, bytes) => {
    writeFileSync(join(folder, file), bytes);
    files[file] = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  };
  const config = JSON.parse(readFileSync(fixture(name, 'config.json')));
  edit(config);
  add('config.json', Buffer.from(JSON.stringify(config)));
  const isThere = (file) => existsSync(fixture(name, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'model.safetensors'].filter(isThere)) add(file, readFileSync(fixture(name, file)));
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ schema: 'clinlite/model/1', name, task: 'test', architecture: 'test', files }));
}

/** In the page: loads a model as `window.loaded`, on the CPU unless the options say otherwise; what it says about itself. */
async function load(options) {
  const { load } = await import('/pkg/dist/index.js');
  globalThis.loaded?.dispose();
  globalThis.loaded = await load({ backend: 'simd', ...options });
  const { engine, model, tagger, bytes } = globalThis.loaded;
  const methods = ['tag', 'relate', 'infer', 'classify'].filter((method) => method in globalThis.loaded);
  return { engine, model, tagger, bytes, methods };
}

/** In the page: what the method of the loaded model resolves to for each list of arguments. */
async function ask(method, calls) {
  const documents = [];
  for (const call of calls) documents.push(await globalThis.loaded[method](...call));
  return documents;
}

/** The documents of the command line about some questions, without where those stood. */
export function native(command, questions) {
  const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('');
  const output = execFileSync(BINARY, [...command, '--jsonl', '-'], { input, encoding: 'utf8' });
  return output.trim().split('\n').map((answer) => {
    const { file, line, ...document } = JSON.parse(answer);
    return document;
  });
}

/** Whether every entity is what the text holds at its place. */
export function sliced(text, { entities }) {
  return entities.every((entity) => entity.end > entity.start && text.slice(entity.start, entity.end) === entity.text);
}
