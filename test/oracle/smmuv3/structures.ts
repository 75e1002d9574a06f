import { bits } from '../vtd/bits.ts';
import { addressSize, type Registers, type Unit } from './types.ts';

/** Eight quadwords; bits count from bit 0 of the first. */
export type Words = readonly bigint[];

function field(words: Words, high: number, low: number): bigint {
  const word = low >> 6;
  return bits(words[word]!, high - word * 64, low - word * 64);
}

function num(words: Words, high: number, low = high): number {
  return Number(field(words, high, low));
}

function flag(words: Words, at: number): boolean {
  return num(words, at) === 1;
}

/** Stream Table Entry, without the fields that only say how memory is cached. */
export interface Ste {
  readonly valid: boolean;
  readonly config: number;
  readonly s1: boolean;
  readonly s2: boolean;
  readonly fmt: number;
  readonly contextPtr: bigint;
  readonly cdMax: number;
  readonly dss: number;
  readonly stallDisabled: boolean;
  readonly eats: number;
  readonly strw: number;
  readonly privCfg: number;
  readonly instCfg: number;
  readonly vmid: number;
  readonly stage2: Stage2Config;
  readonly s2s: boolean;
  readonly s2r: boolean;
}

export interface Stage2Config {
  readonly t0sz: number;
  readonly sl0: number;
  readonly tg: number;
  readonly ps: number;
  readonly aa64: boolean;
  readonly bigEndian: boolean;
  readonly affd: boolean;
  readonly ptw: boolean;
  readonly ha: boolean;
  readonly hd: boolean;
  readonly ttb: bigint;
}

export function steOf(w: Words): Ste {
  const config = num(w, 3, 1);
  return {
    valid: flag(w, 0),
    config,
    s1: config === 5 || config === 7,
    s2: config === 6 || config === 7,
    fmt: num(w, 5, 4),
    contextPtr: field(w, 55, 6) << 6n,
    cdMax: num(w, 63, 59),
    dss: num(w, 65, 64),
    stallDisabled: flag(w, 91),
    eats: num(w, 93, 92),
    strw: num(w, 95, 94),
    privCfg: num(w, 113, 112),
    instCfg: num(w, 115, 114),
    vmid: num(w, 143, 128),
    stage2: {
      t0sz: num(w, 165, 160),
      sl0: num(w, 167, 166),
      tg: num(w, 175, 174),
      ps: num(w, 178, 176),
      aa64: flag(w, 179),
      bigEndian: flag(w, 180),
      affd: flag(w, 181),
      ptw: flag(w, 182),
      hd: flag(w, 183),
      ha: flag(w, 184),
      ttb: field(w, 243, 196) << 4n,
    },
    s2s: flag(w, 185),
    s2r: flag(w, 186),
  };
}

/** StreamWorld of stage 1. */
export type World = 'el1' | 'el2' | 'el2-e2h';

export function worldOf(unit: Unit, regs: Registers, ste: Ste): World {
  if (!unit.hyp || ste.s2 || ste.strw !== 2) return 'el1';
  return regs.e2h ? 'el2-e2h' : 'el2';
}

/** STE.S2TG and CD.TG0. */
export function granuleOf(code: number): number | undefined {
  return [12, 16, 14][code];
}

/** CD.TG1. */
export function upperGranuleOf(code: number): number | undefined {
  return [undefined, 14, 12, 16][code];
}

/** STE.S2SL0: the level the walk begins at. */
export function startLevel(granule: number, sl0: number, stt: boolean): number | undefined {
  if (granule !== 12) return [3, 2, 1][sl0];
  return sl0 === 3 && stt ? 3 : [2, 1, 0][sl0];
}

/** Validity of STE. */
export function steIllegal(unit: Unit, ste: Ste): boolean {
  if (!ste.valid) return true;
  if (ste.config < 4) return false;
  if (ste.s1 && !unit.s1) return true;
  if (ste.s2 && !unit.s2) return true;
  if (unit.ats && ste.config !== 4) {
    if (ste.eats === 2 && (ste.config !== 7 || ste.s2s || unit.ns1ats)) return true;
    if (ste.eats === 1 && ste.s2 && ste.s2s) return true;
  }
  const usesStrw = unit.s1 && unit.hyp && ste.config === 5;
  if (usesStrw && (ste.strw & 1) !== 0) return true;
  if (ste.s1 && stage1Illegal(unit, ste)) return true;
  if (ste.s2 && stage2Illegal(unit, ste)) return true;
  const tagged = unit.s2 && ste.config !== 4 && !(usesStrw && ste.strw !== 0);
  return tagged && !unit.vmid16 && ste.vmid > 0xff;
}

function stage1Illegal(unit: Unit, ste: Ste): boolean {
  if (ste.stallDisabled && unit.stallModel !== 0) return true;
  if (unit.ssidSize > 0 && ste.cdMax > unit.ssidSize) return true;
  if (unit.ssidSize > 0 && ste.cdMax > 0 && !unit.cd2l && (ste.fmt === 1 || ste.fmt === 2)) return true;
  return ste.contextPtr >> BigInt(unit.oas) !== 0n;
}

function stage2Illegal(unit: Unit, ste: Ste): boolean {
  const s2 = ste.stage2;
  if (ste.s2s && unit.stallModel === 1) return true;
  if (!ste.s2s && unit.stallModel === 2) return true;
  // IDR0.TTF is 2 and TTENDIAN is 2: AArch64 tables in little-endian order.
  if (!s2.aa64 || s2.bigEndian) return true;
  if ((s2.ha || s2.hd) && unit.httu === 0) return true;
  if (s2.hd && unit.httu === 1) return true;
  const granule = granuleOf(s2.tg);
  if (granule === undefined || !unit.granules.includes(granule)) return true;
  if (s2.ttb >> BigInt(Math.min(addressSize(s2.ps), unit.oas)) !== 0n) return true;
  const most = unit.stt ? (granule === 16 ? 47 : 48) : 39;
  if (s2.t0sz > most || s2.t0sz < Math.max(16, 64 - unit.oas)) return true;
  const level = startLevel(granule, s2.sl0, unit.stt);
  if (level === undefined) return true;
  const stride = granule - 3;
  const below = (3 - level) * stride + granule;
  const width = 64 - s2.t0sz;
  return width < below + 1 || width > below + stride + 4;
}

/** One half of the address space of a CD. */
export interface Half {
  readonly disabled: boolean;
  readonly tsz: number;
  readonly granule: number | undefined;
  readonly ttb: bigint;
  readonly tbi: boolean;
  readonly had: boolean;
  readonly e0pd: boolean;
}

/** Context Descriptor. */
export interface Cd {
  readonly valid: boolean;
  readonly lower: Half;
  /** Undefined where the StreamWorld has one range. */
  readonly upper: Half | undefined;
  readonly bigEndian: boolean;
  readonly ips: number;
  readonly affd: boolean;
  readonly wxn: boolean;
  readonly pan: boolean;
  readonly epan: boolean;
  readonly aa64: boolean;
  readonly hd: boolean;
  readonly ha: boolean;
  readonly s: boolean;
  readonly r: boolean;
  readonly a: boolean;
  readonly asid: number;
}

export function cdOf(w: Words, world: World): Cd {
  const single = world === 'el2';
  const lower: Half = {
    disabled: !single && flag(w, 14),
    tsz: num(w, 5, 0),
    granule: granuleOf(num(w, 7, 6)),
    ttb: field(w, 115, 68) << 4n,
    tbi: flag(w, 38),
    had: flag(w, 65),
    e0pd: flag(w, 66),
  };
  const upper: Half = {
    disabled: flag(w, 30),
    tsz: num(w, 21, 16),
    granule: upperGranuleOf(num(w, 23, 22)),
    ttb: field(w, 179, 132) << 4n,
    tbi: flag(w, 39),
    had: flag(w, 129),
    e0pd: flag(w, 130),
  };
  return {
    valid: flag(w, 31),
    lower,
    upper: single ? undefined : upper,
    bigEndian: flag(w, 15),
    ips: num(w, 34, 32),
    affd: flag(w, 35),
    wxn: flag(w, 36),
    pan: flag(w, 40),
    epan: flag(w, 123),
    aa64: flag(w, 41),
    hd: flag(w, 42),
    ha: flag(w, 43),
    s: flag(w, 44),
    r: flag(w, 45),
    a: flag(w, 46),
    asid: num(w, 63, 48),
  };
}

/** CD.IPS, capped to the unit's size. */
export function intermediateBits(unit: Unit, cd: Cd): number {
  return Math.min(addressSize(cd.ips), unit.oas);
}

/** Validity of CD. */
export function cdIllegal(unit: Unit, ste: Ste, world: World, cd: Cd): boolean {
  if (!cd.valid) return true;
  if (ste.stallDisabled && cd.s) return true;
  if (unit.abortOnly && !cd.a) return true;
  if (unit.stallModel === 1 && cd.s) return true;
  if (unit.stallModel === 2 && !cd.s) return true;
  const halves = [cd.lower, ...(cd.upper === undefined ? [] : [cd.upper])].filter((half) => !half.disabled);
  if (halves.length > 0 && cd.bigEndian) return true;
  if (!cd.aa64) return true;
  if ((cd.ha || cd.hd) && unit.httu === 0) return true;
  if (cd.hd && unit.httu === 1) return true;
  if (world !== 'el2' && !unit.asid16 && cd.asid > 0xff) return true;
  return halves.some((half) => halfIllegal(unit, cd, half));
}

function halfIllegal(unit: Unit, cd: Cd, half: Half): boolean {
  if (half.granule === undefined || !unit.granules.includes(half.granule)) return true;
  const most = unit.stt ? (half.granule === 16 ? 47 : 48) : 39;
  if (half.tsz < 16 || half.tsz > most) return true;
  return half.ttb >> BigInt(intermediateBits(unit, cd)) !== 0n;
}
