/** What a guest is compiled from and how; what comes out. */

import type { DiskCache } from '../cache/disk-cache.ts';

export interface GuestLayout {
  /** Lowest address of statics: above what the firmware writes. */
  readonly globalBase: number;
  /** Bytes of C stack; a multiple of 16. */
  readonly stackSize: number;
  /** First address of RAM; the stack can lie at its bottom only where this is 0. */
  readonly ramBase: number;
}

/**
 * q35: RAM from 0, ROM and ACPI tables below 1 MiB. The stack occupies 0 .. 512 KiB (`--stack-first`), statics start at 1 MiB.
 * Endless recursion then drives the stack pointer below 0, that is to 4 GiB - x, where there is no RAM: the next store
 * traps. With the stack above the statics it would silently overwrite them.
 */
export const Q35_LAYOUT: GuestLayout = { globalBase: 0x100000, stackSize: 0x80000, ramBase: 0 };

/**
 * virt: RAM from 1 GiB. The linker can put a stack first only at address 0, so here it lies above the statics, and the
 * loader must guard its lowest page (`CompiledGuest.stackLow`).
 */
export const VIRT_LAYOUT: GuestLayout = { globalBase: 0x40100000, stackSize: 0x80000, ramBase: 0x40000000 };

/** The layout of guests of the machine whose RAM begins there. */
export function layoutAt(ramBase: number): GuestLayout {
  return ramBase === VIRT_LAYOUT.ramBase ? VIRT_LAYOUT : Q35_LAYOUT;
}

/**
 * Programs of user processes: page 0 is not mapped, the stack occupies what the kernel maps of 64 KiB .. 512 KiB, statics start
 * at 1 MiB, the heap behind them. Endless recursion ends in a page fault below the stack.
 */
export const USER_LAYOUT: GuestLayout = { globalBase: 0x100000, stackSize: 0x80000, ramBase: 0 };

export interface CompileRequest {
  /** The main C file as the user typed it: diagnostics name it so. */
  readonly file: string;
  /** Further C files, as typed. */
  readonly extraFiles?: readonly string[];
  /** The SDK: `include/*.h` on the include path, `src/*.c` compiled and linked with the guest. Absent: no SDK. */
  readonly sdkDir?: string;
  /** Further `-I` directories, as typed. */
  readonly includeDirs?: readonly string[];
  /** `NAME` or `NAME=VALUE`. */
  readonly defines?: readonly string[];
  /** 'bundled' (the npm package) or the name or path of a clang. */
  readonly cc?: string;
  readonly optimise?: '0' | '1' | '2' | '3' | 's';
  /** No C library and no crt: the guest exports `main` itself. */
  readonly freestanding?: boolean;
  readonly layout?: GuestLayout;
  /** A program of a user process: the SDK's user library in place of the kernel's, freestanding, in USER_LAYOUT. */
  readonly userMode?: boolean;
  /** Colour in the diagnostics: where stderr is a terminal. */
  readonly color?: boolean;
  readonly cache?: DiskCache;
  /** Objects that came with the installation (the SDK's), as a cache that is only read. */
  readonly prebuilt?: DiskCache;
  /** Called with the compiler's own text, verbatim, before the promise settles. */
  readonly onDiagnostics?: (text: string) => void;
  readonly onProgress?: (stage: 'compiling' | 'linking') => void;
}

export interface CompiledGuest {
  readonly wasm: Uint8Array;
  /** Warnings, verbatim; also kept in the cache and shown again on a warm start. */
  readonly diagnostics: string;
  readonly cached: boolean;
  /** First address of the stack when it lies above the statics and must be guarded; undefined when overflow traps by itself. */
  readonly stackLow?: number;
}

/** One file of the guest's source, by its absolute path. */
export interface SourceFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Stands for the bytes in the keys of all units that include the file. */
  readonly digest: string;
}

/** What of a request decides the code of one translation unit. */
export interface UnitOptions {
  readonly optimise: '0' | '1' | '2' | '3' | 's';
  readonly defines: readonly string[];
  /** As given to the compiler; relative ones count from `cwd`. */
  readonly includeDirs: readonly string[];
  readonly freestanding: boolean;
  readonly color: boolean;
  /** Directory that relative names count from, in diagnostics and DWARF. */
  readonly cwd: string;
  /** Absolute directories and the names DWARF gives them: output then does not depend on where tsvmm is installed. */
  readonly debugPrefixes: readonly (readonly [string, string])[];
}

/** A translation unit with everything it may include. */
export interface Unit {
  /** As diagnostics shall name it. */
  readonly shown: string;
  readonly path: string;
  readonly files: readonly SourceFile[];
  readonly options: UnitOptions;
}
