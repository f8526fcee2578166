// Everything that the bench runs, made or brought up to date: the models, the peers' graphs, and this library as WebAssembly.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const OUT = join(ROOT, 'target/bench');
const HERE = join(ROOT, 'benches/web');
const PACKED = join(ROOT, 'models/clinlite-ner-en');

/** The builds of the library: settings of cargo beside those of .cargo/config.toml. */
const BUILDS = {
  simd128: [],
  relaxed: ['--config', 'target.wasm32-unknown-unknown.rustflags=["-C", "target-feature=+relaxed-simd"]'],
};

const run = (command, args, options) => execFileSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });

/** A Python with onnx and onnxruntime as pinned, under target/. */
export function python() {
  const folder = join(OUT, 'python');
  const [binary, stamp] = [join(folder, 'bin/python'), join(folder, 'stamp')];
  const pinned = readFileSync(join(HERE, 'requirements.txt'), 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === pinned) return binary;
  const system = process.env.PYTHON ?? 'python3';
  try {
    run(system, ['-m', 'venv', '--clear', folder]);
    run(binary, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', join(HERE, 'requirements.txt')]);
  } catch {
    throw new Error(`the peers' graphs need Python 3.11 or later with venv, and the packages of benches/web/requirements.txt: ${system} could not set them up (PYTHON names another one)`);
  }
  writeFileSync(stamp, pinned);
  return binary;
}

/** The folder of the models; those that are up to date are left alone. */
export function models() {
  const folder = join(OUT, 'models');
  run('cargo', ['build', '--locked', '--quiet', '--bin', 'clinlite']);
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  run(python(), [join(HERE, 'models.py'), join(target, 'debug/clinlite'), PACKED, folder]);
  return folder;
}

/** The checks of tests/wasm, compiled as the product is: `[{ build, file }]`. */
export function wasm(names) {
  return names.map((build) => {
    if (!BUILDS[build]) throw new Error(`--builds: expected some of ${Object.keys(BUILDS).join(', ')}, found ${build}`);
    const folder = join(OUT, 'wasm', build);
    mkdirSync(folder, { recursive: true });
    const options = ['--locked', '--quiet', '--profile', 'wasm-release', '--target', 'wasm32-unknown-unknown', '--target-dir', folder];
    run('cargo', ['build', ...options, '-p', 'clinlite-wasm-checks', ...BUILDS[build]]);
    return { build, file: `${build}/wasm32-unknown-unknown/wasm-release/clinlite_wasm_checks.wasm` };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) models();
