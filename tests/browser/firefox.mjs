// Finds a Firefox; `node firefox.mjs --install` installs Debian's when there is none and it may.

import { pathToFileURL } from 'node:url';
import { canInstall, findProgram, install } from './programs.mjs';

const NAMES = ['firefox', 'firefox-esr'];
const ELSEWHERE = ['/snap/bin/firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'];

/** The path of a browser, or undefined. The variable FIREFOX decides where it is set. */
export function findFirefox() {
  return process.env.FIREFOX ?? findProgram(NAMES, ELSEWHERE);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (!findFirefox() && process.argv.includes('--install') && canInstall()) install('firefox-esr');
  const firefox = findFirefox();
  console.log(firefox ? `browser: ${firefox}` : 'no Firefox found, its tests will be skipped: install one, or set FIREFOX to its path');
}
