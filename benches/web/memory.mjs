// Memory of a page and its workers: what Linux says of their process. The page itself cannot say: Chromium's
// `measureUserAgentSpecificMemory` leaves WebAssembly out.

import { readFileSync } from 'node:fs';

/** Private bytes now and resident bytes at most, of the renderer that holds most: `{ now, most }`. */
export async function largestRenderer(browser) {
  const session = await browser.target().createCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => memoryOf(id));
  return renderers.reduce((largest, one) => (one.now > largest.now ? one : largest));
}

function memoryOf(process) {
  const status = readFileSync(`/proc/${process}/status`, 'utf8');
  const bytes = (name) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]);
  return { now: bytes('RssAnon') + bytes('RssShmem'), most: bytes('VmHWM') };
}
