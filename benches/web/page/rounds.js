// Fair timing: all engines in turn, A B C A B C.

/** Lets what an engine has left behind (threads that still wait, garbage) come to rest. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

/**
 * Times every engine once a round after two rounds of warm-up, in which the browser compiles what is hot. There are `rounds.most` rounds, fewer when they would take longer than
 * `rounds.seconds`, but never fewer than `rounds.least`. `work(engine)` is what is timed. Adds `times` to copies of the engines.
 */
export async function inTurn(engines, rounds, work) {
  const once = async (engine) => {
    await pause();
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
