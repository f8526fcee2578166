// Programs of this machine that tests need: where they are, and how they come to be there.

import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

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

/** Whether `install` can: on Debian and its kin, as root or without being asked for a password. */
export function canInstall() {
  const isRoot = process.getuid?.() === 0 || spawnSync('sudo', ['-n', 'true']).status === 0;
  return process.platform === 'linux' && isRoot && spawnSync('apt-get', ['--version']).status === 0;
}

/** Installs packages of Debian's. */
export function install(...names) {
  const asRoot = process.getuid() === 0 ? [] : ['sudo'];
  for (const args of [['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', ...names]]) {
    const [command, ...rest] = [...asRoot, 'apt-get', ...args];
    execFileSync(command, rest, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  }
}
