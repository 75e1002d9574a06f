import { expect, test } from 'vitest';
import { STRTAB_BASE, STRTAB_BASE_CFG } from '../../../viommu/spec/smmuv3/registers.ts';
import { CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_OK, READ } from '../../../vmm/bus/dma.ts';
import { REG, SMMUEN, SmmuMachine, TABLE } from '../../kit/smmu-machine.ts';

/** 65,536 STEs, a directory for 2^20 CDs, and the leaves of it that are used. */
const STREAMS = 0x40400000;
const DIRECTORY = 0x40800000;
const LEAVES = 0x40900000;
const PAGE_WORDS = 1024;

/** A unit that knows `count` pairs of StreamID and SubstreamID, spread over all there are. */
function used(count: number): SmmuMachine {
  const m = new SmmuMachine({ ramBytes: 64 << 20, config: { svm: true } });
  m.map();
  m.write64(STRTAB_BASE.offset, STREAMS);
  m.write32(STRTAB_BASE_CFG.offset, 16);
  m.write32(REG.cr0, SMMUEN);
  const ste = STE.pack({ V: 1, Config: 5, S1CDMax: 20, S1Fmt: 1 });
  ste[0]! |= DIRECTORY;
  for (let i = 0; i < count; i++) {
    const [sid, ssid] = [i * (65536 / 256), i * ((1 << 20) / 256) + 7];
    const leaf = LEAVES + i * 4096;
    const cd = CD.pack({ T0SZ: 25, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: i });
    cd[2]! |= TABLE;
    m.storeWords(STREAMS + sid * 64, ste);
    m.store(DIRECTORY + (ssid >>> 6) * 8, leaf | 1);
    m.storeWords(leaf + (ssid & 63) * 64, cd);
    const port = m.port(sid);
    port.pasid = ssid;
    expect(port.translate(0, 0, READ)).toBe(DMA_OK);
  }
  return m;
}

function arrays(m: SmmuMachine): Uint32Array[] {
  return Object.values(m.device.s).filter((value): value is Uint32Array => value instanceof Uint32Array);
}

/** Pages of 4 KiB with anything in them: the others cost nothing until they are written. */
function pagesWithContent(m: SmmuMachine): number {
  let pages = 0;
  for (const words of arrays(m))
    for (let at = 0; at < words.length; at += PAGE_WORDS)
      if (words.subarray(at, at + PAGE_WORDS).some((word) => word !== 0)) pages++;
  return pages;
}

test('65,536 streams with 2^20 substreams each: the arrays of a unit take less than 40 MiB', () => {
  const bytes = arrays(used(0)).reduce((sum, words) => sum + words.byteLength, 0);
  expect(bytes).toBeLessThan(40 << 20);
});

test('sparse pairs of stream and substream: the arrays stay as they are, and each pair writes to a few pages', () => {
  const none = used(0);
  const some = used(64);
  const more = used(256);
  expect(arrays(more).map((words) => words.length)).toEqual(arrays(none).map((words) => words.length));
  expect(pagesWithContent(some) - pagesWithContent(none)).toBeLessThanOrEqual(64 * 8);
  expect(pagesWithContent(more) - pagesWithContent(none)).toBeLessThanOrEqual(256 * 8);
});
