// Text in, entities out: each loads a model and has `tag(note)` and `covered(note)`, the words that it reads.

import { graphOptions, transformers } from './engines.js';

const wordsOf = (text) => text.split(/\s+/).filter(Boolean);

/** The npm package, with so many workers; `started()` says how many it really has. */
async function loadClinlite({ folder, workers }) {
  const { load } = await import('/pkg/dist/index.js');
  let started = 0;
  const workerFactory = () => {
    started += 1;
    return new Worker('/pkg/dist/worker.js', { type: 'module' });
  };
  const tagger = await load({ model: folder, workers, workerFactory });
  const tag = async (note) => {
    const { entities } = await tagger.tag(note);
    return entities;
  };
  return { tag, covered: (note) => wordsOf(note).length, started: () => started, dispose: () => tagger.dispose() };
}

/** The pipeline of transformers.js, which reads the first 512 pieces of a note. */
async function loadPipeline({ model, graph, threads }) {
  const { pipeline } = await transformers(threads);
  const classifier = await pipeline('token-classification', model, graphOptions(graph));
  const tag = (note) => classifier(note, { aggregation_strategy: 'simple' });
  const room = 510;
  const covered = (note) => {
    const words = wordsOf(note);
    const fits = (count) => classifier.tokenizer.encode(words.slice(0, count).join(' '), { add_special_tokens: false }).length <= room;
    let [least, most] = [0, words.length];
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (fits(middle)) least = middle;
      else most = middle - 1;
    }
    return least;
  };
  return { tag, covered, dispose: () => classifier.dispose() };
}

/** All taggers of one model. A package that cannot use two workers has one row only. */
export async function loadTaggers({ name, graphs }) {
  const taggers = [];
  for (const dtype of ['int8', 'f32']) {
    const folder = `/models/${name}/${dtype}/`;
    for (const threads of [1, 2]) {
      const loaded = await loadClinlite({ folder, workers: threads });
      await loaded.tag('Fever and cough. '.repeat(200));
      if (loaded.started() === threads) taggers.push({ engine: 'clinlite', dtype, threads, ...loaded });
      else loaded.dispose();
    }
    const { graph } = graphs[dtype];
    for (const threads of crossOriginIsolated ? [1, 2] : [1]) {
      taggers.push({ engine: 'transformers.js', dtype, threads, graph, ...(await loadPipeline({ model: `${name}/f32`, graph, threads })) });
    }
  }
  return taggers;
}
