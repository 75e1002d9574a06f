import { any, bit, bits, number } from './bits.ts';
import { faultRecord } from './record.ts';
import type { Fault, Fetch, Fetcher, Outcome, Registers, Request, Unit } from './types.ts';

/** What every step has at hand. */
interface Job {
  readonly unit: Unit;
  readonly regs: Registers;
  readonly fetch: Fetcher;
  readonly request: Request;
  /** An FPD of a structure already read is 1. */
  fpd: boolean;
}

interface Context {
  readonly tt: number;
  readonly aw: number;
  readonly did: number;
  readonly table: bigint;
}

/** Reserved for interrupts in every address space: FEE0_0000h to FEEF_FFFFh. */
const INTERRUPT_RANGE: readonly [bigint, bigint] = [0xfee0_0000n, 0xfeef_ffffn];

/** Faults that hardware reports whatever FPD says (Fault Reason Encodings). */
const UNQUALIFIED = [0x01, 0x08, 0x09, 0x0a, 0x30, 0x31, 0x32];

/**
 * DMA remapping in legacy mode, one request within one 4 KiB page, without any cache: the steps in the order of the
 * specification's translation process. Page requests are out of scope.
 */
export function translate(unit: Unit, regs: Registers, fetch: Fetcher, request: Request): Outcome {
  const job: Job = { unit, regs, fetch, request, fpd: false };
  // An interrupt request is a DWORD write without PASID, untranslated; remapping of interrupts has its own enable.
  const toInterrupts = request.pasid === undefined && within(request.iova, INTERRUPT_RANGE);
  const interrupt = toInterrupts && request.at === 0 && request.access === 'write' && request.length === 4;
  // Step 1: translation disabled; no translations are given out then.
  if (!regs.te) {
    if (interrupt) return { kind: 'interrupt' };
    return request.at === 1 ? { kind: 'blocked' } : pass(job);
  }
  // Step 2: the translation table mode latched with the root pointer.
  if (regs.ttm !== 0) return fault(job, 0x30, 'request');
  // Step 3: the interrupt address range.
  if (interrupt) return { kind: 'interrupt' };
  if (toInterrupts && request.at === 0) return fault(job, 0x0e, 'request');
  if (toInterrupts && request.at === 1) return { kind: 'untranslated-only' };
  // Step 4: legacy mode knows no PASIDs.
  if (request.pasid !== undefined) return fault(job, 0x31, 'request');

  const context = readContext(job);
  if ('kind' in context) return context;
  if (request.at !== 0 && context.tt !== 1) return fault(job, 0x0d, 'context', true);
  if (request.at === 2) return passTranslated(job);
  if (context.tt === 2) return passThrough(job);
  return asCompletion(job, walk(job, context));
}

/** Untranslated while TES=0: the address is the physical address; protected ranges are closed. */
function pass(job: Job): Outcome {
  if (inProtected(job, job.request.iova)) return { kind: 'blocked' };
  return grant(job.request.iova, 0n, false);
}

/** Root entry, then context entry. */
function readContext(job: Job): Context | Fault {
  const { unit, regs, request } = job;
  const bus = request.sid >> 8;
  const devfn = request.sid & 0xff;

  const root = job.fetch({ what: 'root', gpa: regs.rootTable + BigInt(bus) * 16n, sid: request.sid }, 2);
  if (root === undefined) return fault(job, 0x08, 'root');
  const [root0, root1] = root as [bigint, bigint];
  if (!bit(root0, 0)) return fault(job, 0x01, 'root');
  // 63:12 is the context-table pointer, of which bits beyond the host address width are reserved.
  if (any(root0, 11, 1) || any(root0, 63, unit.haw) || root1 !== 0n) return fault(job, 0x0a, 'root', true);

  const table = bits(root0, 63, 12) << 12n;
  const entry = job.fetch({ what: 'context', gpa: table + BigInt(devfn) * 16n, sid: request.sid }, 2);
  if (entry === undefined) return fault(job, 0x09, 'context');
  const [lo, hi] = entry as [bigint, bigint];
  job.fpd = bit(lo, 1);
  if (!bit(lo, 0)) return fault(job, 0x02, 'context');
  if (any(lo, 11, 4) || any(lo, 63, unit.haw) || bit(hi, 7) || any(hi, 63, 24))
    return fault(job, 0x0b, 'context', true);

  const context: Context = {
    tt: number(lo, 3, 2),
    aw: number(hi, 2, 0),
    did: number(hi, 23, 8),
    table: bits(lo, 63, 12) << 12n,
  };
  return validContext(unit, context) ? context : fault(job, 0x03, 'context', true);
}

/** Context Entry: TT and AW values the unit supports. */
function validContext(unit: Unit, context: Context): boolean {
  const deviceTlb = bit(unit.ecap, 2);
  const passThroughSupported = bit(unit.ecap, 6);
  const sagaw = number(unit.cap, 12, 8);
  if (context.tt === 3) return false;
  if (context.tt === 1 && !deviceTlb) return false;
  if (context.tt === 2 && !passThroughSupported) return false;
  if (context.aw < 1 || context.aw > 3) return false;
  return (sagaw & (1 << context.aw)) !== 0;
}

/** AT=10 under TT=01: an address the endpoint got from us earlier. */
function passTranslated(job: Job): Outcome {
  const { iova } = job.request;
  if (iova >= 1n << BigInt(job.unit.haw)) return fault(job, 0x04, 'context', true);
  if (within(iova, INTERRUPT_RANGE)) return fault(job, 0x0e, 'context', true);
  if (inProtected(job, iova)) return { kind: 'blocked' };
  return grant(iova, 0n, false);
}

/** TT=10: input is output. */
function passThrough(job: Job): Outcome {
  const { iova } = job.request;
  if (iova >= 1n << BigInt(job.unit.haw)) return fault(job, 0x04, 'context', true);
  if (inProtected(job, iova)) return { kind: 'blocked' };
  return grant(iova, 0n, false);
}

/** Second-stage paging, 3, 4 or 5 levels of 9 bits. */
function walk(job: Job, context: Context): Outcome {
  const { unit, request } = job;
  const levels = context.aw + 2;
  const width = 12 + 9 * levels;
  const mgaw = number(unit.cap, 21, 16) + 1;
  if (request.iova >= 1n << BigInt(Math.min(width, mgaw))) return fault(job, 0x04, 'context', true);

  let table = context.table;
  let read = true;
  let write = true;
  for (let level = levels; ; level--) {
    const shift = 12 + 9 * (level - 1);
    const index = bits(request.iova, shift + 8, shift);
    const span = 1n << BigInt(shift);
    const base = (request.iova / span) * span;
    const at: Fetch = { what: 'second-stage', gpa: table + index * 8n, did: context.did, level, base, span };
    const entry = job.fetch(at, 1)?.[0];
    if (entry === undefined) return fault(job, 0x07, 'second-stage');
    const present = bit(entry, 0) || bit(entry, 1);
    read &&= bit(entry, 0);
    write &&= bit(entry, 1);
    const denied = denial(unit, request, read, write);
    if (denied !== undefined) return fault(job, denied, 'second-stage', present);
    const leaf = level === 1 || (bit(entry, 7) && largePage(unit, level));
    if (reservedSet(unit, entry, level, leaf)) return fault(job, 0x0c, 'second-stage', present);
    if (!leaf) {
      table = bits(entry, 51, 12) << 12n;
      continue;
    }
    const frame = (bits(entry, 51, 12) << 12n) & ~(span - 1n);
    const gpa = frame + (request.iova % span);
    if (within(gpa, INTERRUPT_RANGE)) return fault(job, 0x0e, 'second-stage', true);
    return { kind: 'ok', gpa, page: span, read, write, mayBeBlocked: inProtected(job, gpa) };
  }
}

/** The code of the refusal when the rights gathered so far do not suffice. Write is asked before read. */
function denial(unit: Unit, request: Request, read: boolean, write: boolean): number | undefined {
  // A translation request asks what is granted; only an entry that grants nothing at all ends it.
  if (request.at === 1) return read || write ? undefined : 0x06;
  const zeroLengthOk = bit(unit.cap, 22) && write;
  switch (request.access) {
    case 'write':
      return write ? undefined : 0x05;
    case 'read':
      return read ? undefined : 0x06;
    case 'zero-length-read':
      return read || zeroLengthOk ? undefined : 0x06;
    case 'atomic':
      if (!write) return 0x05;
      return read ? undefined : 0x06;
  }
}

/** CAP.SSLPS: bit 34 for 2 MiB leaves at level 2, bit 35 for 1 GiB leaves at level 3. */
function largePage(unit: Unit, level: number): boolean {
  return (level === 2 && bit(unit.cap, 34)) || (level === 3 && bit(unit.cap, 35));
}

/** Second-Stage Paging Entries: reserved bits. Bits 61:52, 63 and, since TM was removed, 62 are ignored. */
function reservedSet(unit: Unit, entry: bigint, level: number, leaf: boolean): boolean {
  const snoopControl = bit(unit.ecap, 7);
  // Address bits from the host address width up to 51.
  if (any(entry, 51, unit.haw)) return true;
  // PS where no leaf can be, or in a size the unit lacks.
  if (level > 1 && bit(entry, 7) && !leaf) return true;
  // Low address bits of a large leaf.
  if (leaf && level > 1 && any(entry, 12 + 9 * (level - 1) - 1, 12)) return true;
  // SNP of a leaf, where snooping cannot be controlled.
  return leaf && bit(entry, 11) && !snoopControl;
}

/** A translation request is answered with the rights it gets; where it gets none, with none, instead of a fault. */
function asCompletion(job: Job, outcome: Outcome): Outcome {
  const { at, access } = job.request;
  if (at !== 1) return outcome;
  if (outcome.kind === 'ok') {
    const wanted = (access !== 'write' && outcome.read) || (access !== 'read' && outcome.write);
    return wanted ? outcome : { kind: 'no-access' };
  }
  if (outcome.kind !== 'fault') return outcome;
  return [0x04, 0x05, 0x06, 0x0c].includes(outcome.code) ? { kind: 'no-access' } : outcome;
}

function grant(gpa: bigint, page: bigint, mayBeBlocked: boolean): Outcome {
  return { kind: 'ok', gpa, page, read: true, write: true, mayBeBlocked };
}

function within(address: bigint, [first, last]: readonly [bigint, bigint]): boolean {
  return address >= first && address <= last;
}

function inProtected(job: Job, gpa: bigint): boolean {
  const p = job.regs.protection;
  return p?.enabled === true && (within(gpa, p.low) || within(gpa, p.high));
}

function fault(job: Job, code: number, at: Fault['at'], present = false): Fault {
  const { request } = job;
  return {
    kind: 'fault',
    code,
    recorded: UNQUALIFIED.includes(code) || !job.fpd,
    record: faultRecord({ ...request, code, info: request.iova }),
    at,
    present,
  };
}
