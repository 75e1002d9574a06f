import { expect, test } from 'vitest';
import { STRTAB_BASE_CFG } from '../../../viommu/spec/smmuv3/registers.ts';
import { STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_UR, type DmaPort } from '../../../vmm/bus/dma.ts';
import { CMDQEN, CONTEXT, DATA, EVENTQEN, REG, SmmuMachine, STREAMS, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, to } from '../../kit/smmu-stages.ts';

const SID = 0x12;
const CFGI_CD_ALL = 0x06n;
const CFGI_STE_RANGE = 0x04n;
/** Of ASID 1. */
const TLBI_NH_VA = 0x1_0000_0000_0012n;
const LEAF = 1n;

/** Stage 1 with a page at address 0, which has been used once. */
function used(): { m: SmmuMachine; port: DmaPort } {
  const m = new SmmuMachine();
  m.stage1(SID);
  m.map();
  m.start(ALL);
  const port = m.port(SID);
  to(port, 0);
  return { m, port };
}

const of = (sid: number) => BigInt(sid) << 32n;

test('CMD_CFGI_CD_ALL drops the CDs of its stream, and of no other one', () => {
  const { m, port } = used();
  m.store(CONTEXT, 0n);
  m.submit(CFGI_CD_ALL | of(SID + 1));
  const kept = to(port, 0);
  m.submit(CFGI_CD_ALL | of(SID));

  expect([kept, to(port, 0), m.event(0)[0]]).toEqual(['40100000', DMA_UR, 0x12_0000_000an]);
});

test('CMD_CFGI_STE_RANGE drops 2^(Range + 1) streams from a multiple of as many on', () => {
  const { m, port } = used();
  m.storeWords(STREAMS + SID * 64, STE.pack({ V: 0 }));
  // Streams 14h and 15h; 12h and 13h.
  m.submit(CFGI_STE_RANGE | of(0x15), 0n);
  const kept = to(port, 0);
  m.submit(CFGI_STE_RANGE | of(0x13), 0n);

  expect([kept, to(port, 0), m.event(0)[0]]).toEqual(['40100000', DMA_UR, 0x12_0000_0004n]);
});

test.each([
  ['8 streams from 10h on', 0x18, 0x15, 2],
  ['256 streams from 0 on', 0x100, 0xff, 7],
  ['512 streams from 200h on', 0x1ff, 0x200, 8],
])('CMD_CFGI_STE_RANGE of other streams drops neither STE nor CD of a stream: %s', (_, sid, other, range) => {
  const m = new SmmuMachine();
  m.stage1(sid);
  m.map();
  m.start(ALL);
  m.write32(REG.cr0, EVENTQEN | CMDQEN);
  m.write32(STRTAB_BASE_CFG.offset, 9);
  m.write32(REG.cr0, ALL);
  const port = m.port(sid);
  const before = to(port, 0);
  m.storeWords(STREAMS + sid * 64, STE.pack({ V: 0 }));
  m.store(CONTEXT, 0n);
  m.submit(CFGI_STE_RANGE | of(other), BigInt(range));
  const kept = to(port, 0);
  m.submit(CFGI_STE_RANGE | of(sid), BigInt(range));

  expect([before, kept, to(port, 0)]).toEqual(['40100000', '40100000', DMA_UR]);
});

test('CMD_CFGI_STE_RANGE of 8 streams drops the first and the last of them', () => {
  const { m } = used();
  const ends = [0x10, 0x17].map((sid) => {
    m.stage1(sid);
    m.map();
    return m.port(sid);
  });
  const before = ends.map((port) => to(port, 0));
  for (const sid of [0x10, 0x17]) m.storeWords(STREAMS + sid * 64, STE.pack({ V: 0 }));
  const kept = ends.map((port) => to(port, 0));
  m.submit(CFGI_STE_RANGE | of(0x12), 2n);

  expect([before, kept, ends.map((port) => to(port, 0))]).toEqual([
    ['40100000', '40100000'],
    ['40100000', '40100000'],
    [DMA_UR, DMA_UR],
  ]);
});

test('CMD_CFGI_STE_RANGE finds what was cached before the caches were made anew', () => {
  const { m, port } = used();
  m.device.dropCache();
  m.storeWords(STREAMS + SID * 64, STE.pack({ V: 0 }));
  const kept = to(port, 0);
  m.submit(CFGI_STE_RANGE | of(SID), 8n);

  expect([kept, to(port, 0)]).toEqual(['40100000', DMA_UR]);
});

test('CMD_TLBI_NH_VA without Leaf drops the tables that lead to the address; with it they may stay', () => {
  const { m, port } = used();
  const other = TABLE + 0x8000;
  m.store(other, BigInt(DATA + 0x5000) | 0x743n);
  m.store(TABLE + 0x1000, BigInt(other) | 3n);
  m.submit(TLBI_NH_VA, LEAF);
  const leafOnly = to(port, 0);
  m.submit(TLBI_NH_VA, 0n);

  expect([leafOnly, to(port, 0)]).toEqual(['40100000', '40105000']);
});
