// Fair timing: all engines in turn, A B C A B C.

/** Milliseconds between two engines, so that what one leaves behind comes to rest. */
const REST = 5;
/** After several threads of onnxruntime-web: they go on spinning, which cost the next engine 30 to 40 % after REST, nothing after this. */
const REST_AFTER_THREADS = 150;

/**
 * Times every engine once a round after two rounds of warm-up, in which the browser compiles what is hot. There are `rounds.most` rounds, fewer when they would take longer than
 * `rounds.seconds`, but never fewer than `rounds.least`. `work(engine)` is what is timed. Adds `times` to copies of the engines.
 */
export async function inTurn(engines, rounds, work) {
  let rest = REST;
  const once = async (engine) => {
    await new Promise((resolve) => setTimeout(resolve, rest));
    rest = engine.threads > 1 ? REST_AFTER_THREADS : REST;
    const start = performance.now();
    await work(engine);
    return performance.now() - start;
  };
  const timed = engines.map((engine) => ({ ...engine, times: [] }));
  for (const engine of timed) await once(engine);
  let round = 0;
  for (const engine of timed) round += await once(engine);
  const affordable = Math.floor((1000 * rounds.seconds) / round);
  const count = Math.max(rounds.least, Math.min(rounds.most, affordable));
  for (let i = 0; i < count; i++) {
    for (const engine of timed) engine.times.push(await once(engine));
  }
  return timed;
}
