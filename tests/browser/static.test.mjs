// What can be said of the files without a browser.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { BUDGET, download, sizes } from '../../pkg/build/sizes.mjs';
import { CSP, makeServer } from '../../www/serve.mjs';
import { ROOT } from './harness.mjs';

const SOURCES = ['connection.js', 'engine.js', 'error.js', 'files.js', 'gpu.js', 'index.js', 'pool.js', 'question.js', 'worker.js'];
const SERVED = ['clinlite_bg.wasm', 'clinlite_export.js', 'clinlite_export_bg.wasm', 'clinlite_relaxed_bg.wasm', 'index.js', 'worker.js'];
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const lines = (path) => read(path).split('\n').filter((line) => !/^\s*(\/\/|\/?\*|$)/.test(line)).length;

test('importing the package does nothing', async () => {
  const script = `const before = Object.keys(globalThis).length;
    const { load, ClinliteError } = await import(${JSON.stringify(join(ROOT, 'pkg/dist/index.js'))});
    if (Object.keys(globalThis).length !== before) throw new Error('a global appeared');
    const error = await load({ model: 'http://localhost/x/' }).catch((caught) => caught);
    if (!(error instanceof ClinliteError) || error.code !== 'E_UNSUPPORTED') throw error;
    console.log('inert');`;
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }), 'inert\n');
});

test('the package holds its files and nothing else, needs nothing, installs nothing', () => {
  const packed = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: join(ROOT, 'pkg'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const files = packed[0].files.map(({ path }) => path).sort();
  assert.deepEqual(files, [...[...SERVED, 'tagging-1.json'].map((file) => `dist/${file}`), 'index.d.ts', 'package.json'].sort());
  const { dependencies, scripts, type, exports } = JSON.parse(read('pkg/package.json'));
  assert.deepEqual([dependencies, scripts, type], [undefined, undefined, 'module']);
  assert.equal(Object.keys(exports['.'])[0], 'types');
});

test('no address of another host, no eval, one place that names the WebAssembly', () => {
  const sources = SOURCES.map((file) => `pkg/${file}`);
  const scripts = SERVED.filter((file) => file.endsWith('.js')).map((file) => `pkg/dist/${file}`);
  for (const path of [...sources, ...scripts, 'www/app.js', 'www/view.js', 'www/egress.js', 'www/samples.js', 'www/index.html', 'www/style.css']) {
    assert.doesNotMatch(read(path), /https?:\/\/|\beval\(|new Function|innerHTML|console\.(log|error|info|debug)/, path);
  }
  const naming = sources.filter((path) => /new URL\(['"][^'"]*\.wasm/.test(read(path)));
  assert.deepEqual(naming, ['pkg/engine.js']);
});

test('the page stays small: under 400 lines of script, comments not counted', () => {
  const total = lines('www/app.js') + lines('www/view.js') + lines('www/egress.js');
  assert.ok(total < 400, `${total} lines`);
});

test('the download budget: scripts and the larger WebAssembly, compressed, and the scripts alone', () => {
  const rows = sizes();
  assert.deepEqual(rows.map(({ file }) => file), SERVED);
  const { gzip } = download(rows);
  const scripts = rows.filter(({ file }) => file.endsWith('.js')).reduce((sum, row) => sum + row.gzip, 0);
  assert.ok(gzip > 200_000 && gzip <= BUDGET, `${gzip} bytes`);
  assert.ok(scripts < 25_000, `${scripts} bytes of scripts`);
});

test('the page states the policy that the server sends', () => {
  const stated = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(read('www/index.html'))[1];
  const sent = CSP.split('; ').filter((directive) => !directive.startsWith('frame-ancestors')); // has no effect in a page
  assert.deepEqual(stated.split('; '), sent);
  assert.match(CSP, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'/);
});

test('no lock file names a registry', () => {
  for (const folder of ['pkg/build', 'tests/browser']) assert.doesNotMatch(read(`${folder}/package-lock.json`), /"resolved"|\.tgz/);
});

test('the server keeps to its folders', async () => {
  const server = makeServer().listen(0, 'localhost');
  await new Promise((resolve) => server.on('listening', resolve));
  const status = (path, method = 'GET') => new Promise((resolve, reject) => {
    request({ port: server.address().port, host: 'localhost', path, method }, (response) => {
      response.resume().on('end', () => resolve([response.statusCode, response.headers]));
    }).on('error', reject).end();
  });
  const refused = ['/../Cargo.toml', '/..%2fCargo.toml', '/%2e%2e/Cargo.toml', '/pkg/../../Cargo.toml', '/pkg/build/package.json', '/pkg/build/node_modules/binaryen/package.json',
    '/serve.mjs', '/build.mk', '/.git/config', '/models/', '/models/../README.md', '/index.html%00.js', '//etc/passwd', '/%', '/pkg', '/nothing.js'];
  for (const path of refused) assert.equal((await status(path))[0], 404, path);
  assert.equal((await status('/', 'POST'))[0], 404);
  for (const path of ['/', '/index.html', '/app.js', '/pkg/dist/index.js', '/pkg/dist/worker.js', '/pkg/dist/clinlite_bg.wasm', '/?x=1']) {
    const [code, headers] = await status(path);
    assert.equal(code, 200, path);
    assert.equal(headers['content-security-policy'], CSP, path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
  }
  assert.equal((await status('/pkg/dist/clinlite_bg.wasm'))[1]['content-type'], 'application/wasm');
  server.close();
});
