import { TG0_BITS } from '../spec/paging/vmsa.ts';
import { C_BAD_STE, C_BAD_STREAMID, F_STE_FETCH } from '../spec/smmuv3/faults.ts';
import { STRTAB_BASE, STRTAB_BASE_CFG } from '../spec/smmuv3/registers.ts';
import { ADDRESS_SIZES, CONFIG_NESTED, STE } from '../spec/smmuv3/structures.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { VmsaTables } from '../walk/vmsa.ts';
import type { ReadEntry } from './access-record.ts';
import { WORLD_EL2, WORLD_EL2_E2H } from './state.ts';
import { CD_TABLE, L1_CD_TABLE } from './table-kinds.ts';
import { STALLS_FORCED, STALLS_NEVER, STALLS_OPTIONAL, type UnitFeatures } from './unit.ts';

export const EATS_OFF = 0;
export const EATS_FULL = 1;
export const EATS_SPLIT = 2;
const EATS_DPT = 3;

/** Spans from here on act as 0. */
const SPANS = 12;
const STE_BYTES = 64;

/** An STE as the procedure uses it. */
export class Stream {
  /** STE.Config: 0 abort, CONFIG_BYPASS and on. */
  config = 0;
  stage1 = false;
  stage2 = false;
  contextLo = 0;
  contextHi = 0;
  cdMax = 0;
  format = 0;
  withoutSubstream = 0;
  /** Effective EATS. */
  ats = EATS_OFF;
  /** PRIVCFG and INSTCFG: 0 incoming, 2 and 3 override. */
  privilege = 0;
  instruction = 0;
  /** VMID, or one of the worlds without. */
  regime = 0;
  vmid = 0;
  /** Stage 1 of EL2 streams, with and without E2H. */
  el2 = false;
  single = false;
  stallsForbidden = false;
  stage2Stalls = false;
  stage2Records = false;
  responsePasid = false;
  readonly tables = new VmsaTables();
}

/** What of the registers the meaning of an STE depends on. */
export interface StreamControls {
  /** CR0.ATSCHK. */
  readonly checksTranslated: boolean;
  /** CR2.E2H. */
  readonly e2h: boolean;
}

const get = STE.get;

/** SMMUv3: Validity of STE. True when the words are a valid STE that is not ILLEGAL. */
export function isLegalSte(w: Uint32Array, at: number, u: UnitFeatures): boolean {
  if (get.V(w, at) === 0) return false;
  const config = get.Config(w, at);
  if ((config & 4) === 0) return true;
  const s1 = (config & 1) !== 0;
  const s2 = (config & 2) !== 0;
  if ((s1 && !u.s1) || (s2 && !u.s2)) return false;
  // docs/deviations.md: smmu-stall-disable.
  if (u.qemu && (s1 || s2) && get.S1STALLD(w, at) === 1) return false;
  if (s1 && !isLegalStage1(w, at, u, s2)) return false;
  if (u.ats && (s1 || s2) && !isLegalAts(w, at, u, config)) return false;
  return !s2 || isLegalStage2(w, at, u);
}

function isLegalStage1(w: Uint32Array, at: number, u: UnitFeatures, s2: boolean): boolean {
  if (!s2 && u.hyp && (get.STRW(w, at) & 1) !== 0) return false;
  if (get.S1STALLD(w, at) === 1 && u.stallModel !== STALLS_OPTIONAL) return false;
  // docs/deviations.md: smmu-substreams-absent.
  const max = u.ssidSize > 0 || u.qemu ? get.S1CDMax(w, at) : 0;
  const format = get.S1Fmt(w, at);
  if (max > u.ssidSize || (max > 0 && (format === 1 || format === 2) && !u.cd2l)) return false;
  if (!s2 && !u.vmid16 && u.s2 && get.S2VMID(w, at) > 0xff && (!u.hyp || get.STRW(w, at) === 0)) return false;
  // Input of stage 2 is as wide as its output.
  return (w[at + 1]! & addressBeyond(u.oas)) === 0;
}

function isLegalAts(w: Uint32Array, at: number, u: UnitFeatures, config: number): boolean {
  const stalls = get.S2S(w, at) === 1;
  switch (get.EATS(w, at)) {
    case EATS_FULL:
      return !((config & 2) !== 0 && stalls);
    case EATS_SPLIT:
      // Whatever CR0.ATSCHK says: that alone makes it act as 0, but no STE ILLEGAL (SMMUv3: STE, SteIllegal).
      return u.splitAts && config === CONFIG_NESTED && !stalls;
    default:
      return true;
  }
}

function isLegalStage2(w: Uint32Array, at: number, u: UnitFeatures): boolean {
  const granule = TG0_BITS[get.S2TG(w, at) as 0 | 1 | 2 | 3];
  if (get.S2AA64(w, at) === 0 || granule === 0 || (u.granules & (1 << granule)) === 0) return false;
  if (get.S2ENDI(w, at) === 1 || (!u.vmid16 && get.S2VMID(w, at) > 0xff)) return false;
  const stalls = get.S2S(w, at) === 1;
  if (stalls ? u.stallModel === STALLS_NEVER : u.stallModel === STALLS_FORCED) return false;
  if ((get.S2HA(w, at) === 1 && u.httu < 1) || (get.S2HD(w, at) === 1 && u.httu < 2)) return false;
  const size = get.S2T0SZ(w, at);
  // docs/deviations.md: smmu-stage2-range.
  const widest = u.qemu ? outputBits(get.S2PS(w, at), u.oas) : u.oas;
  if (size > largestSize(granule, u) || size < Math.max(16, 64 - widest)) return false;
  const start = startLevel(granule, get.S2SL0(w, at), u.stt);
  if (start < 0 || !fits(64 - size, granule, start)) return false;
  return (w[at + 7]! & addressBeyond(outputBits(get.S2PS(w, at), u.oas))) === 0;
}

/** TxSZ is at most this. */
export function largestSize(granule: number, u: UnitFeatures): number {
  if (!u.stt) return 39;
  return granule === 16 ? 47 : 48;
}

/** STE.S2SL0: the level, or -1. */
function startLevel(granule: number, sl0: number, stt: boolean): number {
  if (granule !== 12) return sl0 === 3 ? -1 : 3 - sl0;
  return sl0 === 3 ? (stt ? 3 : -1) : 2 - sl0;
}

/** Up to 16 tables at the start level, and more than one entry of it (DDI 0487: Concatenated translation tables). */
function fits(bits: number, granule: number, start: number): boolean {
  const stride = granule - 3;
  const below = (3 - start) * stride + granule;
  return bits >= below + 1 && bits <= below + stride + 4;
}

/** Bits of an IPS or S2PS code, no more than the unit has. */
export function outputBits(code: number, oas: number): number {
  return Math.min(ADDRESS_SIZES[code]!, oas);
}

/** Bits of the upper half of a 56-bit address field at and above `bits`. */
export function addressBeyond(bits: number): number {
  return 0xffffff & ~(2 ** (bits - 32) - 1);
}

/** Bits of the upper half of a descriptor's 48-bit address field at and above `bits`. */
export function descriptorBeyond(bits: number): number {
  return 0xffff & ~(2 ** (bits - 32) - 1);
}

/** Decodes a legal STE. */
export function decodeSte(w: Uint32Array, at: number, u: UnitFeatures, c: StreamControls, out: Stream): void {
  const config = get.Config(w, at);
  out.config = (config & 4) === 0 ? 0 : config;
  out.stage1 = (config & 5) === 5;
  out.stage2 = (config & 6) === 6;
  out.contextLo = w[at]! & -64;
  out.contextHi = w[at + 1]! & 0xffffff;
  out.cdMax = out.stage1 && u.ssidSize > 0 ? get.S1CDMax(w, at) : 0;
  out.format = get.S1Fmt(w, at);
  out.withoutSubstream = get.S1DSS(w, at);
  out.ats = u.ats ? get.EATS(w, at) : EATS_OFF;
  // IDR3.DPT is 0: 3 is reserved and acts as 0.
  if (out.ats === EATS_DPT || (out.ats === EATS_SPLIT && !c.checksTranslated)) out.ats = EATS_OFF;
  out.privilege = u.overrides ? get.PRIVCFG(w, at) : 0;
  out.instruction = u.overrides ? get.INSTCFG(w, at) : 0;
  out.el2 = out.stage1 && !out.stage2 && u.hyp && get.STRW(w, at) === 2;
  out.single = out.el2 && !c.e2h;
  out.vmid = u.s2 ? get.S2VMID(w, at) : 0;
  out.regime = out.el2 ? (c.e2h ? WORLD_EL2_E2H : WORLD_EL2) : out.vmid;
  out.stallsForbidden = get.S1STALLD(w, at) === 1;
  out.stage2Stalls = out.stage2 && get.S2S(w, at) === 1;
  out.stage2Records = get.S2R(w, at) === 1;
  out.responsePasid = get.PPAR(w, at) === 1;
  if (out.stage2) decodeStage2(w, at, u, out.tables);
}

function decodeStage2(w: Uint32Array, at: number, u: UnitFeatures, t: VmsaTables): void {
  t.granule = TG0_BITS[get.S2TG(w, at) as 0 | 1 | 2 | 3];
  t.start = startLevel(t.granule, get.S2SL0(w, at), u.stt);
  t.bits = 64 - get.S2T0SZ(w, at);
  const below = (3 - t.start) * (t.granule - 3) + t.granule;
  const tableBytes = 2 ** (t.bits - below + 3);
  t.tableLo = w[at + 6]! & -Math.max(tableBytes, 16);
  t.tableHi = w[at + 7]! & 0xffffff;
  t.beyond = descriptorBeyond(outputBits(get.S2PS(w, at), u.oas));
  t.ignoreAccess = get.S2AFFD(w, at) === 1;
  t.marksAccess = get.S2HA(w, at) === 1;
  t.marksDirty = get.S2HD(w, at) === 1;
  t.executeByLevel = u.xnx;
  // docs/deviations.md: smmu-concatenated-tables.
  t.firstTableOnly = u.qemu;
  // docs/deviations.md: smmu-table-size.
  t.tablesUnchecked = u.qemu;
  t.noDeviceTables = get.S2PTW(w, at) === 1;
}

/** Where STEs lie: what it found last, for reports and for events. */
export class StreamTable {
  /** FetchAddr of a fetch that was aborted. */
  fetchLo = 0;
  fetchHi = 0;
  readonly #regs: Uint32Array;
  readonly #memory: WalkMemory;
  readonly #u: UnitFeatures;
  readonly #qemu: boolean;

  constructor(regs: Uint32Array, memory: WalkMemory, u: UnitFeatures, qemu: boolean) {
    this.#regs = regs;
    this.#memory = memory;
    this.#u = u;
    this.#qemu = qemu;
  }

  /** Reads the STE of the stream into `ste`: 0, C_BAD_STREAMID, or F_STE_FETCH. */
  fetch(sid: number, l1std: ReadEntry, ste: ReadEntry): number {
    const cfg = this.#regs[STRTAB_BASE_CFG.offset / 4]!;
    const size = cfg & 0x3f;
    if (sid >= 2 ** Math.min(size, this.#u.sidSize)) return C_BAD_STREAMID;
    const baseLo = this.#regs[STRTAB_BASE.offset / 4]! & -64;
    const baseHi = this.#regs[STRTAB_BASE.offset / 4 + 1]! & 0xffffff;
    if (!this.#u.st2l || ((cfg >>> 16) & 3) !== 1) {
      const lo = alignedLo(baseLo, size + 6) + sid * STE_BYTES;
      return this.#read(lo, alignedHi(baseHi, size + 6), ste, STE_BYTES);
    }
    const split = splitOf((cfg >>> 6) & 0x1f);
    const tableBits = Math.max(6, size - split + 3);
    const at = alignedLo(baseLo, tableBits) + ((sid >>> split) << 3);
    const fetched = this.#read(at, alignedHi(baseHi, tableBits), l1std, 8);
    if (fetched !== 0) return fetched;
    const span = l1std.words[0]! & 0x1f;
    const index = sid & ((1 << split) - 1);
    // docs/deviations.md: smmu-span.
    if (this.#qemu) {
      if (span === 0) return C_BAD_STREAMID;
      if (index >= 2 ** span) return C_BAD_STE;
    } else if (span === 0 || span >= SPANS || span > split + 1 || index >= 2 ** (span - 1))
      return C_BAD_STREAMID;
    const lo = alignedLo(l1std.words[0]! & -64, 5 + Math.min(span, SPANS)) + index * STE_BYTES;
    return this.#read(lo, l1std.words[1]! & 0xffffff, ste, STE_BYTES);
  }

  #read(lo: number, hi: number, entry: ReadEntry, bytes: number): number {
    entry.at(lo, hi);
    const at = this.#memory.locate(lo, hi, bytes);
    if (at >= 0) {
      const { words } = entry;
      for (let i = 0; i < bytes >>> 2; i++) words[i] = this.#memory.u32[(at >>> 2) + i]!;
      return 0;
    }
    entry.source = 0;
    this.fetchLo = lo >>> 0;
    this.fetchHi = hi >>> 0;
    return F_STE_FETCH;
  }
}

function splitOf(written: number): number {
  return written === 8 || written === 10 ? written : 6;
}

/** The lower half of an address aligned to 2^bits; unsigned. */
export function alignedLo(lo: number, bits: number): number {
  return bits >= 32 ? 0 : (lo & -(2 ** bits)) >>> 0;
}

export function alignedHi(hi: number, bits: number): number {
  return bits <= 32 ? hi : hi & -(2 ** (bits - 32));
}

/** A table as a whole, for those who look at all of it. */
export interface TableExtent {
  /** Halves unsigned. */
  readonly lo: number;
  readonly hi: number;
  readonly entries: number;
}

/** The stream table, or its first level: then an entry stands for 2^split streams. */
export function streamTableExtent(
  regs: Uint32Array,
  u: UnitFeatures,
): TableExtent & { readonly split: number; readonly linear: boolean } {
  const cfg = regs[STRTAB_BASE_CFG.offset / 4]!;
  const size = cfg & 0x3f;
  const linear = !u.st2l || ((cfg >>> 16) & 3) !== 1;
  const split = linear ? 0 : splitOf((cfg >>> 6) & 0x1f);
  const bits = linear ? size + 6 : Math.max(6, size - split + 3);
  return {
    lo: alignedLo(regs[STRTAB_BASE.offset / 4]! & -64, bits),
    hi: alignedHi(regs[STRTAB_BASE.offset / 4 + 1]! & 0xffffff, bits),
    entries: 2 ** Math.max(0, Math.min(size, u.sidSize) - split),
    split,
    linear,
  };
}

/** The STEs of the level 1 descriptor at words[at], where it has any. */
export function secondStreamTable(words: Uint32Array, at: number, split: number): TableExtent | undefined {
  const span = words[at]! & 0x1f;
  if (span === 0 || span >= SPANS || span > split + 1) return undefined;
  return {
    lo: alignedLo(words[at]! & -64, 5 + span),
    hi: words[at + 1]! & 0xffffff,
    entries: 2 ** (span - 1),
  };
}

/** The CD table of a stream with stage 1, or its first level: then an entry stands for 2^shift substreams. */
export function contextTableExtent(
  stream: Stream,
): TableExtent & { readonly kind: number; readonly shift: number } {
  const { contextLo, contextHi: hi, cdMax, format } = stream;
  if (cdMax === 0 || format === 0 || format === 3)
    return { lo: alignedLo(contextLo, cdMax + 6), hi, entries: 2 ** cdMax, kind: CD_TABLE, shift: 0 };
  const shift = format === 1 ? 6 : 10;
  const entries = 2 ** Math.max(0, cdMax - shift);
  const lo = alignedLo(contextLo, Math.max(6, cdMax - shift + 3));
  return { lo, hi, entries, kind: L1_CD_TABLE, shift };
}
