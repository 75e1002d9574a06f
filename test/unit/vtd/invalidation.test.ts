import { describe, expect, test } from 'vitest';
import { CCMD, IOTLB, IVA } from '../../../viommu/spec/vtd/registers.ts';
import { DMA_OK, DMA_UR, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { CONTEXTS, type MachineOptions, ROOT, SRTP, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
const OTHER = 0x20;

/** Two devices in domains 5 and 6, each with a page at 5000h, both cached, both then moved in the tables. */
function stale(options: MachineOptions = {}) {
  const m = new VtdMachine(options);
  const tops = [m.page(), m.page()] as const;
  m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: tops[0] });
  m.context(OTHER, { P: 1, AW: 2, DID: 6, SSPTPTR: tops[1] });
  const leaves = tops.map((top) => m.map(top, 4, 0x5000, 0x8003));
  m.start();
  const ports = [m.port(DEV), m.port(OTHER)];
  const where = () => ports.map((p) => (p.translate(0x5000, 0, READ) === DMA_OK ? p.outLo : -1));
  where();
  for (const leaf of leaves) m.store(leaf, 0x9003);
  return { m, tops, leaves, ports, where };
}

const OLD = 0x8000;
const NEW = 0x9000;

describe('IOTLB invalidation', () => {
  test('without one the old translation stays', () => {
    const { where } = stale();

    expect([where(), where()]).toEqual([
      [OLD, OLD],
      [OLD, OLD],
    ]);
  });

  test.each([
    ['global', 0x12n, 0n, [NEW, NEW]],
    ['domain', 0x5_0022n, 0n, [NEW, OLD]],
    ['another domain', 0x7_0022n, 0n, [OLD, OLD]],
    ['page', 0x5_0032n, 0x5000n, [NEW, OLD]],
    ['page with drain bits and hint', 0x5_00f2n, 0x5040n, [NEW, OLD]],
    ['the page of another domain', 0x7_0032n, 0x5000n, [OLD, OLD]],
    ['another page', 0x5_0032n, 0x6000n, [OLD, OLD]],
    ['two pages', 0x5_0032n, 0x4001n, [NEW, OLD]],
    ['two pages beside it', 0x5_0032n, 0x6001n, [OLD, OLD]],
    ['2 MiB', 0x5_0032n, 9n, [NEW, OLD]],
    ['the 2 MiB beside it', 0x5_0032n, 0x20_0009n, [OLD, OLD]],
    ['1 GiB', 0x5_0032n, 18n, [NEW, OLD]],
    ['context-cache, global', 0x11n, 0n, [OLD, OLD]],
    ['interrupt-entry cache', 0x4n, 0n, [OLD, OLD]],
    ['wait with fence', 0x45n, 0n, [OLD, OLD]],
  ] as [string, bigint, bigint, number[]][])('queued: %s', (_what, q0, q1, want) => {
    const { m, where } = stale();

    m.submit(q0, q1);

    expect(where()).toEqual(want);
  });

  test.each([
    ['global', 0x9000000000000000n, 0n, [NEW, NEW]],
    ['domain', 0xa000000500000000n, 0n, [NEW, OLD]],
    ['page', 0xb000000500000000n, 0x5000n, [NEW, OLD]],
    ['another page', 0xb000000500000000n, 0x6000n, [OLD, OLD]],
  ] as [string, bigint, bigint, number[]][])('by register: %s', (_what, command, address, want) => {
    const { m, where } = stale();
    m.disable(0x04000000);

    m.write(IVA, address);
    m.write(IOTLB, command);

    expect(where()).toEqual(want);
  });

  test('setting the root pointer drops everything (ESRTPS)', () => {
    const { m, where } = stale();

    m.command(SRTP);

    expect(where()).toEqual([NEW, NEW]);
  });

  test('switching translation off and on drops nothing', () => {
    const { m, where } = stale();

    m.disable(0x80000000);
    m.command(0x80000000);

    expect(where()).toEqual([OLD, OLD]);
  });

  test.each([
    ['a page', 0x5000n],
    ['two pages', 0x4001n],
    ['2 MiB', 9n],
  ])('of %s drops the tables that lead there, also those of 1 GiB', (_, q1) => {
    const m = new VtdMachine();
    const [top, other] = [m.page(), m.page()];
    m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
    m.map(top, 4, 0x5000, 0x8003);
    m.map(other, 4, 0x5000, 0x9003);
    m.start();
    const port = m.port(DEV);
    const where = () => (port.translate(0x5000, 0, READ) === DMA_OK ? port.outLo : -1);
    const before = where();
    // The first GiB gets another table.
    const level3 = (from: number) => Number(m.load(from) & ~0xfffn);
    m.store(level3(top), m.load(level3(other)));

    m.submit(0x5_0032n, q1);

    expect([before, where()]).toEqual([OLD, NEW]);
  });

  test.each([
    [2, 0x40_0083n, 0x60_0083n],
    [3, 0x4000_0083n, 0x8000_0083n],
  ])('any page inside a large page (level %i) drops it', (level, before, after) => {
    const { m, tops, ports } = stale();
    const at = m.map(tops[0], 4, 0x40_0000_0000n, before, level);
    const go = () => [ports[0]!.translate(0x12_3000, 0x40, READ), ports[0]!.outLo & 0xfff00000];
    const first = go();
    m.store(at, after);
    const cached = go();

    m.submit(0x5_0032n, 0x40_0005_0000n);

    expect(cached).toEqual(first);
    expect(go()).not.toEqual(first);
  });

  test('the policy without caches shows every change at once', () => {
    const { where } = stale({ config: { cache: 'none' } });

    expect(where()).toEqual([NEW, NEW]);
  });

  test('the unbounded policy keeps more pages than the normal one has rows', () => {
    const m = new VtdMachine({ ramBytes: 64 << 20, config: { cache: 'unbounded' } });
    const top = m.page();
    m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
    const leaves: number[] = [];
    for (let i = 0; i < 20000; i++) leaves.push(m.map(top, 4, i * 4096, 0x8003));
    m.start();
    const port = m.port(DEV);
    for (let i = 0; i < 20000; i++) port.translate(i * 4096, 0, READ);

    for (const leaf of leaves) m.store(leaf, 0);

    let kept = 0;
    for (let i = 0; i < 20000; i++) kept += port.translate(i * 4096, 0, READ) === DMA_OK ? 1 : 0;
    expect(kept).toBe(20000);
  });
});

describe('cached permissions', () => {
  test('a denial by a cached entry stays until the page is invalidated', () => {
    const { m, tops, ports } = stale();
    const port = ports[0] as DmaPort;
    const leaf = m.map(tops[0], 4, 0x7000, 0x8001);
    port.translate(0x7000, 0, READ);

    m.store(leaf, 0x8003);
    const before = port.translate(0x7000, 0, WRITE);
    const fault = m.faults.at(-1);
    m.submit(0x5_0032n, 0x7000n);

    expect([before, port.translate(0x7000, 0, WRITE)]).toEqual([DMA_UR, DMA_OK]);
    expect(fault).toMatchObject({ code: '05h', recorded: true });
    expect(fault?.steps.map((s) => s.source)).toEqual(['cache', 'cache']);
  });
});

describe('paging-structure caches', () => {
  /** The last table is replaced by another one with the page moved; the upper entry is changed to it. */
  function replaced() {
    const s = stale();
    const { m, tops } = s;
    const pde = m.map(tops[0], 4, 0x5000, 0, 2);
    return { ...s, pde };
  }

  function withNewTable() {
    const s = stale();
    const { m, tops, leaves } = s;
    m.store(leaves[0]!, 0x8003);
    const fresh = m.page();
    m.store(fresh + 5 * 8, 0xa003);
    m.store(fresh + 6 * 8, 0xb003);
    const pdpt = Number(m.load(tops[0]) & 0xfffff000n);
    const pd = Number(m.load(pdpt) & 0xfffff000n);
    m.store(pd, fresh | 3);
    const go = () => (s.ports[0]!.translate(0x5000, 0, READ) === DMA_OK ? s.ports[0]!.outLo : -1);
    return { ...s, go };
  }

  test('with the hint the old table is still walked', () => {
    const { m, go } = withNewTable();

    m.submit(0x5_0032n, 0x5040n);

    expect(go()).toBe(0x8000);
  });

  test.each([
    ['page without the hint', 0x5_0032n, 0x5000n],
    ['a page beside it without the hint, then the page', 0x5_0032n, 0x1f_f000n],
    ['domain', 0x5_0022n, 0n],
    ['global', 0x12n, 0n],
  ])('%s drops the pointer to it', (_what, q0, q1) => {
    const { m, go } = withNewTable();

    m.submit(q0, q1);
    m.submit(0x5_0032n, 0x5040n);

    expect(go()).toBe(0xa000);
  });

  test('an upper entry that went away is noticed only after its cache is dropped', () => {
    const { m, ports } = replaced();

    m.submit(0x5_0032n, 0x5040n);
    const hinted = ports[0]!.translate(0x5000, 0, READ);
    m.submit(0x5_0032n, 0x5000n);

    expect([hinted, ports[0]!.translate(0x5000, 0, READ)]).toEqual([DMA_OK, DMA_UR]);
  });
});

describe('the context-cache', () => {
  /** Both devices are moved to the other one's table; their entries were cached. */
  function moved() {
    const s = stale();
    const { m, tops } = s;
    m.map(tops[1], 4, 0x5000, 0xc003);
    m.submit(0x12n);
    s.where();
    m.context(DEV, { P: 1, AW: 2, DID: 7, SSPTPTR: tops[1] });
    m.context(OTHER, { P: 1, AW: 2, DID: 7, SSPTPTR: tops[1] });
    return s;
  }

  test.each([
    ['nothing', 0x45n, [0x9000, 0xc000]],
    ['global', 0x11n, [0xc000, 0xc000]],
    ['domain of the old entry', 0x5_0021n, [0xc000, 0xc000]],
    ['another domain', 0x9_0021n, [0x9000, 0xc000]],
    ['device', 0x0018_0000_0031n, [0xc000, 0xc000]],
    ['another device', 0x0028_0000_0031n, [0x9000, 0xc000]],
    ['device by function mask 3', 0x3_001f_0000_0031n, [0xc000, 0xc000]],
    ['function mask 1 over bit 2 only', 0x1_001c_0000_0031n, [0xc000, 0xc000]],
    ['function mask 1 of another function', 0x1_001d_0000_0031n, [0x9000, 0xc000]],
    ['function mask 2', 0x2_001e_0000_0031n, [0xc000, 0xc000]],
    ['IOTLB, global', 0x12n, [0x9000, 0xc000]],
  ] as [string, bigint, number[]][])('%s', (_what, q0, want) => {
    const { m, where } = moved();

    m.submit(q0);

    expect(where()).toEqual(want);
  });

  test.each([
    ['global', 0xa000000000000000n, 0xc000],
    ['domain', 0xc000000000000005n, 0xc000],
    ['another domain', 0xc000000000000009n, 0x9000],
    ['device', 0xe000000000180000n, 0xc000],
    ['another device', 0xe000000000280000n, 0x9000],
  ] as [string, bigint, number][])('by register: %s', (_what, command, want) => {
    const { m, where } = moved();
    m.disable(0x04000000);

    m.write(CCMD, command);

    expect(where()[0]).toBe(want);
  });

  test('another requester that takes the row makes the old entry fetched again', () => {
    const { m, where, ports } = moved();
    m.store(ROOT + 4 * 16, CONTEXTS | 1);

    where();
    m.port(0x0400 | DEV).translate(0x5000, 0, READ);

    expect(ports[0]!.translate(0x5000, 0, READ) === DMA_OK && ports[0]!.outLo).toBe(0xc000);
  });

  test('entries that fault are not kept', () => {
    const m = new VtdMachine();
    m.start();
    const port = m.port(DEV);
    const before = port.translate(0x5000, 0, READ);

    m.context(DEV, { P: 1, TT: 2, AW: 2 });

    expect([before, port.translate(0x5000, 0, READ)]).toEqual([DMA_UR, DMA_OK]);
  });
});

describe('caching mode', () => {
  const cm: MachineOptions = { config: { 'caching-mode': true } };

  test('a context entry that was not present is believed absent until the device is invalidated', () => {
    const m = new VtdMachine(cm);
    m.start();
    const port = m.port(DEV);
    const absent = port.translate(0x5000, 0, READ);
    m.context(DEV, { P: 1, TT: 2, AW: 2, DID: 5 });

    const still = port.translate(0x5000, 0, READ);
    m.submit(0x0020_0000_0031n);
    const other = port.translate(0x5000, 0, READ);
    m.submit(0x0018_0000_0031n);

    expect([absent, still, other, port.translate(0x5000, 0, READ)]).toEqual([DMA_UR, DMA_UR, DMA_UR, DMA_OK]);
  });

  test('it carries domain 0', () => {
    const m = new VtdMachine(cm);
    m.start();
    const port = m.port(DEV);
    port.translate(0x5000, 0, READ);
    m.context(DEV, { P: 1, TT: 2, AW: 2, DID: 5 });

    m.submit(0x5_0021n);
    const own = port.translate(0x5000, 0, READ);
    m.submit(0x0_0021n);

    expect([own, port.translate(0x5000, 0, READ)]).toEqual([DMA_UR, DMA_OK]);
  });

  test.each([
    [false, DMA_OK],
    [true, DMA_UR],
  ])('a page that was not present, with CM=%s', (mode, want) => {
    const { m, tops, ports } = stale({ config: { 'caching-mode': mode } });
    const port = ports[0] as DmaPort;
    const first = port.translate(0x6000, 0, WRITE);
    m.map(tops[0], 4, 0x6000, 0x8003);

    const second = port.translate(0x6000, 0, WRITE);
    m.submit(0x5_0032n, 0x6000n);

    expect([first, second, port.translate(0x6000, 0, WRITE)]).toEqual([DMA_UR, want, DMA_OK]);
  });

  test('a kept reserved-bit fault answers by permissions first, as the table did', () => {
    const { m, tops, ports } = stale(cm);
    const port = ports[0] as DmaPort;
    m.map(tops[0], 4, 0x6000, 0x8801);

    const codes = [READ, READ, WRITE].map((access) => {
      port.translate(0x6000, 0, access);
      return m.faults.at(-1)?.code;
    });

    expect(codes).toEqual(['0Ch', '0Ch', '05h']);
  });
});
