// The real worker in a browser without WebAssembly SIMD.

import '/pkg/dist/worker.js';

WebAssembly.validate = () => false;
