// The graphics processor in Chromium's own emulation, compiled by tint: the same answers, and nothing lost when it goes away.
// The emulation has no shader-f16.

import { choices, failures, graphics, refusesF16, sameAnswers, silence } from './webgpu.mjs';

const on = graphics({ flags: ['--enable-unsafe-webgpu'] });

// Half a minute a device: the other architectures compute with the same kernels, as Firefox shows.
sameAnswers(on, ['bert-bio-int8']);
refusesF16(on);
choices(on, { flags: ['--host-resolver-rules=MAP insecure.test 127.0.0.1'] });
failures(on);
silence(on);
