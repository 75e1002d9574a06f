import { PASID_ENTRY } from '../../../viommu/spec/vtd/structures.ts';
import { DMA_OK, type DmaPort, READ } from '../../../vmm/bus/dma.ts';
import { DIRECTORY, ScalableMachine } from '../../kit/vtd-scalable.ts';
import { DEVICE, IOVA, TARGET } from './dma.ts';
import type { Contender } from './rounds.ts';
import { substreams } from './smmu.ts';

const PAGES = 1000;
const SPACE = 1 << 20;
/** PASID tables, 64 bytes a PASID, and a directory of 2^20 PASIDs. */
const TABLES = 0x0400_0000;
const LARGE_DIRECTORY = 0x0300_0000;

/** `count` PASIDs spread over all there are; every one of them has the same pages. */
export function fanOut(count: number): Contender {
  const m = new ScalableMachine({ ramBytes: 512 << 20 });
  const top = m.page();
  for (let i = 0; i < PAGES; i++) m.mapFirst(top, 4, IOVA + i * 4096, (TARGET + i * 4096) | 0x67);
  m.store(DIRECTORY, 0n);
  m.scalableContext(DEVICE, { PASIDDIRPTR: LARGE_DIRECTORY });
  const pasids = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * SPACE) / count));
  const u32 = m.ram.u32;
  const entry = PASID_ENTRY.pack({ P: 1, PGTT: 1, DID: 5, PWSNP: 1, FSPTPTR: top / 4096 });
  for (const pasid of pasids) {
    const table = TABLES + (pasid >>> 6) * 4096;
    u32[(LARGE_DIRECTORY >>> 2) + (pasid >>> 6) * 2] = table | 1;
    u32.set(entry, (table + (pasid & 63) * 64) >>> 2);
  }
  m.startScalable();
  return oneAfterTheOther(`${count}`, m.pasidPort(DEVICE), pasids);
}

/** The same by an SMMUv3. */
export function smmuFanOut(count: number): Contender {
  const { port, ssids } = substreams(count, PAGES);
  return oneAfterTheOther(`SMMUv3, ${count}`, port, ssids);
}

function oneAfterTheOther(name: string, port: DmaPort, pasids: Uint32Array): Contender {
  const count = pasids.length;
  const operations = Math.max(count, 8192);
  return {
    name,
    operations,
    run: () => {
      let sum = 0;
      for (let i = 0, k = 0, page = 0; i < operations; i++) {
        port.pasid = pasids[k]!;
        if (port.translate((IOVA + page * 4096) | 0, 0, READ) !== DMA_OK) throw new Error('refused');
        sum = (sum + port.outLo) | 0;
        if (++k === count) k = 0;
        if (++page === PAGES) page = 0;
      }
      return sum;
    },
  };
}
