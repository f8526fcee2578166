// Notes for the bench.

import { samples } from '../../www/samples.js';

/** A note of exactly so many words: the samples of the demo one after the other. */
export function noteOf(words) {
  const once = samples.map(({ note }) => note).join('\n').match(/\S+\s*/g);
  return Array.from({ length: words }, (_, i) => once[i % once.length]).join('');
}
