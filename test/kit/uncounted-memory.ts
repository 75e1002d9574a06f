/**
 * What `make` returns, with shared linear memory in it. V8 counts the bytes of others as its own and collects garbage for each
 * GiB of a machine, which takes longer than most tests. No guest can run in such memory.
 */
export function withUncountedMemory<T>(make: () => T): T {
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super({ ...descriptor, shared: true });
    }
  };
  try {
    return make();
  } finally {
    WebAssembly.Memory = Memory;
  }
}
