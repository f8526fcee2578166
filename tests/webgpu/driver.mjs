// Whether this machine has a Vulkan driver: prints 1 or nothing. `--install` installs Mesa's software driver where there is none.

import { readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { install } from '../browser/chrome.mjs';

const PACKAGES = ['libvulkan1', 'mesa-vulkan-drivers'];
const FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

function has(folder) {
  try {
    return readdirSync(folder).some((name) => name.endsWith('.json'));
  } catch {
    return false;
  }
}

/** A driver, and the loader that finds it. */
function hasDriver() {
  const named = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  const loader = spawnSync('ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '';
  return loader.includes('libvulkan.so.1') && (named !== undefined || FOLDERS.some(has));
}

function canInstall() {
  const isRoot = process.getuid?.() === 0 || spawnSync('sudo', ['-n', 'true']).status === 0;
  return process.platform === 'linux' && isRoot && spawnSync('apt-get', ['--version']).status === 0;
}

if (process.argv.includes('--install')) {
  if (!hasDriver() && canInstall()) PACKAGES.forEach(install);
  console.log(hasDriver() ? 'vulkan: a driver is installed' : 'vulkan: no driver, tests of the GPU will be skipped');
} else if (hasDriver()) {
  console.log('1');
}
