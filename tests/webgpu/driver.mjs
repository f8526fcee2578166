// Whether this machine has a Vulkan driver: prints 1 or nothing. `--install` installs Mesa's software driver where there is none.

import { readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { canInstall, install } from '../browser/programs.mjs';

const PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];
const FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

/** The drivers that are described in a folder. */
function described(folder) {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** A driver, and the loader that finds it. */
export function hasDriver() {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  const loader = spawnSync('ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '';
  return loader.includes('libvulkan.so.1') && (named !== undefined || FOLDERS.flatMap(described).length > 0);
}

/** The environment in which a program computes on Mesa's software driver, if that is there; else on what it finds. */
export function softwareDriver() {
  const files = FOLDERS.flatMap(described).find((path) => /\/lvp_icd\b[^/]*$/.test(path));
  return files ? { VK_DRIVER_FILES: files, VK_ICD_FILENAMES: files } : {};
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv.includes('--install')) {
    if (!hasDriver() && canInstall()) install(...PACKAGES);
    console.log(hasDriver() ? 'vulkan: a driver is installed' : 'vulkan: no driver, tests of the GPU will be skipped');
  } else if (hasDriver()) {
    console.log('1');
  }
}
