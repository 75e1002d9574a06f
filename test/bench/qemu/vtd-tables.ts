import type { Range } from './cost.ts';
import { entries, quads } from './entries.ts';
import type { Qtest } from './qtest.ts';

const VTD = 0xfed90000;
const GCMD = 0x18;
const GSTS = 0x1c;
const RTADDR = 0x20;
const TE = 0x80000000;
const SRTP = 0x40000000;
const READ_WRITE = 3;
const PAGE = 4096;

/** Where the tables lie, in memory that nothing else uses. */
const ROOT = 0x100_0000;
const CONTEXTS = ROOT + PAGE;
const TOP = ROOT + 2 * PAGE;
const LEVEL3 = ROOT + 3 * PAGE;
const LEVEL2 = ROOT + 4 * PAGE;
/** Scalable mode: PASID directory and table. */
const DIRECTORY = ROOT + 5 * PAGE;
const PASIDS = ROOT + 6 * PAGE;
const LEVEL1 = ROOT + 7 * PAGE;
const SCALABLE = 0x400;

/**
 * Maps `pages` pages from `iova` (below 1 GiB, aligned to 2 MiB) to `target` for one function of bus 0 and switches
 * translation on: legacy mode, or scalable mode with second-stage tables for PASID 0, 4 levels, domain 5 (VT-d: Legacy
 * Mode Address Translation, Scalable Mode Address Translation).
 */
export async function translate(
  qtest: Qtest,
  devfn: number,
  ranges: readonly Range[],
  scalable = false,
): Promise<void> {
  await qtest.write(ROOT, entries(CONTEXTS | 1));
  if (scalable) {
    await qtest.write(CONTEXTS + devfn * 32, entries(DIRECTORY | 1, 0));
    await qtest.write(DIRECTORY, entries(PASIDS | 1));
    // Second stage, 4 levels.
    await qtest.write(PASIDS, entries(TOP | (2 << 6) | (2 << 2) | 1, 5));
  } else await qtest.write(CONTEXTS + devfn * 16, entries(TOP | 1, (5 << 8) | 2));
  await qtest.write(TOP, entries(LEVEL3 | READ_WRITE));
  await qtest.write(LEVEL3, entries(LEVEL2 | READ_WRITE));
  for (const { iova, target, pages } of ranges) {
    const first = iova / 0x20_0000;
    const leaves = new Float64Array(Math.ceil(pages / 512) * 512);
    for (let i = 0; i < pages; i++) leaves[i] = target + i * PAGE + READ_WRITE;
    await qtest.write(LEVEL1 + first * PAGE, quads(leaves));
    const tables = Float64Array.from(
      { length: leaves.length / 512 },
      (_, i) => LEVEL1 + (first + i) * PAGE + READ_WRITE,
    );
    await qtest.write(LEVEL2 + first * 8, quads(tables));
  }
  await qtest.write32(VTD + RTADDR, ROOT | (scalable ? SCALABLE : 0));
  await qtest.write32(VTD + RTADDR + 4, 0);
  await qtest.write32(VTD + GCMD, SRTP);
  await qtest.write32(VTD + GCMD, TE);
  const status = await qtest.read32(VTD + GSTS);
  if (status !== TE + SRTP) throw new Error(`translation is not on: GSTS 0x${status.toString(16)}`);
}
