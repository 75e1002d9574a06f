import { DELTA_ENTRY } from './delta.ts';
import {
  allowedFlags,
  D_CR,
  D_DST,
  D_FLAGS,
  D_HANDLE,
  D_OP,
  D_SIZE,
  D_SRC,
  FLAG_CR_REQUEST,
  FLAG_CR_VALID,
  OP_APPLY_DELTA,
  OP_BATCH,
  OP_COPY_CRC,
  OP_CREATE_DELTA,
  OP_DUALCAST,
  OPERATION,
  STATUS,
} from './descriptor.ts';

/** What a descriptor may use. */
export interface DescriptorRules {
  /** Largest transfer in bytes, and batch in descriptors. */
  maxTransfer: number;
  maxBatch: number;
  inBatch: boolean;
}

/** Where a check leaves the flags that were not allowed. */
export interface CheckResult {
  invalidFlags: number;
}

const OP_WORDS = 6;
const MAX_DELTA_SIZE = 0x80000;
const MIN_DELTA_RECORD = 80;

/** Checks a descriptor before anything of it is done. Returns 0 or a completion status (Intel DSA: Descriptor Checks). */
export function checkDescriptor(
  d: Uint32Array,
  at: number,
  rules: DescriptorRules,
  out: CheckResult,
): number {
  out.invalidFlags = 0;
  const opcode = d[at + D_FLAGS]! >>> 24;
  const operation = OPERATION[opcode];
  if (operation === undefined || (rules.inBatch && opcode === OP_BATCH)) return STATUS.opcode;
  const flags = d[at + D_FLAGS]! & 0xffffff;
  const invalid = invalidFlags(flags, allowedFlags(operation));
  if (invalid !== 0) {
    out.invalidFlags = invalid;
    return STATUS.flags;
  }
  if (reserved(d, at, operation.words)) return STATUS.reserved;
  if ((flags & FLAG_CR_VALID) !== 0 && (d[at + D_CR]! & 31) !== 0) return STATUS.recordAlignment;
  if (operation.sized) {
    const size = d[at + D_SIZE]!;
    if (size === 0 || size > rules.maxTransfer) return STATUS.size;
  }
  return checkOperation(d, at, opcode, rules);
}

/** A record can be asked for only where its address is said to be valid. */
function invalidFlags(flags: number, allowed: number): number {
  const wrong = flags & ~allowed;
  const asks = (flags & FLAG_CR_REQUEST) !== 0 && (flags & FLAG_CR_VALID) === 0;
  return asks ? wrong | FLAG_CR_REQUEST : wrong;
}

function reserved(d: Uint32Array, at: number, words: number): boolean {
  if ((d[at]! & 0x7ff00000) !== 0 || d[at + D_HANDLE]! >>> 16 !== 0) return true;
  for (let i = 0; i < OP_WORDS; i++) if ((words & (1 << i)) === 0 && d[at + D_OP + i] !== 0) return true;
  return false;
}

function checkOperation(d: Uint32Array, at: number, opcode: number, rules: DescriptorRules): number {
  const size = d[at + D_SIZE]!;
  switch (opcode) {
    case OP_BATCH:
      if ((d[at + D_SRC]! & 63) !== 0) return STATUS.listAlignment;
      return size < 2 || size > rules.maxBatch ? STATUS.count : 0;
    case OP_CREATE_DELTA: {
      const aligned = ((d[at + D_SRC]! | d[at + D_DST]! | d[at + D_OP]!) & 7) === 0;
      if (!aligned) return STATUS.alignment;
      if ((size & 7) !== 0 || size > MAX_DELTA_SIZE) return STATUS.size;
      const record = d[at + D_OP + 2]!;
      if (record % DELTA_ENTRY !== 0 || record < MIN_DELTA_RECORD) return STATUS.deltaSize;
      const overlaps =
        overlap(d, at + D_SRC, size, at + D_OP, record) || overlap(d, at + D_DST, size, at + D_OP, record);
      return overlaps ? STATUS.overlap : 0;
    }
    case OP_APPLY_DELTA: {
      if (((d[at + D_SRC]! | d[at + D_DST]!) & 7) !== 0) return STATUS.alignment;
      if ((size & 7) !== 0 || size > MAX_DELTA_SIZE) return STATUS.size;
      const record = d[at + D_OP]!;
      if (record === 0 || record % DELTA_ENTRY !== 0) return STATUS.deltaSize;
      return overlap(d, at + D_SRC, record, at + D_DST, size) ? STATUS.overlap : 0;
    }
    case OP_DUALCAST: {
      if (((d[at + D_DST]! ^ d[at + D_OP]!) & 0xfff) !== 0) return STATUS.dualcastAlignment;
      const overlaps =
        overlap(d, at + D_SRC, size, at + D_DST, size) ||
        overlap(d, at + D_SRC, size, at + D_OP, size) ||
        overlap(d, at + D_DST, size, at + D_OP, size);
      return overlaps ? STATUS.overlap : 0;
    }
    case OP_COPY_CRC:
      return overlap(d, at + D_SRC, size, at + D_DST, size) ? STATUS.overlap : 0;
    default:
      return 0;
  }
}

/** Whether [a, a + n) and [b, b + m) meet; i and j are where the addresses are. */
function overlap(d: Uint32Array, i: number, n: number, j: number, m: number): boolean {
  return below(d, i, j, n) || below(d, j, i, m);
}

/** Whether address b lies in [a, a + n). */
function below(d: Uint32Array, a: number, b: number, n: number): boolean {
  const lo = (d[b]! - d[a]!) >>> 0;
  const hi = (d[b + 1]! - d[a + 1]! - (d[b]! < d[a]! ? 1 : 0)) | 0;
  return hi === 0 && lo < n;
}
