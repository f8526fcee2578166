// One browser, one server and what every test watches: console, errors, violations of the policy, requests.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { makeServer, ROOTS } from '../../www/serve.mjs';
import { findChrome } from './chrome.mjs';
import { findFirefox } from './firefox.mjs';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const MODEL = 'clinlite-ner-en';
/** The default model; CLINLITE_MODEL names another folder. */
export const MODEL_FOLDER = process.env.CLINLITE_MODEL ?? join(ROOT, 'models', MODEL);

const QUIET = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Milliseconds that a busy machine may take for what takes a second. */
const PATIENCE = 120_000;

/**
 * Starts a server, of another built package if `pkg` names one, and a browser: Chromium with these flags, or Firefox with the
 * preferences and the environment of `firefox`. `close()` ends both. Requests that reach the server are counted in `served`.
 */
export async function open({ intercept = () => false, pkg = ROOTS['/pkg/'], flags = ['--disable-gpu'], firefox } = {}) {
  const served = [];
  const models = mkdtempSync(join(tmpdir(), 'clinlite-models-'));
  cpSync(MODEL_FOLDER, join(models, MODEL), { recursive: true });
  const watch = (request, response) => {
    served.push(request.url);
    return intercept(request, response) || withoutPolicy(request, response);
  };
  const server = makeServer({ roots: { ...ROOTS, '/pkg/': pkg, '/models/': models, '/tests/': join(ROOT, 'tests/browser/pages') }, intercept: watch });
  await new Promise((resolve) => server.listen(0, 'localhost', resolve));
  const profile = mkdtempSync(join(tmpdir(), 'clinlite-profile-'));
  const kind = firefox ? inFirefox(firefox) : { executablePath: findChrome(), args: [...QUIET, ...flags] };
  const browser = await puppeteer.launch({ ...kind, headless: true, userDataDir: profile, timeout: PATIENCE, protocolTimeout: 2 * PATIENCE });
  const address = `http://localhost:${server.address().port}`;
  const close = async () => {
    await browser.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    for (const folder of [profile, models]) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  return { browser, address, served, models, close, newPage: (options) => newPage(browser, address, { isSpied: !firefox, ...options }) };
}

function inFirefox({ prefs = {}, env = {} }) {
  return { browser: 'firefox', executablePath: findFirefox(), extraPrefsFirefox: prefs, env: { ...process.env, ...env } };
}

/** A page without a policy, on which a worker may come from anywhere. */
function withoutPolicy(request, response) {
  if (request.url !== '/without-policy.html') return false;
  response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>no policy</title><link rel="icon" href="data:,">');
  return true;
}

/** A page at `path` and everything that happened on it, its workers included; Firefox tells less. */
async function newPage(browser, address, { path = '/', width = 1280, height = 900, isSpied }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const seen = { console: [], errors: [], violations: [], requests: [] };
  page.on('console', (message) => seen.console.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(error.message));
  if (isSpied) await spyOn(page, seen);
  await page.setViewport({ width, height });
  await page.goto(address + path);
  return { page, seen };
}

/** Requests and violations of the policy, which only Chromium's protocol tells. */
async function spyOn(page, seen) {
  const spy = async (session) => {
    session.on('Network.requestWillBeSent', ({ request }) => seen.requests.push(request.url));
    session.on('Audits.issueAdded', ({ issue }) => issue.code === 'ContentSecurityPolicyIssue' && seen.violations.push(JSON.stringify(issue.details)));
    await session.send('Network.enable');
  };
  // A worker may have ended before it could be watched: a page lets go of one that it has no more use for.
  const failed = (worker, error) => page.workers().includes(worker) && seen.errors.push(error.message);
  page.on('workercreated', (worker) => spy(worker.client).catch((error) => failed(worker, error)));
  const session = await page.createCDPSession();
  await spy(session);
  await session.send('Audits.enable');
}

/** Nothing was written to the console, nothing went wrong unnoticed, the policy was kept. */
export function assertQuiet(seen) {
  assert.deepEqual({ ...seen, requests: [] }, { console: [], errors: [], violations: [], requests: [] });
}

/** Waits until `holds()` does. */
export async function until(holds, what) {
  for (const end = Date.now() + PATIENCE; !holds(); ) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Loads the model in a page, on the CPU unless the options say otherwise, and keeps the tagger as `window.tagger`. */
export async function loadTagger(page, options) {
  return page.evaluate(async (options) => {
    const { load } = await import('/pkg/dist/index.js');
    globalThis.tagger?.dispose();
    globalThis.tagger = await load(options);
    const { engine, kernels, model, bytes } = globalThis.tagger;
    return { engine, kernels, model, bytes };
  }, { model: `/models/${MODEL}/`, backend: 'simd', ...options });
}

/** `{ code, name, message }` of what `load()` throws, or `{ loaded: true }`. */
export async function loadFailure(page, options) {
  return page.evaluate(async (options) => {
    const { load } = await import('/pkg/dist/index.js');
    try {
      (await load(options)).dispose();
      return { loaded: true };
    } catch ({ code, name, message }) {
      return { code, name, message };
    }
  }, options);
}
