// Finds a Chrome or Chromium; `node chrome.mjs --install` installs Debian's when there is none.

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const ELSEWHERE = ['/opt/google/chrome/chrome', '/snap/bin/chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** The path of a browser, or undefined. The variable CHROME decides where it is set. */
export function findChrome() {
  return process.env.CHROME ?? findProgram(NAMES, ELSEWHERE);
}

/** The path of the first program of these names that is there. */
export function findProgram(names, elsewhere = []) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return [...names.flatMap((name) => folders.map((folder) => join(folder, name))), ...elsewhere].find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Installs a package of Debian's. */
export function install(name) {
  const asRoot = process.getuid() === 0 ? [] : ['sudo'];
  for (const args of [['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', name]]) {
    const [command, ...rest] = [...asRoot, 'apt-get', ...args];
    execFileSync(command, rest, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  }
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
