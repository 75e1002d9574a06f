import type { Layout } from '../../vmm/regs/layout.ts';
import { S1_LEAF, S1_TABLE, S2_LEAF, S2_TABLE } from '../spec/paging/vmsa.ts';
import { CD, CONFIG_BYPASS, CONFIG_NESTED, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import type { TableFormats } from '../watch/watched-pages.ts';
import type { WatchedTable } from './state.ts';

/** What a watched page holds: part of the state, so numbers stay as they are. */
export const L1_STREAM_TABLE = 0;
export const STREAM_TABLE = 1;
export const L1_CD_TABLE = 2;
export const CD_TABLE = 3;
export const STAGE1_TABLE = 4;
export const STAGE2_TABLE = 5;

const LAYOUTS = [L1STD, STE, L1CD, CD, S1_LEAF, S2_LEAF] as unknown as readonly Layout[];
const TABLES = [L1STD, STE, L1CD, CD, S1_TABLE, S2_TABLE] as unknown as readonly Layout[];
const BYTES = Uint8Array.from(LAYOUTS, (layout) => layout.bytes);

export const SMMU_FORMATS: TableFormats<WatchedTable> = {
  entryBytes,
  keptWords: (kind) => BYTES[kind]! / 4,
  isPaging,
  isHead: () => false,
  first: (table) => table.first,
  bytes: (table) => table.bytes,
};

export function layoutOf(kind: number): Layout {
  return LAYOUTS[kind]!;
}

/** A descriptor of a page table has the layout of what it is. */
export function descriptorLayout(kind: number, level: number, word: number): Layout {
  return level === 3 || (word & 3) !== 3 ? LAYOUTS[kind]! : TABLES[kind]!;
}

export function entryBytes(kind: number): number {
  return BYTES[kind]!;
}

export function isPaging(kind: number): boolean {
  return kind >= STAGE1_TABLE;
}

export function isOfContexts(kind: number): boolean {
  return kind === L1_CD_TABLE || kind === CD_TABLE;
}

const V = 1;
const CD_V = 0x80000000;
const SPAN = 0x1f;

/** Hardware may follow it, or look at more of it than that it is not valid. */
export function isPresent(kind: number, words: Uint32Array): boolean {
  const first = words[0]!;
  if (kind === L1_STREAM_TABLE) return (first & SPAN) !== 0;
  return (first & (kind === CD_TABLE ? CD_V : V)) !== 0;
}

/** The store changed something hardware looks at, in the entry as it was or as it is. */
export function isSeen(kind: number, old: Uint32Array, now: Uint32Array): boolean {
  if (kind !== STREAM_TABLE && kind !== CD_TABLE) return true;
  for (let i = 0; i < old.length; i++) {
    const bits = old[i]! ^ now[i]!;
    if (bits === 0) continue;
    const used =
      kind === STREAM_TABLE ? usedOfSte(old, i) | usedOfSte(now, i) : usedOfCd(old, i) | usedOfCd(now, i);
    if ((bits & used) !== 0) return true;
  }
  return false;
}

const EVERYTHING = -1;
/** Word 0: V and Config. Word 2: S1DSS to S1CSH, and S1PIE, S1MPAM, S1STALLD, STRW; S2HWU, S2FWB. */
const STE_HEAD = 0xf;
const STE_STAGE1 = 0xcd0000ff;
const STE_STAGE2 = 0x02000f00;
const VMID = 0xffff;

/** Bits of word `i` that hardware looks at in an STE (SMMUv3: Stream Table Entry). */
function usedOfSte(w: Uint32Array, i: number): number {
  if ((w[0]! & V) === 0) return i === 0 ? V : 0;
  const config = (w[0]! >>> 1) & 7;
  if (config < CONFIG_BYPASS) return i === 0 ? STE_HEAD : 0;
  const stage1 = (config & 1) !== 0;
  const stage2 = (config & 2) !== 0;
  if (i < 2) return stage1 ? EVERYTHING : i === 0 ? STE_HEAD : 0;
  if (i === 2) return ~((stage1 ? 0 : STE_STAGE1) | (stage2 ? 0 : STE_STAGE2));
  if (i === 3 || config === CONFIG_NESTED || stage2) return EVERYTHING;
  return i === 4 && stage1 ? VMID : 0;
}

/** Words 0, 2 to 3 and 4 to 5: fields of the halves of the address space. */
const CD_LOW = 0x3fff;
const CD_HIGH = 0x3fff0000;
const TTB_LO = 0xfffffff0;
const TTB_HI = 0x00ffffff;
const EPD0 = 1 << 14;
const EPD1 = 1 << 30;

/** Bits of word `i` that hardware looks at in a CD (SMMUv3: Context Descriptor). */
function usedOfCd(w: Uint32Array, i: number): number {
  const first = w[0]!;
  if ((first & CD_V) === 0) return i === 0 ? CD_V : 0;
  const low = (first & EPD0) === 0;
  const high = (first & EPD1) === 0;
  if (i === 0) return ~((low ? 0 : CD_LOW) | (high ? 0 : CD_HIGH));
  const off = i < 4 ? !low : !high;
  if (i === 2 || i === 4) return off ? ~TTB_LO : EVERYTHING;
  if (i === 3 || i === 5) return off ? ~TTB_HI : EVERYTHING;
  return EVERYTHING;
}
