// The graphics processor in Firefox, compiled by naga, on Mesa's software driver: the same answers, in f16 too, and nothing lost
// when it goes away.

import { describe } from 'node:test';
import { hasDriver, softwareDriver } from '../../webgpu/driver.mjs';
import { findFirefox } from '../firefox.mjs';
import { choices, EVERY_MODEL, failures, graphics, sameAnswers, sameInF16, silence } from '../webgpu.mjs';

/** What Firefox on Linux does not do by itself, least of all with a software driver. */
const WEBGPU = { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true };

const missing = !findFirefox() ? 'there is no Firefox' : !hasDriver() && 'there is no Vulkan driver';

describe('Firefox', { skip: missing }, () => {
  const on = graphics({ firefox: { prefs: WEBGPU, env: softwareDriver() } });
  sameAnswers(on, EVERY_MODEL);
  sameInF16(on);
  choices(on, { firefox: { prefs: { 'dom.webgpu.enabled': true, 'network.dns.localDomains': 'insecure.test' } } });
  failures(on);
  silence(on);
});
