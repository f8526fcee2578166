// The encoders: each loads a model and has `run(ids)`, which resolves to the logits [ids, labels].

/** This runtime: the checks of tests/wasm, which are the library and an entry point for ids. */
export async function loadClinlite({ wasm, folder }) {
  const module = await WebAssembly.instantiateStreaming(fetch(wasm));
  const { memory, name, file, load, report, ids, forward, logits } = module.instance.exports;
  const write = (pointer, bytes) => new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
  const manifest = await (await fetch(`${folder}/manifest.json`)).json();
  for (const listed of ['manifest.json', ...Object.keys(manifest.files)]) {
    const fileName = new TextEncoder().encode(listed);
    const content = new Uint8Array(await (await fetch(`${folder}/${listed}`)).arrayBuffer());
    write(name(fileName.length), fileName);
    write(file(content.length), content);
  }
  const failed = load();
  if (failed) throw new Error(new TextDecoder().decode(new Uint8Array(memory.buffer, report(), failed)));
  const run = async (sequence) => {
    const pointer = ids(sequence.length);
    new Uint32Array(memory.buffer, pointer, sequence.length).set(sequence);
    const length = forward();
    if (!length) throw new Error('the forward pass failed');
    return new Float32Array(memory.buffer, logits(), length).slice();
  };
  return { run, dispose: () => {} };
}

/** onnxruntime-web's CPU engine with so many threads. */
export async function loadOnnxruntime({ threads, graph }) {
  const ort = await import(`/${threads}/onnxruntime-web/ort.wasm.bundle.min.mjs`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = `/${threads}/onnxruntime-web/`;
  const options = { executionProviders: ['wasm'], graphOptimizationLevel: 'all' };
  const session = await ort.InferenceSession.create(graph, options);
  const run = async (sequence) => {
    const tensor = (value) => new ort.Tensor('int64', BigInt64Array.from(sequence, value), [1, sequence.length]);
    const feeds = { input_ids: tensor(BigInt), attention_mask: tensor(() => 1n), token_type_ids: tensor(() => 0n) };
    return (await session.run(feeds)).logits.data;
  };
  return { run, dispose: () => session.release() };
}

/** transformers.js as its package comes: the build of onnxruntime-web that it asks for, on the CPU. */
export async function transformers(threads) {
  const library = await import(`/${threads}/transformers/transformers.web.min.js`);
  const { env } = library;
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = '/models/';
  const place = `${location.origin}/${threads}/transformers-ort/ort-wasm-simd-threaded.asyncify`;
  env.backends.onnx.wasm.wasmPaths = { mjs: `${place}.mjs`, wasm: `${place}.wasm` };
  env.backends.onnx.wasm.numThreads = threads;
  return library;
}

/** Makes transformers.js take a graph by the name of its file; "fp32" only says that the name has no ending. */
export const graphOptions = (graph) => ({ device: 'wasm', dtype: 'fp32', model_file_name: graph });

/** The encoder of transformers.js, which is another build of onnxruntime-web and its own tensors. */
export async function loadTransformers({ threads, model, graph }) {
  const { AutoModelForTokenClassification, Tensor } = await transformers(threads);
  const loaded = await AutoModelForTokenClassification.from_pretrained(model, graphOptions(graph));
  const run = async (sequence) => {
    const tensor = (value) => new Tensor('int64', BigInt64Array.from(sequence, value), [1, sequence.length]);
    const { logits } = await loaded({ input_ids: tensor(BigInt), attention_mask: tensor(() => 1n), token_type_ids: tensor(() => 0n) });
    return logits.data;
  };
  return { run, dispose: () => loaded.dispose() };
}
