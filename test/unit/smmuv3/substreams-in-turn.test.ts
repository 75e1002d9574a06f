import { expect, test } from 'vitest';
import { CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_UR, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { CONTEXT, DATA, SmmuMachine, STREAMS, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, SID, to } from '../../kit/smmu-stages.ts';

// Requests of several substreams in turn are answered from copies of TLB rows: never otherwise than by the rows.

const SUBSTREAMS = [1, 2, 3];
/** A page of its ASID that EL0 may use, or only read. */
const PAGE = 0xf43n;
const READ_ONLY = 0xfc3n;
const OLD = DATA.toString(16);
const NEW = (DATA + 0x1000).toString(16);
const ASID_1 = 0x1_0000_0000_0000n;

function substreams(): { m: SmmuMachine; port: DmaPort } {
  const m = new SmmuMachine({ config: { ssidsize: 8 } });
  m.map();
  leaf(m, DATA);
  const words = STE.pack({ V: 1, Config: 5, S1CDMax: 4 });
  words[0]! |= CONTEXT;
  m.storeWords(STREAMS + SID * 64, words);
  for (const ssid of SUBSTREAMS) {
    const cd = CD.pack({ T0SZ: 25, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: ssid });
    cd[2]! |= TABLE;
    m.storeWords(CONTEXT + ssid * 64, cd);
  }
  m.start(ALL);
  return { m, port: m.port(SID) };
}

function leaf(m: SmmuMachine, page: number, bits = PAGE): void {
  m.store(TABLE + 0x2000, BigInt(page) | bits);
}

function inTurn(port: DmaPort, times = 4): (string | number)[] {
  let seen: (string | number)[] = [];
  for (let i = 0; i < times; i++)
    seen = SUBSTREAMS.map((ssid) => {
      port.pasid = ssid;
      return to(port, 0);
    });
  return seen;
}

test.each([
  ['TLBI_NH_VA', ASID_1 | 0x12n, 1n],
  ['a range of TLBI_NH_VA', ASID_1 | 0x1012n, 0x401n],
  ['TLBI_NH_ASID', ASID_1 | 0x11n, 0n],
])('a page of all stays as it was until %s drops it of one', (_, q0, q1) => {
  const { m, port } = substreams();
  inTurn(port);
  leaf(m, DATA + 0x1000);
  const stale = inTurn(port);

  m.submit(q0, q1);

  expect([stale, inTurn(port)]).toEqual([
    [OLD, OLD, OLD],
    [NEW, OLD, OLD],
  ]);
});

test.each([
  ['TLBI_NH_VAA', 0x13n, 1n],
  ['TLBI_NH_ALL', 0x10n, 0n],
  ['TLBI_NSNH_ALL', 0x30n, 0n],
])('%s drops it of all', (_, q0, q1) => {
  const { m, port } = substreams();
  inTurn(port);
  leaf(m, DATA + 0x1000);

  m.submit(q0, q1);

  expect(inTurn(port)).toEqual([NEW, NEW, NEW]);
});

test('a page that is read in turn may not be written for that', () => {
  const { m, port } = substreams();
  leaf(m, DATA, READ_ONLY);
  const read = inTurn(port);
  port.pasid = 1;

  expect([read, to(port, 0, READ), to(port, 0, WRITE)]).toEqual([[OLD, OLD, OLD], OLD, DMA_UR]);
});
