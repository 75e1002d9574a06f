import {
  SCT_INVALID,
  SCT_NOT_PRESENT,
  SCT_READ_ERROR,
  SCT_RESERVED,
  SPD_NOT_PRESENT,
  SPD_READ_ERROR,
  SPD_RESERVED,
  SPT_INVALID,
  SPT_NOT_PRESENT,
  SPT_READ_ERROR,
  SPT_RESERVED,
  SRT_NOT_PRESENT,
  SRT_READ_ERROR,
  SRT_RESERVED,
} from '../spec/vtd/faults.ts';
import { PGTT_FIRST, PGTT_NESTED, PGTT_PASS_THROUGH, PGTT_SECOND } from '../spec/vtd/structures.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { FROM_MEMORY } from '../watch/entry-steps.ts';
import type { AccessRecord } from './access-record.ts';
import { stagesOf, type VtdConfig } from './config.ts';
import { contextOptions, reservedAddressHi } from './contexts.ts';

/** What the checks of scalable-mode structures depend on. */
export interface ScalableOptions {
  /** Address bits at and above the host address width, upper word. */
  readonly reservedHi: number;
  /** Reserved bits of word 0 of a context entry: DTE and PRE count as such where their feature is not offered. */
  readonly contextReserved: number;
  /** RID_PASID and RID_PRIV, where they are not offered: they have to be 0. */
  readonly ridInvalid: number;
  /** Fields of the other features count as 0 then: what counts in words 0 and 4 of a PASID-table entry. */
  readonly offered: readonly [number, number];
  /** PGTT values offered, a set of 1 << value. */
  readonly types: number;
  /** AW values offered. */
  readonly widths: number;
  readonly fiveLevels: boolean;
  /** docs/deviations.md: vtd-root-halves, vtd-scalable-reserved. */
  readonly qemu: boolean;
}

const DTE = 1 << 2;
const PRE = 1 << 4;
/** Of word 2. */
const RID_PASID = 0xfffff;
const RID_PRIV = 1 << 20;
/** Above RID_PASID and RID_PRIV. */
const RID_RESERVED = 0xffe00000;
/** Of words 0, 2 and 4 of a PASID-table entry. */
const PASID_RESERVED = [0xc00, 0x7f0000, 0xf00] as const;
const SSEE = 1 << 5;
const SSADE = 1 << 9;
const SRE = 1 << 0;
const ERE = 1 << 1;
const EAFE = 1 << 7;

export function scalableOptions(config: VtdConfig): ScalableOptions {
  const qemu = config.profile === 'qemu';
  const stages = stagesOf(config);
  const unless = (offered: boolean, bits: number) => (offered ? 0 : bits);
  const updates = config['accessed-dirty'];
  const execute = config['execute-requests'];
  return {
    reservedHi: reservedAddressHi(config['aw-bits']),
    contextReserved:
      0x1e0 |
      // docs/deviations.md: vtd-context-fields.
      unless(config['device-iotlb'] || qemu, DTE) |
      unless(config['page-requests'] || qemu, PRE),
    ridInvalid: qemu
      ? 0
      : unless(config['rid-pasid'], RID_PASID) | unless(config['supervisor-requests'], RID_PRIV),
    offered: [
      ~(unless(execute, SSEE) | unless(updates && stages.second, SSADE)),
      ~(
        unless(config['supervisor-requests'], SRE) |
        unless(execute, ERE) |
        unless(updates && stages.first, EAFE)
      ),
    ],
    types:
      (stages.first ? 1 << PGTT_FIRST : 0) |
      (stages.second ? 1 << PGTT_SECOND : 0) |
      (config.nested ? 1 << PGTT_NESTED : 0) |
      (config.pt ? 1 << PGTT_PASS_THROUGH : 0),
    widths: contextOptions(config).widths,
    fiveLevels: config['first-stage-5-level'],
    qemu,
  };
}

/**
 * Reads the half of the root entry and the context entry of a requester (VT-d: Scalable Mode Address Translation), checks
 * in the order of the text. Returns 0 or the fault code; everything read is left in `record`.
 */
export function fetchScalableContext(
  memory: WalkMemory,
  rootLo: number,
  rootHi: number,
  sid: number,
  options: ScalableOptions,
  record: AccessRecord,
): number {
  const { root } = record;
  const upper = (sid & 0x80) !== 0;
  const entry = ((rootLo & 0xfffff000) | ((sid >>> 8) << 4)) >>> 0;
  record.scalable = true;
  // Of the half that counts.
  record.rootAddress = upper ? entry + 8 : entry;
  record.rootUpper = rootHi;
  if (!copy(memory, entry, rootHi, root)) return SRT_READ_ERROR;
  record.rootSource = FROM_MEMORY;
  const half = upper ? 2 : 0;
  if ((root[half]! & 1) === 0) return SRT_NOT_PRESENT;
  // docs/deviations.md: vtd-root-halves.
  const other = options.qemu ? 2 - half : half;
  const reserved =
    ((root[half]! | root[other]!) & 0xffe) | ((root[half + 1]! | root[other + 1]!) & options.reservedHi);
  if (reserved !== 0) return SRT_RESERVED;
  record.contextAddress = ((root[half]! & 0xfffff000) | ((sid & 0x7f) << 5)) >>> 0;
  record.contextUpper = root[half + 1]!;
  if (!copy(memory, record.contextAddress, record.contextUpper, record.context)) return SCT_READ_ERROR;
  record.contextSource = FROM_MEMORY;
  return checkContext(record.context, options, record);
}

/** FPD counts even in an entry that is not present. */
function checkContext(e: Uint32Array, options: ScalableOptions, record: AccessRecord): number {
  record.faultDisabled = (e[0]! & 2) !== 0;
  if ((e[0]! & 1) === 0) return SCT_NOT_PRESENT;
  const own = (e[0]! & options.contextReserved) | (e[1]! & options.reservedHi);
  const rid = (e[2]! & RID_RESERVED) | e[3]!;
  if ((own | rid | e[4]! | e[5]! | e[6]! | e[7]!) !== 0) return SCT_RESERVED;
  return (e[2]! & options.ridInvalid) === 0 ? 0 : SCT_INVALID;
}

/**
 * Reads the PASID directory and table entry of `pasid` under the context entry in `record`, checks in the order of the
 * text. Returns 0 or the fault code.
 */
export function fetchPasidEntry(
  memory: WalkMemory,
  pasid: number,
  options: ScalableOptions,
  record: AccessRecord,
): number {
  const { context, directory, pasidEntry } = record;
  const offset = (context[0]! & 0xfffff000) + ((pasid >>> 6) << 3);
  record.directoryAddress = offset >>> 0;
  record.directoryUpper = context[1]! + (offset > 0xffffffff ? 1 : 0);
  if (!copy(memory, record.directoryAddress, record.directoryUpper, directory)) return SPD_READ_ERROR;
  record.directorySource = FROM_MEMORY;
  record.faultDisabled ||= (directory[0]! & 2) !== 0;
  if ((directory[0]! & 1) === 0) return SPD_NOT_PRESENT;
  const reserved = (directory[0]! & 0xffc) | (directory[1]! & options.reservedHi);
  if (reserved !== 0 && !options.qemu) return SPD_RESERVED;
  record.pasidAddress = ((directory[0]! & 0xfffff000) | ((pasid & 63) << 6)) >>> 0;
  record.pasidUpper = directory[1]!;
  if (!copy(memory, record.pasidAddress, record.pasidUpper, pasidEntry)) return SPT_READ_ERROR;
  record.pasidSource = FROM_MEMORY;
  const fault = checkPasidEntry(pasidEntry, options);
  // docs/deviations.md: vtd-fpd-pasid-entry.
  if (fault === 0 || !options.qemu) record.faultDisabled ||= (pasidEntry[0]! & 2) !== 0;
  return fault;
}

function checkPasidEntry(e: Uint32Array, options: ScalableOptions): number {
  const present = (e[0]! & 1) !== 0;
  // docs/deviations.md: vtd-pasid-entry-order.
  if (options.qemu) return isInvalid(e, options) ? SPT_INVALID : present ? 0 : SPT_NOT_PRESENT;
  if (!present) return SPT_NOT_PRESENT;
  if (hasReserved(e, options)) return SPT_RESERVED;
  return isInvalid(e, options) ? SPT_INVALID : 0;
}

/** Values of PGTT, AW and FSPM that are not offered. */
function isInvalid(e: Uint32Array, options: ScalableOptions): boolean {
  const type = (e[0]! >>> 6) & 7;
  if ((options.types & (1 << type)) === 0) return true;
  const width = (e[0]! >>> 2) & 7;
  const second = type === PGTT_SECOND || type === PGTT_NESTED;
  if (second && (options.widths & (1 << width)) === 0) return true;
  const mode = (e[4]! >>> 2) & 3;
  const first = type === PGTT_FIRST || type === PGTT_NESTED;
  return first && mode !== 0 && !(mode === 1 && options.fiveLevels);
}

function hasReserved(e: Uint32Array, options: ScalableOptions): boolean {
  const [own, domain, first] = PASID_RESERVED;
  let bits = (e[0]! & own) | (e[2]! & domain) | (e[4]! & first) | ((e[1]! | e[5]!) & options.reservedHi);
  for (let i = 6; i < 16; i++) bits |= e[i]!;
  return bits !== 0;
}

function copy(memory: WalkMemory, lo: number, hi: number, into: Uint32Array): boolean {
  const at = memory.locate(lo, hi, into.length * 4);
  if (at < 0) return false;
  const i = at >>> 2;
  for (let word = 0; word < into.length; word++) into[word] = memory.u32[i + word]!;
  return true;
}
