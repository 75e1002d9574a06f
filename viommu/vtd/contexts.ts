import {
  LCT_INVALID,
  LCT_NOT_PRESENT,
  LCT_READ_ERROR,
  LCT_RESERVED,
  LRT_NOT_PRESENT,
  LRT_READ_ERROR,
  LRT_RESERVED,
} from '../spec/vtd/faults.ts';
import { TT_DEVICE_TLB, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import type { WalkMemory } from '../walk/memory.ts';
import type { SecondStageOptions } from '../walk/second-stage.ts';
import { FROM_MEMORY } from '../watch/entry-steps.ts';
import type { AccessRecord } from './access-record.ts';
import type { VtdConfig } from './config.ts';

/** What the checks of a context entry depend on. */
export interface ContextOptions {
  /** Address bits at and above the host address width, upper word. */
  readonly reservedHi: number;
  /** CAP.SAGAW. */
  readonly widths: number;
  readonly deviceTlb: boolean;
  readonly passThrough: boolean;
}

const WIDEST: Readonly<Record<number, number>> = { 39: 1, 48: 2, 57: 3 };

export function contextOptions(config: VtdConfig): ContextOptions {
  const widest = WIDEST[config['aw-bits']]!;
  return {
    reservedHi: reservedAddressHi(config['aw-bits']),
    widths: (2 << widest) - 2,
    deviceTlb: config['device-iotlb'],
    passThrough: config.pt,
  };
}

const LARGE_PAGES = { none: 0, '2M': 1, '1G': 3 } as const;

/** Second-stage tables as the unit walks them. */
export function secondStageOptions(config: VtdConfig): SecondStageOptions {
  const qemu = config.profile === 'qemu';
  return {
    haw: config['aw-bits'],
    largePages: LARGE_PAGES[config['large-pages']],
    // docs/deviations.md: vtd-snoop-bit.
    snoop: config['snoop-control'] || (qemu && config['scalable-mode']),
    strict: qemu,
  };
}

/** Upper word of the address bits a unit of this host address width does not have. */
export function reservedAddressHi(bits: number): number {
  return ~(2 ** (bits - 32) - 1) >>> 0;
}

/**
 * Reads the root and the context entry of a requester (VT-d: Legacy Mode Address Translation), checks in the order of the
 * text. Returns 0 or the fault code; everything read is left in `record`.
 */
export function fetchContext(
  memory: WalkMemory,
  rootLo: number,
  rootHi: number,
  sid: number,
  options: ContextOptions,
  record: AccessRecord,
): number {
  const rootFault = fetchRoot(memory, rootLo, rootHi, sid >>> 8, options, record);
  if (rootFault !== 0) return rootFault;
  const address = ((record.root[0]! & 0xfffff000) | ((sid & 0xff) << 4)) >>> 0;
  record.contextAddress = address;
  record.contextUpper = record.root[1]!;
  const at = memory.locate(address, record.contextUpper, 16);
  if (at < 0) return LCT_READ_ERROR;
  copyEntry(memory, at, record.context);
  record.contextSource = FROM_MEMORY;
  return checkContext(record.context, options, record);
}

function fetchRoot(
  memory: WalkMemory,
  rootLo: number,
  rootHi: number,
  bus: number,
  options: ContextOptions,
  record: AccessRecord,
): number {
  const address = ((rootLo & 0xfffff000) | (bus << 4)) >>> 0;
  record.rootAddress = address;
  record.rootUpper = rootHi;
  const at = memory.locate(address, rootHi, 16);
  if (at < 0) return LRT_READ_ERROR;
  const root = record.root;
  copyEntry(memory, at, root);
  record.rootSource = FROM_MEMORY;
  if ((root[0]! & 1) === 0) return LRT_NOT_PRESENT;
  if (((root[0]! & 0xffe) | (root[1]! & options.reservedHi) | root[2]! | root[3]!) !== 0) return LRT_RESERVED;
  return 0;
}

/** FPD counts even in an entry that is not present. */
function checkContext(e: Uint32Array, options: ContextOptions, record: AccessRecord): number {
  record.faultDisabled = (e[0]! & 2) !== 0;
  if ((e[0]! & 1) === 0) return LCT_NOT_PRESENT;
  if (((e[0]! & 0xff0) | (e[1]! & options.reservedHi) | (e[2]! & 0xff000080) | e[3]!) !== 0)
    return LCT_RESERVED;
  const type = (e[0]! >>> 2) & 3;
  const width = e[2]! & 7;
  if (type === 3 || (options.widths & (1 << width)) === 0) return LCT_INVALID;
  if (type === TT_DEVICE_TLB && !options.deviceTlb) return LCT_INVALID;
  // That AW be the largest one with pass-through binds software; the unit takes every width it supports.
  if (type === TT_PASS_THROUGH && !options.passThrough) return LCT_INVALID;
  return 0;
}

function copyEntry(memory: WalkMemory, address: number, into: Uint32Array): void {
  const i = address >>> 2;
  into[0] = memory.u32[i]!;
  into[1] = memory.u32[i + 1]!;
  into[2] = memory.u32[i + 2]!;
  into[3] = memory.u32[i + 3]!;
}
