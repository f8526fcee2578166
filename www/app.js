/** The demo: a page on the public API of the package, and on nothing else. */

import { load } from './pkg/dist/index.js';
import { Egress } from './egress.js';
import { samples } from './samples.js';
import { View } from './view.js';

const MODEL = './models/clinlite-ner-en/';
const PAUSE_MS = 700;
const LONGEST_AUTOMATIC = 50_000; // characters; a longer note waits for the button
const LARGEST_FILE = 20_000_000; // bytes

const element = (id) => document.getElementById(id);
const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

const view = new View(element);
const egress = new Egress(element);
const box = element('note');
let original = null; // a file's or sample's own characters; the text box turns every line end into \n
let tagger = null; // a promise of one
let loading = null; // the AbortController of a model that comes in
let reading = null; // the AbortController of a note that is read
let timer = null;

function start() {
  const stop = (loading = new AbortController());
  const loaded = (tagger = load({ model: MODEL, signal: stop.signal, onProgress: showLoading }));
  progress('Loading the model …', null);
  loaded.then(ready, (error) => {
    if (tagger === loaded) tagger = null;
    element('about').textContent = 'No model is loaded.';
    problem(error);
  }).finally(() => {
    if (loading === stop) loading = null;
    idle();
  });
}

function showLoading({ stage, loaded, total }) {
  const what = stage === 'download' ? `Loading the model: ${megabytes(loaded)} of ${megabytes(total)}` : 'Checking and preparing the model …';
  progress(what, loaded / total);
}

function ready(loaded) {
  const { engine, model, bytes, loadMs } = loaded;
  element('about').textContent = `Engine ${engine.name} ${engine.version}, ${engine.backend} on WebAssembly. Model ${model.id} ${model.version}, ` +
    `${megabytes(bytes)}, sha256 ${model.sha256.slice(0, 16)}…, every file verified, ready after ${(loadMs / 1000).toFixed(1)} s.`;
  egress.ready(loaded);
  document.body.dataset.state = 'ready';
}

async function tag() {
  clearTimeout(timer);
  reading?.abort();
  const note = original ?? box.value;
  if (!note) return clearResult();
  const stop = (reading = new AbortController());
  if (!tagger) start();
  try {
    const engine = await tagger;
    progress('Reading the note …', null);
    const started = performance.now();
    const result = await engine.tag(note, { signal: stop.signal, onProgress: showTagging });
    const milliseconds = Math.round(performance.now() - started);
    problem(null);
    view.show(note, result);
    const { tokens, windows, truncated } = result.coverage;
    const coverage = truncated ? 'PART OF THE NOTE WAS NOT READ' : `All ${count(tokens, 'token')} read in ${count(windows, 'window')}, nothing cut off`;
    element('status').textContent = `${coverage}. Took ${milliseconds.toLocaleString('en')} ms.`;
    await egress.update(engine);
  } catch (error) {
    if (reading === stop) problem(error);
  } finally {
    if (reading === stop) reading = null;
    idle();
  }
}

function showTagging({ done, windows }) {
  progress(`Reading the note: window ${done.toLocaleString('en')} of ${windows.toLocaleString('en')}`, done / windows);
}

function progress(what, fraction) {
  element('busy').hidden = false;
  element('doing').textContent = what;
  if (fraction === null) element('progress').removeAttribute('value');
  else element('progress').value = fraction;
}

function idle() {
  element('busy').hidden = !loading && !reading;
}

/** Shows an error; the messages of the package never hold note text. */
function problem(error) {
  const cancelled = error?.code === 'E_ABORTED' || error?.code === 'E_DISPOSED';
  element('problem').hidden = !error || cancelled;
  element('problem').textContent = error ? `${error.message} (${error.code ?? error.name})` : '';
  if (error?.code === 'E_ABORTED') element('status').textContent = 'Cancelled. Nothing was changed.';
}

function clearResult() {
  view.clear();
  element('status').textContent = '';
  problem(null);
}

/** Puts a text in the box and reads it. */
function take(text) {
  original = text;
  box.value = text;
  box.scrollTop = 0;
  tag();
}

async function openFile(file) {
  if (!file) return;
  try {
    if (file.size > LARGEST_FILE) throw new Error(`the file has ${megabytes(file.size)}, this page takes up to ${megabytes(LARGEST_FILE)}`);
    take(new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer()));
  } catch (error) {
    problem(error instanceof TypeError ? new Error('the file is not UTF-8 text') : error);
  }
}

/** Empties the page and ends the worker, whose memory held the note; a fresh one takes its place. */
function clear() {
  forget();
  start();
  element('status').textContent = 'Cleared. The engine that read the note has ended; a fresh one starts.';
  box.focus();
}

function cancel() {
  reading?.abort();
  loading?.abort();
}

function forget() {
  clearTimeout(timer);
  cancel();
  tagger?.then((engine) => engine.dispose(), () => {});
  tagger = null;
  original = null;
  box.value = '';
  clearResult();
}

for (const { name, note } of samples) {
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: name });
  button.addEventListener('click', () => take(note));
  element('samples').append(button);
}

box.addEventListener('input', () => {
  original = null;
  clearTimeout(timer);
  if (element('auto').checked && box.value.length <= LONGEST_AUTOMATIC) timer = setTimeout(tag, PAUSE_MS);
});
element('tag').addEventListener('click', tag);
element('cancel').addEventListener('click', cancel);
element('clear').addEventListener('click', clear);
element('open').addEventListener('click', () => element('file').click());
element('file').addEventListener('change', ({ target }) => {
  openFile(target.files[0]);
  target.value = '';
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
document.addEventListener('dragleave', (event) => event.relatedTarget || document.body.classList.remove('dropping'));
document.addEventListener('drop', (event) => {
  document.body.classList.remove('dropping');
  const { files } = event.dataTransfer;
  if (!files.length) return; // text dropped into the box
  event.preventDefault();
  openFile(files[0]);
});
// A page that the browser keeps for "back" must not keep the note.
addEventListener('pagehide', forget);
addEventListener('pageshow', ({ persisted }) => persisted && start());

start();
