// Finds a Chrome or Chromium; `node chrome.mjs --install` installs Debian's when there is none.

import { pathToFileURL } from 'node:url';
import { findProgram, install } from './programs.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const ELSEWHERE = ['/opt/google/chrome/chrome', '/snap/bin/chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** The path of a browser, or undefined. The variable CHROME decides where it is set. */
export function findChrome() {
  return process.env.CHROME ?? findProgram(NAMES, ELSEWHERE);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (!findChrome() && process.argv.includes('--install')) install('chromium');
  const chrome = findChrome();
  if (!chrome) {
    console.error('no Chrome or Chromium found: install one, or set CHROME to its path');
    process.exit(1);
  }
  console.log(`browser: ${chrome}`);
}
