/**
 * MurmurHash3_x64_128 over byte strings: what the cache names entries by and checks them with. Loading node:crypto alone
 * takes 3 ms, a tenth of a warm start, and interpreted JavaScript needs 2 ms for a guest; WebAssembly is fast from its
 * first call. 128 bits keep accidents away; nobody is kept out, as the directory belongs to the user.
 */

/** hash.wat, assembled; a test compares the two. */
export const HASH_MODULE = [
  'AGFzbQEAAAABDQNgAX4BfmAAAGABfwADBwYAAAABAgIFAwEAAQYLAn4BQgALfgFCAAsHJAQGbWVtb3J5AgAFc3RhcnQAAwZi',
  'bG9ja3MABAZmaW5pc2gABQrwAgYfACAAQtWniYqR8t7hh39+Qh+JQv+mlrqyqOv6zAB+Cx8AIABC/6aWurKo6/rMAH5CIYlC',
  '1aeJipHy3uGHf34LNAAgACAAQiGIhULNmdbq/vrrqH9+IQAgACAAQiGIhULT2JfU4b+u50R+IQAgACAAQiGIhQsKAEIAJABC',
  'ACQBC5YBAgF/An4jACECIwEhAwJAA0AgASAATw0BIAIgASkDAELVp4mKkfLe4Yd/fkIfiUL/ppa6sqjr+swAfoVCG4kgA3xC',
  'BX5Cqc7zlgV8IQIgAyABKQMIQv+mlrqyqOv6zAB+QiGJQtWniYqR8t7hh39+hUIfiSACfEIFfkK1taXCA3whAyABQRBqIQEM',
  'AAsLIAIkACADJAELVgECfiMAQQApAwAQAIUgAK2FIQEjAUEIKQMAEAGFIACthSECIAEgAnwhASACIAF8IQIgARACIQEgAhAC',
  'IQIgASACfCEBQQAgATcDAEEIIAIgAXw3AwAL',
].join('');

interface Exports {
  readonly memory: WebAssembly.Memory;
  /** Starts a hash. */
  readonly start: () => void;
  /** Takes in the first `bytes` bytes of the memory, a multiple of BLOCK. */
  readonly blocks: (bytes: number) => void;
  /** Takes in the last block, filled up with zeros, and leaves the hash of `bytes` bytes at 0. */
  readonly finish: (bytes: number) => void;
}

const BLOCK = 16;
const CHUNK = 65536;
const HASH_BYTES = 16;

let made: Exports | undefined;

function module(): Exports {
  if (made === undefined) {
    const compiled = new WebAssembly.Module(Buffer.from(HASH_MODULE, 'base64'));
    made = new WebAssembly.Instance(compiled).exports as unknown as Exports;
  }
  return made;
}

/** The hash of the parts one after the other: 16 bytes. */
export function contentHash(parts: readonly Uint8Array[]): Uint8Array {
  const { memory, start, blocks, finish } = module();
  const u8 = new Uint8Array(memory.buffer);
  let length = 0;
  let filled = 0;
  start();
  for (const part of parts) {
    length += part.length;
    for (let at = 0; at < part.length; ) {
      const bytes = Math.min(part.length - at, CHUNK - filled);
      u8.set(part.subarray(at, at + bytes), filled);
      at += bytes;
      filled += bytes;
      if (filled < CHUNK) continue;
      blocks(CHUNK);
      filled = 0;
    }
  }
  const whole = filled - (filled % BLOCK);
  blocks(whole);
  u8.copyWithin(0, whole, filled);
  u8.fill(0, filled - whole, BLOCK);
  finish(length);
  return u8.slice(0, HASH_BYTES);
}
