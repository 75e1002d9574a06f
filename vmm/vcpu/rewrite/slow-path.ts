/**
 * What rewritten code asks of the host.
 *
 * Every access that the inline check does not clear arrives here, as imports of module `tsvmm_vm`. All arguments are i32 as
 * WebAssembly hands them to JavaScript (signed numbers), so the address of an access is `(addr >>> 0) + (off >>> 0)`: the
 * sum may exceed 2^32, which no memory backs. 64-bit values travel as two halves; the upper half of a result is left in the
 * hidden word `layout.hiWord`. The width of an access is the guest's: an 8-byte store to a register is one store64.
 *
 * A function that cannot complete an access throws; the exception ends the guest, or is caught by whoever entered it.
 * With fuel on, the exported global `tsvmm_fuel` is exact while one of these functions runs, and may be changed by it.
 */
export interface SlowPath {
  /** Zero-extended. */
  load8(addr: number, off: number): number;
  load16(addr: number, off: number): number;
  load32(addr: number, off: number): number;
  /** The lower half; the upper half goes to hiWord. */
  load64(addr: number, off: number): number;
  /** Upper bits of value are to be ignored. */
  store8(addr: number, off: number, value: number): void;
  store16(addr: number, off: number, value: number): void;
  store32(addr: number, off: number, value: number): void;
  store64(addr: number, off: number, lo: number, hi: number): void;
  /** A 128-bit store: only RAM can take it (clean, watched or page-crossing); anything else is a fault. */
  store128(addr: number, off: number, w0: number, w1: number, w2: number, w3: number): void;
  /** memory.copy where not all of source and destination is RAM that may be stored to directly. len is not 0. */
  copy(dst: number, src: number, len: number): void;
  /** memory.fill, likewise. */
  fill(dst: number, value: number, len: number): void;
  /** Before a memory.init over pages that are not all fast: the range must be RAM. */
  initBegin(dst: number, len: number): void;
  /** After it: the bytes have been written. */
  initEnd(dst: number, len: number): void;
  /** An access that has no slow form: does not return. */
  fault(addr: number, off: number, kind: number): void;
  /**
   * Fuel has run out (`tsvmm_fuel` is negative). The host lets time pass, delivers interrupts, refills by writing the
   * global, or throws to stop a runaway guest. Returning without a refill means the next check asks again.
   */
  safepoint(): void;
}

/** The import module of SlowPath's functions and of the guest's memory. */
export const VM_MODULE = 'tsvmm_vm';

/** Kinds of SlowPath.fault. */
export const FAULT = {
  /** A 128-bit load that is not wholly in RAM. */
  load128: 1,
  /** An atomic access that is not naturally aligned. */
  misaligned: 2,
  /** memory.atomic.wait: there is no second agent that could wake this one. */
  wait: 3,
  /** memory.atomic.notify outside RAM. */
  notify: 4,
} as const;

/** Import order: the index of each in the rewritten module is its place here after the guest's own function imports. */
export const SLOW_IMPORTS = [
  'load8',
  'load16',
  'load32',
  'load64',
  'store8',
  'store16',
  'store32',
  'store64',
  'store128',
  'copy',
  'fill',
  'initBegin',
  'initEnd',
  'fault',
  'safepoint',
] as const satisfies readonly (keyof SlowPath)[];

export type SlowName = (typeof SLOW_IMPORTS)[number];

/** i32 parameters and i32 results of each. */
export const SLOW_SIGNATURES: Readonly<Record<SlowName, readonly [params: number, results: number]>> = {
  load8: [2, 1],
  load16: [2, 1],
  load32: [2, 1],
  load64: [2, 1],
  store8: [3, 0],
  store16: [3, 0],
  store32: [3, 0],
  store64: [4, 0],
  store128: [6, 0],
  copy: [3, 0],
  fill: [3, 0],
  initBegin: [2, 0],
  initEnd: [2, 0],
  fault: [3, 0],
  safepoint: [0, 0],
};

/** The `tsvmm_vm` import object of a slow path and the guest's memory. */
export function slowPathImports(path: SlowPath, memory: WebAssembly.Memory): WebAssembly.ModuleImports {
  return {
    memory,
    load8: (addr: number, off: number) => path.load8(addr, off),
    load16: (addr: number, off: number) => path.load16(addr, off),
    load32: (addr: number, off: number) => path.load32(addr, off),
    load64: (addr: number, off: number) => path.load64(addr, off),
    store8: (addr: number, off: number, value: number) => path.store8(addr, off, value),
    store16: (addr: number, off: number, value: number) => path.store16(addr, off, value),
    store32: (addr: number, off: number, value: number) => path.store32(addr, off, value),
    store64: (addr: number, off: number, lo: number, hi: number) => path.store64(addr, off, lo, hi),
    store128: (addr: number, off: number, w0: number, w1: number, w2: number, w3: number) =>
      path.store128(addr, off, w0, w1, w2, w3),
    copy: (dst: number, src: number, len: number) => path.copy(dst, src, len),
    fill: (dst: number, value: number, len: number) => path.fill(dst, value, len),
    initBegin: (dst: number, len: number) => path.initBegin(dst, len),
    initEnd: (dst: number, len: number) => path.initEnd(dst, len),
    fault: (addr: number, off: number, kind: number) => path.fault(addr, off, kind),
    safepoint: () => path.safepoint(),
  };
}
