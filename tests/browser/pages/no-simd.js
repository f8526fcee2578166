// The real worker in a browser without WebAssembly SIMD.

import '/pkg/worker.js';

WebAssembly.validate = () => false;
