// Builds the checks for WebAssembly with simd128 and runs them: `node tests/wasm/run.mjs`.
// With --bench it prints timings instead: the minimum of many runs, one thread.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");

function build() {
  const options = ["--locked", "--quiet", "--release", "--target", "wasm32-unknown-unknown"];
  execFileSync("cargo", ["build", ...options, "-p", "clinlite-wasm-checks"], { cwd: root, stdio: "inherit" });
  return readFileSync(join(target, "wasm32-unknown-unknown/release/clinlite_wasm_checks.wasm"));
}

const { instance } = await WebAssembly.instantiate(build(), {});
const wasm = instance.exports;

/** Ends with the report if there is one. */
function mustBeEmpty(length) {
  if (length === 0) return;
  console.error(new TextDecoder().decode(new Uint8Array(wasm.memory.buffer, wasm.report(), length)));
  process.exit(1);
}

function write(bytes, pointer) {
  new Uint8Array(wasm.memory.buffer, pointer, bytes.length).set(bytes);
}

function writeName(name) {
  const bytes = new TextEncoder().encode(name);
  write(bytes, wasm.name(bytes.length));
}

/** Every tiny model whose weights are no pickle, against what PyTorch said of it. */
function checkModels() {
  const fixtures = join(root, "tests/fixtures/models");
  const has = (name, file) => existsSync(join(fixtures, name, file));
  const names = readdirSync(fixtures).filter((name) => has(name, "expected.safetensors") && has(name, "model.safetensors"));
  for (const name of names) {
    for (const file of readdirSync(join(fixtures, name))) {
      const bytes = readFileSync(join(fixtures, name, file));
      writeName(file);
      write(bytes, wasm.file(bytes.length));
    }
    writeName(name);
    mustBeEmpty(wasm.model());
  }
  return names.length;
}

function check() {
  mustBeEmpty(wasm.check());
  console.log("wasm: the simd backend agrees with the reference, bit by bit where it is exact");
  const models = checkModels();
  if (models < 14) throw new Error(`only ${models} models were compared`);
  console.log(`wasm: ${models} models of every architecture agree with PyTorch, in f32 and packed`);
}

/** The minimum in milliseconds. */
function time(kind, int8, rows, inputs, outputs, rounds) {
  if (!wasm.prepare(kind, int8, rows, inputs, outputs)) throw new Error("the work could not be prepared");
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    if (!wasm.work()) throw new Error("the work failed");
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function bench() {
  console.log(`node ${process.version}, minima, one thread`);
  for (const int8 of [0, 1]) {
    const form = int8 ? "int8" : "f32 ";
    for (const [inputs, outputs] of [[384, 384], [384, 1152], [384, 1536], [1536, 384]]) {
      const best = time(0, int8, 128, inputs, outputs, 200);
      const rate = (2 * 128 * inputs * outputs) / best / 1e6;
      console.log(`${form} product 128 x ${inputs} x ${outputs}: ${(best * 1e3).toFixed(0)} us, ${rate.toFixed(1)} Gop/s`);
    }
    const gelu = time(1, int8, 128, 384, 1536, 200);
    console.log(`${form} product 128 x 384 x 1536 with GELU: ${(gelu * 1e3).toFixed(0)} us`);
  }
  for (const rows of [32, 128, 256]) {
    console.log(`attention ${rows} x 384: ${(time(2, 0, rows, 384, 0, 200) * 1e3).toFixed(0)} us`);
  }
  console.log(`add_norm 128 x 384: ${(time(3, 0, 128, 384, 0, 500) * 1e3).toFixed(0)} us`);
  for (const rows of [128, 256]) {
    const [floats, int8] = [0, 1].map((int8) => time(4, int8, rows, 0, 0, 40));
    const ratio = (int8 / floats).toFixed(2);
    console.log(`encoder ${rows} rows: f32 ${floats.toFixed(1)} ms, int8 ${int8.toFixed(1)} ms, ratio ${ratio}`);
  }
  for (const words of [1000, 10000]) {
    const [read, judge] = [5, 6].map((kind) => time(kind, 0, words, 0, 0, 200).toFixed(2));
    console.log(`rules over a note of ${words} words: ${read} ms to read it, ${judge} ms to judge its mentions`);
  }
}

if (process.argv.includes("--bench")) bench();
else check();
