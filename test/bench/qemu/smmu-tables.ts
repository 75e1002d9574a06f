import { type Range, Unsupported } from './cost.ts';
import { entries, quads } from './entries.ts';
import type { Qtest } from './qtest.ts';

const SMMU = 0x0905_0000;
const IDR0 = 0x0;
const CR0 = 0x20;
const CR0ACK = 0x24;
const STRTAB_BASE = 0x80;
const STRTAB_BASE_CFG = 0x88;
const S2P = 1;
const S1P = 2;
const SMMUEN = 1;
const STREAM_BITS = 8;
const PAGE = 4096;

/** Stages that translate, as bits of STE.Config. */
export const STAGE1 = 1;
export const STAGE2 = 2;
export const NESTED = 3;

/** Where the tables lie, in memory that nothing else uses. */
const TABLES = 0x4100_0000;
const TABLE_PAGES = 4096;
const STREAMS = TABLES;
const CONTEXT = TABLES + 4 * PAGE;
/** Three tables, and those of the last level from here. */
const FIRST = { top: TABLES + 5 * PAGE, last: TABLES + 0x10_0000 };
const SECOND = { top: TABLES + 8 * PAGE, last: TABLES + 0x40_0000 };
/** Page, EL0 may write, shareable, accessed; of stage 2: Normal, may be read and written. */
const FIRST_LEAF = 0xf43;
const SECOND_LEAF = 0x7ff;
const TABLE = 3;

/** Word 5 of an STE: S2R, S2AA64, 44 bits in and out, start at level 0 (SMMUv3: Stream Table Entry). */
const STE_STAGE2 = (1 << 26) | (1 << 19) | (4 << 16) | (2 << 6) | 20;
/** Words 0 and 1 of a CD: valid, the lower half of 48 bits only; A, R, AA64, 44 bits out (SMMUv3: Context Descriptor). */
const CD_LOWER = ((1 << 31) | (1 << 30) | 16) >>> 0;
const CD_OUT = (1 << 14) | (1 << 13) | (1 << 9) | 4;
const ASID = 5;
const VMID = 7;

/**
 * Maps pages from `iova` (from 1 GiB to 2 GiB, aligned to 2 MiB) for one stream and switches translation on: granules of
 * 4 KiB, 4 levels; with both stages the second maps everything to itself.
 */
export async function translate(
  qtest: Qtest,
  sid: number,
  stages: number,
  ranges: readonly Range[],
): Promise<void> {
  const has = await qtest.read32(SMMU + IDR0);
  if ((stages & STAGE1) !== 0 && (has & S1P) === 0) throw new Unsupported('it has no stage 1');
  if ((stages & STAGE2) !== 0 && (has & S2P) === 0) throw new Unsupported('it has no stage 2');
  const tables = { iova: TABLES, target: TABLES, pages: TABLE_PAGES };
  if ((stages & STAGE1) !== 0) await map(qtest, FIRST, FIRST_LEAF, ranges);
  if ((stages & STAGE2) !== 0)
    await map(qtest, SECOND, SECOND_LEAF, stages === NESTED ? [tables, ...ranges] : ranges);
  const first = (stages & STAGE1) !== 0 ? CONTEXT : 0;
  const second = (stages & STAGE2) !== 0 ? [VMID, STE_STAGE2, SECOND.top, 0] : [0, 0, 0, 0];
  const ste = [first | ((4 | stages) << 1) | 1, 0, 0, 0, ...second];
  await qtest.write(STREAMS + sid * 64, structure(ste));
  await qtest.write(CONTEXT, structure([CD_LOWER, (ASID << 16) | CD_OUT, FIRST.top, 0]));
  await qtest.write32(SMMU + STRTAB_BASE, STREAMS);
  await qtest.write32(SMMU + STRTAB_BASE + 4, 0);
  await qtest.write32(SMMU + STRTAB_BASE_CFG, STREAM_BITS);
  await qtest.write32(SMMU + CR0, SMMUEN);
  if ((await qtest.read32(SMMU + CR0ACK)) !== SMMUEN) throw new Error('translation is not on');
}

/** Levels 0 and 1 have an entry each, for 512 GiB from 0 and for 1 GiB from 1 GiB. */
async function map(
  qtest: Qtest,
  { top, last }: { top: number; last: number },
  leaf: number,
  ranges: readonly Range[],
): Promise<void> {
  await qtest.write(top, entries(top + PAGE + TABLE));
  await qtest.write(top + PAGE + 8, entries(top + 2 * PAGE + TABLE));
  for (const { iova, target, pages } of ranges) {
    const first = iova / 0x20_0000 - 512;
    const leaves = Float64Array.from({ length: pages }, (_, i) => target + i * PAGE + leaf);
    await qtest.write(last + first * PAGE, quads(leaves));
    const tables = Float64Array.from({ length: pages / 512 }, (_, i) => last + (first + i) * PAGE + TABLE);
    await qtest.write(top + 2 * PAGE + first * 8, quads(tables));
  }
}

/** 64 bytes that begin with these words. */
function structure(words: readonly number[]): Uint8Array {
  const all = new Uint32Array(16);
  all.set(words);
  return new Uint8Array(all.buffer);
}
