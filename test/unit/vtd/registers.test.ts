import { describe, expect, test } from 'vitest';
import { CAP, ECAP } from '../../../viommu/spec/vtd/capabilities.ts';
import {
  CCMD,
  FECTL,
  FSTS,
  GCMD,
  GSTS,
  IECTL,
  IOTLB,
  IQA,
  IQH,
  IQT,
  IRTA,
  IVA,
  PHMBASE,
  PHMLIMIT,
  PLMBASE,
  PLMLIMIT,
  PMEN,
  RTADDR,
  VER,
} from '../../../viommu/spec/vtd/registers.ts';
import { DMA_OK, DMA_UR, READ } from '../../../vmm/bus/dma.ts';
import { ROOT, VtdMachine } from '../../kit/vtd-machine.ts';

describe('the register block at power-on', () => {
  test('reads what QEMU shows: masks set, capabilities, all else zero', () => {
    const m = new VtdMachine();

    const nonZero: [number, number][] = [];
    for (let at = 0; at < 0x230; at += 4) if (m.read32(at) !== 0) nonZero.push([at, m.read32(at)]);

    expect(nonZero).toEqual([
      [0x00, 0x10],
      [0x08, 0x222f0606],
      [0x0c, 0x80d2008c],
      [0x10, 0x00f00f4a],
      [0x38, 0x80000000],
      [0xa0, 0x80000000],
    ]);
  });

  test.each([
    [{ 'aw-bits': 39 as const }, 0x80d2008c22260206n, 0xf00f4an],
    [{ 'aw-bits': 57 as const }, 0x80d2008c22380e06n, 0xf00f4an],
    [{ 'caching-mode': true }, 0x80d2008c222f0686n, 0xf00f4an],
    [{ intremap: false, 'snoop-control': true }, 0x80d2008c222f0606n, 0xfc2n],
    [{ 'device-iotlb': true }, 0x80d2008c222f0606n, 0xf00f4en],
    [{ eim: true, pt: false, 'coherent-walks': true }, 0x80d2008c222f0606n, 0xf00f1bn],
    [{ 'fault-records': 8, 'protected-memory': true, zlr: true }, 0x80d2078c226f0666n, 0xf00f4an],
    [{ 'large-pages': 'none' as const, 'dma-drain': false }, 0x80120080222f0606n, 0xf00f4an],
  ])('options %j show in CAP and ECAP', (config, cap, ecap) => {
    const m = new VtdMachine({ config });

    expect(m.read(CAP)).toBe(cap);
    expect(m.read(ECAP)).toBe(ecap);
  });
});

describe('access to registers', () => {
  test('read-only registers ignore writes', () => {
    const m = new VtdMachine();

    for (const r of [VER, CAP, ECAP, GSTS, IQH]) m.write(r, 0xffffffffffffffffn >> BigInt(64 - r.bytes * 8));

    expect(m.read(VER)).toBe(0x10n);
    expect(m.read(CAP)).toBe(0x80d2008c222f0606n);
    expect(m.read(GSTS)).toBe(0n);
    expect(m.read(IQH)).toBe(0n);
  });

  test('only implemented bits of read-write registers keep their value', () => {
    const m = new VtdMachine();

    m.write(RTADDR, 0xffffffffffffffffn);
    m.write(IQA, 0xffffffffffffffffn);
    m.write(IRTA, 0xffffffffffffffffn);
    m.write32(0x3c, 0xffffffff);
    m.write32(0x40, 0xffffffff);

    expect(m.read(RTADDR)).toBe(0xfffffffffffffc00n);
    expect(m.read(IQA)).toBe(0xfffffffffffff807n);
    expect(m.read(IRTA)).toBe(0xfffffffffffff80fn);
    expect(m.read32(0x3c)).toBe(0xffff);
    expect(m.read32(0x40)).toBe(0xfffffffc);
  });

  test('a 64-bit register takes its halves one by one', () => {
    const m = new VtdMachine();

    m.write32(0x20, 0x12345000);
    m.write32(0x24, 0x1);

    expect(m.read(RTADDR)).toBe(0x112345000n);
  });

  test('narrow and unaligned writes are ignored, such reads give the bytes that are there', () => {
    const m = new VtdMachine();
    m.write32(0x20, 0x12345000);

    m.bus.write(m.base + 0x20, 2, 0xffff, 0);
    m.bus.write(m.base + 0x22, 4, 0xffffffff, 0);

    expect(m.bus.read(m.base + 0x21, 1)).toBe(0x50);
    expect(m.bus.read(m.base + 0x22, 2)).toBe(0x1234);
    expect(m.bus.read(m.base + 0x0a, 8)).toBe(0x008c222f);
    expect(m.bus.hi).toBe(0x0f4a80d2);
  });

  test('write-only fields read zero: GCMD, IVA, SID and FM of CCMD', () => {
    const m = new VtdMachine();

    m.write(GCMD, 0x40000000);
    m.write(IVA, 0x1234567f);
    m.write(CCMD, 0x3ffff1234n);

    expect(m.read(GCMD)).toBe(0n);
    expect(m.read(IVA)).toBe(0n);
    expect(m.read(CCMD)).toBe(0x1234n);
  });

  test('registers of features that are not offered read zero and ignore writes', () => {
    const m = new VtdMachine();

    for (const at of [0x58, 0x64, 0x68, 0x70, 0xc0, 0xd0, 0xe0, 0x100, 0x300, 0x400, 0xe00])
      m.write32(at, 0xffffffff);

    for (const at of [0x58, 0x64, 0x68, 0x70, 0xc0, 0xd0, 0xe0, 0x100, 0x300, 0x400, 0xe00])
      expect(m.read32(at)).toBe(0);
  });
});

describe('global commands', () => {
  test('cumulative writes, as qtest makes them, switch one thing after the other on', () => {
    const m = new VtdMachine();

    m.write(RTADDR, ROOT);
    const seen = [0x40000000, 0x44000000, 0xc4000000].map((value) => {
      m.write(GCMD, value);
      return m.read(GSTS);
    });

    expect(seen).toEqual([0x40000000n, 0x44000000n, 0xc4000000n]);
  });

  test('a writer of single bits turns level bits off that it leaves out', () => {
    const m = new VtdMachine();

    m.write(GCMD, 0x40000000);
    m.write(GCMD, 0x04000000);
    m.write(GCMD, 0x80000000);

    expect(m.read(GSTS)).toBe(0xc0000000n);
  });

  test('the root pointer counts when SRTP latches it, not when it is written', () => {
    const m = new VtdMachine();
    m.context(0x18, { P: 1, TT: 2, AW: 2 });
    m.start();

    m.write(RTADDR, 0x5000);
    const before = m.port(0x18).translate(0x3000, 0, READ);
    m.command(0x40000000);
    const after = m.port(0x18).translate(0x3000, 0, READ);

    expect([before, after]).toEqual([DMA_OK, DMA_UR]);
  });

  test('interrupt-remapping commands do nothing without the capability', () => {
    const m = new VtdMachine({ config: { intremap: false } });

    m.write(GCMD, 0x03800000);

    expect(m.read(GSTS)).toBe(0n);
  });

  test('a write-buffer flush has completed at once', () => {
    const m = new VtdMachine();

    m.write(GCMD, 0x08000000);

    expect(m.read(GSTS)).toBe(0n);
  });

  test('enabling the queue serves a tail that was set before; disabling it resets head and tail', () => {
    const m = new VtdMachine();
    m.store(0x10000, 0x12n);
    m.write(IQA, 0x10000);

    m.write(IQT, 0x10);
    m.command(0x04000000);
    const running = m.read(IQH);
    m.disable(0x04000000);

    expect(running).toBe(0x10n);
    expect(m.read(IQH)).toBe(0n);
    expect(m.read(IQT)).toBe(0n);
  });
});

describe('register-based invalidation', () => {
  test.each([
    [0xa000000000000000n, 0x2800000000000000n],
    [0xc000000000000007n, 0x5000000000000007n],
    [0xe000000000180000n, 0x7800000000000000n],
  ])('CCMD %d answers with the granularity it did', (command, answer) => {
    const m = new VtdMachine();

    m.write(CCMD, command);

    expect(m.read(CCMD)).toBe(answer);
  });

  test.each([
    [0x9000000000000000n, 0x1200000000000000n],
    [0xa000000700000000n, 0x2400000700000000n],
    [0xb003000700000000n, 0x3603000700000000n],
  ])('IOTLB %d answers with the granularity it did', (command, answer) => {
    const m = new VtdMachine();

    m.write(IOTLB, command);

    expect(m.read(IOTLB)).toBe(answer);
  });

  test('is ignored while the queue is enabled', () => {
    const m = new VtdMachine();
    m.command(0x04000000);

    m.write(CCMD, 0xa000000000000000n);
    m.write(IOTLB, 0x9000000000000000n);

    expect(m.read(CCMD)).toBe(0x2000000000000000n);
    expect(m.read(IOTLB)).toBe(0x1000000000000000n);
  });

  test('a page request with a mask beyond MAMV is ignored', () => {
    const m = new VtdMachine();

    m.write(IVA, 19);
    m.write(IOTLB, 0xb000000700000000n);

    expect(m.read(IOTLB)).toBe(0x3000000700000000n);
  });

  test('stays busy until its time with asynchronous invalidation', () => {
    const m = new VtdMachine({ config: { invalidation: 'async' } });

    m.write(CCMD, 0xa000000000000000n);
    m.write(IOTLB, 0x9000000000000000n);
    const busy = [m.read(CCMD), m.read(IOTLB)];
    m.clock.advanceTo(1000);

    expect(busy).toEqual([0xa000000000000000n, 0x9000000000000000n]);
    expect([m.read(CCMD), m.read(IOTLB)]).toEqual([0x2800000000000000n, 0x1200000000000000n]);
  });
});

describe('protected memory', () => {
  const low = { 'protected-memory': true };

  test('writing ones to base and limit shows an alignment of 2 MiB', () => {
    const m = new VtdMachine({ config: low });

    m.write(PLMBASE, 0xffffffff);
    m.write(PLMLIMIT, 0xffffffff);
    m.write(PHMBASE, 0xffffffffffffffffn);
    m.write(PHMLIMIT, 0xffffffffffffffffn);

    expect([PLMBASE, PLMLIMIT].map((r) => m.read(r))).toEqual([0xffe00000n, 0xffe00000n]);
    expect([PHMBASE, PHMLIMIT].map((r) => m.read(r))).toEqual([0xffffffffffe00000n, 0xffffffffffe00000n]);
  });

  test('EPM is answered by PRS, and both limits are inclusive', () => {
    const m = new VtdMachine({ config: low });
    const port = m.port(0x18);
    m.write(PLMBASE, 0x400000);
    m.write(PLMLIMIT, 0x600000);
    m.write(PHMBASE, 0x2_0000_0000n);
    m.write(PHMLIMIT, 0x3_0000_0000n);

    m.write(PMEN, 0x80000000);

    expect(m.read(PMEN)).toBe(0x80000001n);
    const at = (lo: number, hi = 0) => port.translate(lo, hi, READ);
    expect([at(0x3ff000), at(0x400000), at(0x7ff000), at(0x800000)]).toEqual([
      DMA_OK,
      DMA_UR,
      DMA_UR,
      DMA_OK,
    ]);
    expect([at(0, 2), at(0x1ff000, 3), at(0x200000, 3), at(0xfffff000, 1)]).toEqual([
      DMA_UR,
      DMA_UR,
      DMA_OK,
      DMA_OK,
    ]);
    expect(m.faults).toEqual([]);
    m.write(PMEN, 0);
    expect([m.read(PMEN), at(0x400000)]).toEqual([0n, DMA_OK]);
  });

  test('blocks pass-through requests but not paging-translated ones', () => {
    const m = new VtdMachine({ config: low });
    const top = m.page();
    m.map(top, 4, 0x5000, 0x400003);
    m.context(0x18, { P: 1, TT: 2, AW: 2 });
    m.context(0x20, { P: 1, AW: 2, DID: 1, SSPTPTR: top });
    m.start();
    m.write(PLMBASE, 0x400000);
    m.write(PLMLIMIT, 0x400000);

    m.write(PMEN, 0x80000000);

    const [pass, paged] = [m.port(0x18), m.port(0x20)];
    expect([pass.translate(0x400000, 0, READ), pass.translate(0x400000, 0, READ)]).toEqual([DMA_UR, DMA_UR]);
    expect(pass.translate(0x800000, 0, READ)).toBe(DMA_OK);
    expect(paged.translate(0x5000, 0, READ)).toBe(DMA_OK);
    expect(m.read(FSTS)).toBe(0n);
  });
});

describe('reset', () => {
  test('cold: everything goes back; warm: sticky error fields stay', () => {
    const m = new VtdMachine();
    m.unmaskFaults();
    m.start();
    m.port(0x18).translate(0, 0, READ);
    const record = m.record();

    m.device.reset('warm');
    const warm = { fsts: m.read(FSTS), record: m.record(), gsts: m.read(GSTS), fectl: m.read(FECTL) };
    m.device.reset('cold');

    expect(warm).toEqual({ fsts: 2n, record, gsts: 0n, fectl: 0x80000000n });
    expect([m.read(FSTS), m.record(), m.read(IECTL)]).toEqual([0n, [0n, 0n], 0x80000000n]);
    expect(m.read(CAP)).toBe(0x80d2008c222f0606n);
  });

  test('drops scheduled invalidation', () => {
    const m = new VtdMachine({ config: { invalidation: 'async' } });
    m.write(CCMD, 0xa000000000000000n);

    m.device.reset('cold');
    m.clock.advanceTo(10_000);

    expect(m.read(CCMD)).toBe(0n);
  });
});
