import { VM_MODULE } from './slow-path.ts';

/**
 * What the code of a user process asks of the host: translations that its tables lack, and what is not a plain access of RAM.
 *
 * Addresses are virtual. A translation is what must be added to the address, and 1 to that: see HiddenLayout.tlbRead. Where the
 * access is not one of RAM within a page, it leads to `layout.stage`: the bytes loaded lie there already, those stored are
 * taken from there by stored(). None of these returns before the access is allowed: page faults happen inside.
 */
export interface MmuPath {
  /** `form`: bytes of the access, with FORM_ATOMIC. */
  load(address: number, form: number): number;
  store(address: number, form: number): number;
  /** A load and a store of the same place. */
  modify(address: number, form: number): number;
  /** After the instruction that store() or modify() was for. */
  stored(): void;
  copy(dst: number, src: number, len: number): void;
  fill(dst: number, value: number, len: number): void;
  init(dst: number, src: number, len: number, segment: number): void;
  /** An access that cannot be: does not return. */
  fault(address: number, off: number, kind: number): void;
  safepoint(): void;
}

/** The access must be aligned naturally. */
export const FORM_ATOMIC = 0x100;
/** Bytes of the access. */
export const FORM_WIDTH = 0xff;

/** Import order. */
export const MMU_IMPORTS = [
  'load',
  'store',
  'modify',
  'stored',
  'copy',
  'fill',
  'init',
  'fault',
  'safepoint',
] as const satisfies readonly (keyof MmuPath)[];

export type MmuName = (typeof MMU_IMPORTS)[number];

/** i32 parameters and i32 results of each. */
export const MMU_SIGNATURES: Readonly<Record<MmuName, readonly [params: number, results: number]>> = {
  load: [2, 1],
  store: [2, 1],
  modify: [2, 1],
  stored: [0, 0],
  copy: [3, 0],
  fill: [3, 0],
  init: [4, 0],
  fault: [3, 0],
  safepoint: [0, 0],
};

/** Imports at which a process built blocking can be unwound, as binaryen names them. */
export const MMU_UNWINDING: readonly string[] = [
  'load',
  'store',
  'modify',
  'copy',
  'fill',
  'init',
  'safepoint',
].map((name) => `${VM_MODULE}.${name}`);

/** The `tsvmm_vm` import object of a process. */
export function mmuPathImports(path: MmuPath, memory: WebAssembly.Memory): WebAssembly.ModuleImports {
  return {
    memory,
    load: (address: number, form: number) => path.load(address, form),
    store: (address: number, form: number) => path.store(address, form),
    modify: (address: number, form: number) => path.modify(address, form),
    stored: () => path.stored(),
    copy: (dst: number, src: number, len: number) => path.copy(dst, src, len),
    fill: (dst: number, value: number, len: number) => path.fill(dst, value, len),
    init: (dst: number, src: number, len: number, segment: number) => path.init(dst, src, len, segment),
    fault: (address: number, off: number, kind: number) => path.fault(address, off, kind),
    safepoint: () => path.safepoint(),
  };
}
