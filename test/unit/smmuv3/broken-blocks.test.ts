import { expect, test } from 'vitest';
import { CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_OK, type DmaPort, READ } from '../../../vmm/bus/dma.ts';
import { CMDQEN, CONTEXT, EVENTQEN, SMMUEN, SmmuMachine, STREAMS, TABLE } from '../../kit/smmu-machine.ts';

// DDI 0487, TLB maintenance instructions: what is cached of a descriptor goes with any address that it translates. Found by
// the conformance suite: parts of a stage 1 block that stage 2 maps in smaller pages stayed.
const SID = 0x18;
const SECOND = 0x40080000;
const TLBI_NH_VA = 0x0001_0007_0000_0012n;

/** Stage 1 maps 0 by a 2 MiB block to 80000000h, of which stage 2 maps the first pages one by one, and identity at 1 GiB. */
function broken() {
  const m = new SmmuMachine();
  const ste = STE.pack({
    V: 1,
    Config: 7,
    S2T0SZ: 25,
    S2SL0: 1,
    S2PS: 4,
    S2AA64: 1,
    S2R: 1,
    S2VMID: 7,
  });
  ste[0]! |= CONTEXT;
  ste[6]! |= SECOND;
  m.storeWords(STREAMS + SID * 64, ste);
  const cd = CD.pack({ T0SZ: 25, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: 1 });
  cd[2]! |= TABLE;
  m.storeWords(CONTEXT, cd);
  m.store(TABLE, BigInt(TABLE + 0x1000) | 3n);
  m.store(TABLE + 0x1000, 0x80000000n | 0xf41n);
  m.store(SECOND + 8, 0x40000000n | 0x7fdn);
  m.store(SECOND + 16, BigInt(SECOND + 0x1000) | 3n);
  m.store(SECOND + 0x1000, BigInt(SECOND + 0x2000) | 3n);
  for (let i = 0; i < 16; i++)
    m.store(SECOND + 0x2000 + i * 8, (0x9_0000_0000n + BigInt(i * 0x10000)) | 0x7ffn);
  m.start(SMMUEN | EVENTQEN | CMDQEN);
  return { m, port: m.port(SID) };
}

const to = (port: DmaPort, lo: number) =>
  port.translate(lo, 0, READ) === DMA_OK ? port.outHi * 2 ** 32 + port.outLo : 'refused';

test.each([
  ['of the address itself', 0x0n],
  ['of another page of the block', 0x5000n],
  ['of a page of the block that nobody asked for', 0x1f_f000n],
])('an invalidation %s drops every part of a block', (_name, address) => {
  const { m, port } = broken();
  const before = [0, 0x5000].map((lo) => to(port, lo));
  m.store(TABLE + 0x1000, 0n);

  m.submit(TLBI_NH_VA, address);

  expect([before, to(port, 0), to(port, 0x5000)]).toEqual([
    [0x9_0000_0000, 0x9_0005_0000],
    'refused',
    'refused',
  ]);
});

test('an invalidation next to the block drops none of it, also when the caches were rebuilt from state', () => {
  const { m, port } = broken();
  for (const lo of [0, 0x5000]) to(port, lo);
  m.store(TABLE + 0x1000, 0n);

  m.submit(TLBI_NH_VA, 0x20_0000n);
  m.device.dropCache();
  const kept = to(port, 0x5000);
  m.submit(TLBI_NH_VA, 0x5000n);

  expect([kept, to(port, 0)]).toEqual([0x9_0005_0000, 'refused']);
});
