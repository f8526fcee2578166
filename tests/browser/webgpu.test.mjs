// The graphics processor in Chromium's own emulation, compiled by tint: the same answers, and nothing lost when it goes away.
// The emulation has no shader-f16.

import { choices, failures, graphics, refusesF16, sameAnswers, silence } from './webgpu.mjs';

const on = graphics({ flags: ['--enable-unsafe-webgpu'] });

// Half a minute a device: of int8 one model, as Firefox has them all. The relation test has BERT and MobileBERT.
sameAnswers(on, ['distilbert-token', 'minialbert-token', 'bert-bio-int8']);
refusesF16(on);
choices(on, { flags: ['--host-resolver-rules=MAP insecure.test 127.0.0.1'] });
failures(on);
silence(on);
