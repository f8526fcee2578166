// The real worker on a graphics processor that misbehaves as the query of this address says:
// `fault` is one of the faults below, `after` the number of submissions before a device is lost.

import '/pkg/dist/worker.js';

const { fault, after } = Object.fromEntries(new URL(self.location).searchParams);

const faults = {
  /** None at all; who asks on the channel `kernels` hears what was compiled and what the compiler had against it. */
  watched() {
    const { createShaderModule } = GPUDevice.prototype;
    const compiled = [];
    GPUDevice.prototype.createShaderModule = function (described) {
      const module = createShaderModule.call(this, described);
      const told = async ({ messages }) => messages.filter(({ type }) => type === 'error').map(({ message }) => message);
      compiled.push(module.getCompilationInfo().then(told).then((errors) => ({ name: described.label, code: described.code, errors })));
      return module;
    };
    const channel = new BroadcastChannel('kernels');
    channel.onmessage = async () => channel.postMessage(await Promise.all(compiled));
  },
  /** The device goes away after so many submissions, in the middle of whatever is being read. */
  lost() {
    const { requestDevice } = GPUAdapter.prototype;
    const { submit } = GPUQueue.prototype;
    let submissions = 0;
    const devices = [];
    GPUAdapter.prototype.requestDevice = async function (...args) {
      devices.push(await requestDevice.apply(this, args));
      return devices.at(-1);
    };
    GPUQueue.prototype.submit = function (...args) {
      submit.apply(this, args);
      if (++submissions === Number(after)) for (const device of devices) device.destroy();
    };
  },
  /** A compiler that takes no kernel. */
  shader() {
    const { createShaderModule } = GPUDevice.prototype;
    GPUDevice.prototype.createShaderModule = function (described) {
      return createShaderModule.call(this, { ...described, code: 'this is no shader' });
    };
  },
  /** No room for a buffer of more than some bytes. */
  memory() {
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (described) {
      return createBuffer.call(this, described.size > Number(after) ? { ...described, size: 2 ** 50, mappedAtCreation: false } : described);
    };
  },
  /** Less than every WebGPU must offer. */
  limits() {
    const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'limits');
    Object.defineProperty(GPUAdapter.prototype, 'limits', {
      get() {
        const small = { maxStorageBuffersPerShaderStage: 4 };
        return new Proxy(get.call(this), { get: (limits, name) => small[name] ?? limits[name] });
      },
    });
  },
};

faults[fault]();
