// The server and the browser of the bench. The pages are cross-origin isolated, so that the peers may use threads, and
// nothing outside this machine can be reached from them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { findChrome } from '../../tests/browser/chrome.mjs';
import { makeServer } from '../../www/serve.mjs';
import { ROOT } from './prepare.mjs';

const PEERS = join(ROOT, 'benches/web/node_modules');
const TRANSFORMERS = join(PEERS, '@huggingface/transformers');

/** Where the folders of the pages lie; the peers stand there once for each number of threads. */
function roots(models, wasm) {
  const all = { '/bench/': join(ROOT, 'benches/web/page'), '/pkg/': join(ROOT, 'pkg'), '/models/': models, '/wasm/': wasm };
  for (const threads of [1, 2]) {
    all[`/${threads}/onnxruntime-web/`] = join(PEERS, 'onnxruntime-web/dist');
    all[`/${threads}/transformers/`] = join(TRANSFORMERS, 'dist');
    all[`/${threads}/transformers-ort/`] = join(TRANSFORMERS, 'node_modules/onnxruntime-web/dist');
    all[`/${threads}/onnxruntime-common/`] = join(TRANSFORMERS, 'node_modules/onnxruntime-common/dist/esm');
  }
  return all;
}

const ISOLATED = {
  'Content-Security-Policy': "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob: data:",
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const TYPES = { '.mjs': 'text/javascript; charset=utf-8', '.onnx': 'application/octet-stream' };
const BROWSER = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PATIENCE = 1_800_000;

/** Starts both. `requested(start)` are the files below an address that were asked for since the start or the last visit. */
export async function open({ models, wasm }) {
  const folders = roots(models, wasm);
  const served = [];
  const intercept = ({ url }) => {
    served.push(url);
    return false;
  };
  const server = makeServer({ roots: folders, headers: ISOLATED, types: TYPES, intercept });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const profile = mkdtempSync(join(tmpdir(), 'clinlite-bench-'));
  const browser = await puppeteer.launch({ executablePath: findChrome(), headless: true, args: BROWSER, userDataDir: profile, protocolTimeout: PATIENCE });
  const address = `http://localhost:${server.address().port}`;
  const newPage = async (path, context = browser) => {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.on('pageerror', (error) => console.error(`page: ${error.message}`));
    await page.goto(address + path);
    return page;
  };
  const close = async () => {
    await browser.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  };
  const requested = (start) => filesOf(folders, served.filter((url) => url.startsWith(start)));
  return { browser, newPage, close, requested, visitTwice: (path) => visitTwice(browser, newPage, served, folders, path) };
}

/** Times of the first entity for a visitor who has nothing, and for the same one again; the files that the first visit took. */
async function visitTwice(browser, newPage, served, folders, path) {
  const context = await browser.createBrowserContext();
  const firstEntity = async () => {
    const page = await newPage(path, context);
    await page.waitForFunction('globalThis.firstEntity');
    const ms = await page.evaluate('firstEntity');
    await page.close();
    return ms;
  };
  served.length = 0;
  const cold = await firstEntity();
  const downloads = filesOf(folders, served);
  const warm = await firstEntity();
  await context.close();
  return { cold, warm, downloads };
}

/** `{ url, file }` of each address once. */
function filesOf(folders, urls) {
  const fileOf = (url) => {
    const path = new URL(url, 'http://localhost').pathname;
    const prefix = Object.keys(folders).filter((root) => path.startsWith(root)).sort((a, b) => b.length - a.length)[0];
    return prefix && join(folders[prefix], path.slice(prefix.length));
  };
  return [...new Set(urls)].map((url) => ({ url, file: fileOf(url) }));
}
