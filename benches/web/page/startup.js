// A page that wants one entity as soon as possible: `firstEntity` is when it had it, in milliseconds since the visit began.

const { engine, model, graph, workers } = Object.fromEntries(new URLSearchParams(location.search));
const NOTE = 'Admitted with pneumonia and treated with ceftriaxone.';

const starts = {
  async nothing() {
    return async () => ['a page without any engine'];
  },
  async clinlite() {
    const { load } = await import('/pkg/dist/index.js');
    const tagger = await load({ model: `/models/${model}/int8/`, workers: Number(workers) });
    return async (note) => (await tagger.tag(note)).entities;
  },
  async transformers() {
    const { transformers, graphOptions } = await import('./engines.js');
    const { pipeline } = await transformers(1);
    const classifier = await pipeline('token-classification', `${model}/f32`, graphOptions(graph));
    return (note) => classifier(note, { aggregation_strategy: 'simple' });
  },
};

const tag = await starts[engine]();
const entities = await tag(NOTE);
if (!entities.length) throw new Error(`${engine} found nothing`);
globalThis.firstEntity = performance.now();

/** Reads a note so many times, or as often as so many seconds allow; how often. For the driver to look at the memory. */
globalThis.read = async (note, most, seconds) => {
  const end = performance.now() + 1000 * seconds;
  let times = 0;
  for (; times < most && performance.now() < end; times++) await tag(note);
  return times;
};
