import type { HiddenLayout } from '../../mem/layout.ts';
import type { OffsetMap } from './offset-map.ts';

export type FuelMode = 'exact' | 'off';

export interface RewriteOptions {
  readonly layout: HiddenLayout;
  /** `exact`: every executed instruction is counted in the exported global `tsvmm_fuel`, downwards. */
  readonly fuel: FuelMode;
  /** Emit metadata.code.branch_hint (default true). Hints never change what code does. */
  readonly branchHints?: boolean;
  /** memory.grow stops at this address (default: the end of RAM). */
  readonly growLimit?: number;
  /** A program of user mode: every access is translated (mmu-path.ts), data is placed by the kernel, memory.grow fails. */
  readonly userMode?: boolean;
  /** Name of the module in stack traces (default: its own). */
  readonly moduleName?: string;
}

export type ExternKind = 'func' | 'table' | 'memory' | 'global' | 'tag';

export interface ImportInfo {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternKind;
}

export interface ExportInfo {
  readonly name: string;
  readonly kind: ExternKind;
  /** Of functions: `i32 i64 -> i32`, as the guest declared it. */
  readonly type?: string;
}

export interface MutableGlobal {
  /** The export it can be read and written through. */
  readonly name: string;
  readonly type: string;
}

export interface SegmentInfo {
  readonly address: number;
  readonly size: number;
}

/** A data segment of a program, whose bytes stay in the original module. */
export interface ProgramSegment extends SegmentInfo {
  /** In the original. */
  readonly offset: number;
  /** False: for memory.init only. */
  readonly active: boolean;
}

export interface RewriteStats {
  readonly functions: number;
  readonly loads: number;
  readonly stores: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
}

/** Plain data: encodeRewritten and decodeRewritten carry it to and from a file. */
export interface RewriteResult {
  readonly version: number;
  readonly fuel: FuelMode;
  readonly wasm: Uint8Array<ArrayBuffer>;
  /** What the guest itself imports; its memory and the functions of `tsvmm_vm` are not among them. */
  readonly imports: readonly ImportInfo[];
  /** What the guest itself exports. */
  readonly exports: readonly ExportInfo[];
  /** Pages the module declares; statics, C stack and the initial heap are below initialPages * 64 KiB. */
  readonly initialPages: number;
  /** Where memory.grow stops. */
  readonly maximumPages: number;
  /** First address above the highest initialised byte. */
  readonly dataEnd: number;
  readonly segments: readonly SegmentInfo[];
  /** All data segments of a program of user mode, by index; [] of other modules. */
  readonly programSegments: readonly ProgramSegment[];
  /** Exported immutable i32 globals: `__heap_base`, `__data_end` and the like. */
  readonly constants: Readonly<Record<string, number>>;
  /** Every mutable global, fuel and memory size included: with RAM and tables, the state of the CPU. */
  readonly mutableGlobals: readonly MutableGlobal[];
  /** Export of the C stack pointer, when the name section tells which global it is. */
  readonly stackPointer: string | undefined;
  /** Export of the module's first table. */
  readonly table: string | undefined;
  /** Export of the start function; the host calls it, instantiation does not. */
  readonly start: string | undefined;
  /** By original function index; '' where no name is known. */
  readonly functionNames: readonly string[];
  readonly offsetMap: OffsetMap;
  readonly stats: RewriteStats;
}

/** Names the rewriter exports under. */
export const EXPORTS = {
  memory: 'memory',
  fuel: 'tsvmm_fuel',
  /** () -> i32 and (i32) -> (): fuel without a BigInt; exact while it is within i32. */
  getFuel: 'tsvmm_get_fuel',
  setFuel: 'tsvmm_set_fuel',
  pages: 'tsvmm_pages',
  table: 'tsvmm_table',
  start: 'tsvmm_start',
  globalPrefix: 'tsvmm_g',
} as const;
