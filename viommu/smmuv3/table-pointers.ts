import { TG0_BITS, TG1_BITS } from '../spec/paging/vmsa.ts';
import { CD, STE } from '../spec/smmuv3/structures.ts';

/** A page table below 4 GiB that an entry points to: its first page, and log2 of its granule. */
export interface PageTable {
  readonly page: number;
  readonly granule: number;
}

const get = CD.get;

/** The tables of a valid CD. */
export function cdTables(w: Uint32Array, at: number): PageTable[] {
  if (get.V(w, at) === 0) return [];
  const tables: PageTable[] = [];
  const add = (off: number, granule: number, word: number) => {
    if (off === 0 && granule !== 0 && (w[at + word + 1]! & 0xffffff) === 0)
      tables.push({ page: w[at + word]! >>> 12, granule });
  };
  add(get.EPD0(w, at), TG0_BITS[get.TG0(w, at) as 0 | 1 | 2 | 3], 2);
  add(get.EPD1(w, at), TG1_BITS[get.TG1(w, at) as 0 | 1 | 2 | 3], 4);
  return tables;
}

/** The stage 2 table of a valid STE. */
export function steTable(w: Uint32Array, at: number): PageTable | undefined {
  if (STE.get.V(w, at) === 0 || (STE.get.Config(w, at) & 6) !== 6) return undefined;
  const granule = TG0_BITS[STE.get.S2TG(w, at) as 0 | 1 | 2 | 3];
  return granule === 0 || (w[at + 7]! & 0xffffff) !== 0 ? undefined : { page: w[at + 6]! >>> 12, granule };
}
