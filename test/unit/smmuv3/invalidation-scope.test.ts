import { describe, expect, test } from 'vitest';
import { CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import type { DmaPort } from '../../../vmm/bus/dma.ts';
import { CONTEXT, DATA, SmmuMachine, STREAMS, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, to } from '../../kit/smmu-stages.ts';

// What invalidations of translations leave: a driver that relies on more than they name is to be found out.

/** A page that EL0 may use, not global. */
const PAGE = 0xf43n;
const GLOBAL_PAGE = 0x743n;
const OLD = DATA.toString(16);
const NEW = (DATA + 0x100000).toString(16);
const TLBI_NH_VA = 0x12n;
const TLBI_NH_VAA = 0x13n;
const TLBI_EL2_ALL = 0x20n;
const TLBI_EL2_VAA = 0x23n;
const TLBI_NSNH_ALL = 0x30n;
const of = (vmid: number, asid = 0) => (BigInt(vmid) << 32n) | (BigInt(asid) << 48n);
/** A range of NUM + 1 times 2^SCALE pages of 4 KiB. */
const range = (num: number, scale: number) => (BigInt(num) << 12n) | (BigInt(scale) << 20n);
const TG_4K = 0x400n;

interface Space {
  readonly asid?: number;
  readonly vmid?: number;
  /** An EL2 context. */
  readonly el2?: boolean;
}

/** Streams with a context each, and the same tables, of pages one after the other. */
function spaces(list: readonly Space[], pages = 2, bits = PAGE): { m: SmmuMachine; ports: DmaPort[] } {
  const m = new SmmuMachine({ config: { hyp: true } });
  m.store(TABLE, BigInt(TABLE + 0x1000) | 3n);
  for (let table = 0; table * 512 < pages; table++)
    m.store(TABLE + 0x1000 + table * 8, BigInt(TABLE + 0x2000 + table * 0x1000) | 3n);
  for (let i = 0; i < pages; i++) m.store(TABLE + 0x2000 + i * 8, BigInt(DATA) | bits);
  list.forEach(({ asid = 1, vmid = 0, el2 = false }, sid) => {
    const ste = STE.pack({ V: 1, Config: 5, S2VMID: vmid, STRW: el2 ? 2 : 0 });
    ste[0]! |= CONTEXT + sid * 64;
    m.storeWords(STREAMS + sid * 64, ste);
    const cd = CD.pack({ T0SZ: 25, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: asid });
    cd[2]! |= TABLE;
    m.storeWords(CONTEXT + sid * 64, cd);
  });
  m.start(ALL);
  return { m, ports: list.map((_, sid) => m.port(sid)) };
}

/** Everything at the addresses is used once, and then mapped elsewhere. */
function moved(m: SmmuMachine, ports: readonly DmaPort[], addresses: readonly number[], bits = PAGE): void {
  for (const port of ports) for (const address of addresses) to(port, address);
  for (const address of addresses)
    m.store(TABLE + 0x2000 + (address >>> 12) * 8, BigInt(DATA + 0x100000) | bits);
}

describe('CMD_TLBI_NH_VAA', () => {
  test('drops its address whatever the ASID, and no other address', () => {
    const { m, ports } = spaces([{ asid: 1 }, { asid: 2 }]);
    moved(m, ports, [0, 0x1000]);

    m.submit(TLBI_NH_VAA, 0n);

    expect(ports.map((port) => [to(port, 0), to(port, 0x1000)])).toEqual([
      [NEW, OLD],
      [NEW, OLD],
    ]);
  });

  test('leaves other VMIDs, and EL2', () => {
    const { m, ports } = spaces([{ vmid: 3 }, { vmid: 4 }, { vmid: 3, el2: true }]);
    moved(m, ports, [0]);

    m.submit(TLBI_NH_VAA | of(3), 0n);

    expect(ports.map((port) => to(port, 0))).toEqual([NEW, OLD, OLD]);
  });

  test('drops global pages', () => {
    const { m, ports } = spaces([{ asid: 1 }], 2, GLOBAL_PAGE);
    moved(m, ports, [0], GLOBAL_PAGE);

    m.submit(TLBI_NH_VAA, 0n);

    expect(to(ports[0]!, 0)).toBe(NEW);
  });

  test('drops a range', () => {
    const { m, ports } = spaces([{ asid: 1 }, { asid: 2 }], 4);
    moved(m, ports, [0, 0x1000, 0x2000, 0x3000]);

    m.submit(TLBI_NH_VAA | range(1, 0), 0x1000n | TG_4K);

    for (const port of ports)
      expect([0, 0x1000, 0x2000, 0x3000].map((at) => to(port, at))).toEqual([OLD, NEW, NEW, OLD]);
  });

  test('works as before on what a unit holds whose cache objects are made anew', () => {
    const { m, ports } = spaces([{ asid: 1 }, { asid: 2 }]);
    moved(m, ports, [0, 0x1000]);
    m.device.dropCache();

    m.submit(TLBI_NH_VAA, 0n);

    expect(ports.map((port) => [to(port, 0), to(port, 0x1000)])).toEqual([
      [NEW, OLD],
      [NEW, OLD],
    ]);
  });

  test('with more than 16 contexts in use drops every address of its VMID, and no other one (smmu-wide-invalidation)', () => {
    const many = Array.from({ length: 17 }, (_, i) => ({ asid: i + 1, vmid: i === 16 ? 4 : 3 }));
    const { m, ports } = spaces(many);
    moved(m, ports, [0, 0x1000]);

    m.submit(TLBI_NH_VAA | of(3), 0n);

    expect(ports.map((port) => to(port, 0))).toEqual([...new Array(16).fill(NEW), OLD]);
    expect(to(ports[0]!, 0x1000)).toBe(NEW);
  });
});

test('who uses a context that four others of its set put out finds the tables again: its invalidation would find nothing', () => {
  // 4096 sets, and four ASIDs side by side in each.
  const { m, ports } = spaces([1, 2, 3, 0x4000, 0x8000].map((asid) => ({ asid })));
  moved(m, ports, [0]);

  m.submit(0x11n | of(0, 1));

  expect(to(ports[0]!, 0)).toBe(NEW);
});

describe('EL2', () => {
  test('CMD_TLBI_NSNH_ALL leaves its entries and drops all others; CMD_TLBI_EL2_ALL drops them', () => {
    const { m, ports } = spaces([{ vmid: 0 }, { vmid: 7 }, { el2: true }]);
    moved(m, ports, [0]);

    m.submit(TLBI_NSNH_ALL);
    const left = ports.map((port) => to(port, 0));
    m.submit(TLBI_EL2_ALL);

    expect([left, to(ports[2]!, 0)]).toEqual([[NEW, NEW, OLD], NEW]);
  });

  test('CMD_TLBI_NSNH_ALL drops what came since the last one', () => {
    const { m, ports } = spaces([{ vmid: 0 }, { el2: true }]);
    moved(m, ports, [0]);
    m.submit(TLBI_NSNH_ALL);
    m.submit(TLBI_NSNH_ALL);
    const before = ports.map((port) => to(port, 0));
    m.store(TABLE + 0x2000, BigInt(DATA + 0x200000) | PAGE);

    m.submit(TLBI_NSNH_ALL);

    expect([before, ports.map((port) => to(port, 0))]).toEqual([
      [NEW, OLD],
      [(DATA + 0x200000).toString(16), OLD],
    ]);
  });

  test('CMD_TLBI_EL2_VAA drops its address, and no other one', () => {
    const { m, ports } = spaces([{ el2: true }]);
    moved(m, ports, [0, 0x1000]);

    m.submit(TLBI_EL2_VAA, 0x1000n);

    expect([to(ports[0]!, 0), to(ports[0]!, 0x1000)]).toEqual([OLD, NEW]);
  });
});

describe('a range', () => {
  test.each([
    ['512 pages', 15, OLD],
    // LIMIT smmu-wide-invalidation.
    ['544 pages', 16, NEW],
  ])('of %s drops its pages, and of what lies behind it only what the limit says', (_, num, behind) => {
    const { m, ports } = spaces([{ asid: 1 }, { asid: 2 }], 1024);
    moved(m, ports, [0, 0x1ff000, 0x3ff000]);

    m.submit(TLBI_NH_VA | range(num, 5) | of(0, 1), TG_4K);

    expect([0, 0x1ff000, 0x3ff000].map((at) => to(ports[0]!, at))).toEqual([NEW, NEW, behind]);
    expect([0, 0x1ff000, 0x3ff000].map((at) => to(ports[1]!, at))).toEqual([OLD, OLD, OLD]);
  });
});
