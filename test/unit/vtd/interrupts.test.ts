import { describe, expect, test } from 'vitest';
import { FSTS, IRTA } from '../../../viommu/spec/vtd/registers.ts';
import { DMA_MESSAGE, DMA_OK, DMA_UR, WRITE } from '../../../vmm/bus/dma.ts';
import { CFI, IRE, IRT, SIRTP, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
/** Vector 41h to APIC 3, source-id of the device checked in full. */
const GOOD: [bigint, bigint] = [0x0000_0300_0041_0001n, 0x4_0018n];

function remapping(config = {}, size = 7, eime = false) {
  const m = new VtdMachine({ config });
  m.write(IRTA, 0);
  m.startInterrupts(size, eime);
  const irte = (index: number, q0: bigint, q1: bigint) => {
    m.store(IRT + index * 16, q0);
    m.store(IRT + index * 16 + 8, q1);
  };
  const send = (index: number, sid = DEV, data = 0) => m.port(sid).message(address(index), 0, data);
  return { m, irte, send };
}

/** Remappable-format address of an index, without subhandle. */
function address(index: number): number {
  return (0xfee00010 | ((index & 0x7fff) << 5) | ((index >>> 15) << 2)) >>> 0;
}

describe('interrupt requests', () => {
  test('while remapping is off every message passes as it is', () => {
    const m = new VtdMachine();

    const sent = [m.port(DEV).message(0xfee05004, 0, 0x4131), m.port(DEV).message(0xfee00010, 0, 0x55)];

    expect(sent).toEqual([DMA_OK, DMA_OK]);
    expect(m.delivered).toEqual([
      { vector: 0x31, mode: 1, logical: true, destination: 5, level: false },
      { vector: 0x55, mode: 0, logical: false, destination: 0, level: false },
    ]);
  });

  test('a remappable message is delivered as its entry says', () => {
    const { m, irte, send } = remapping();
    irte(5, 0x0000_0700_0061_0035n, 0n);

    expect(send(5)).toBe(DMA_OK);
    expect(m.delivered).toEqual([{ vector: 0x61, mode: 1, logical: true, destination: 7, level: true }]);
  });

  test('the subhandle is added to the handle when SHV is set, and ignored when not', () => {
    const { m, irte } = remapping();
    irte(5, 0x0041_0001n, 0n);
    irte(7, 0x0042_0001n, 0n);

    m.port(DEV).message(address(5) | 8, 0, 2);
    m.port(DEV).message(address(5), 0, 2);

    expect(m.delivered.map((d) => d.vector)).toEqual([0x42, 0x41]);
  });

  test('handle bit 15 comes from address bit 2', () => {
    const m = new VtdMachine({ ramBytes: 16 << 20 });
    m.startInterrupts(15);
    m.store(IRT + 0x8001 * 16, 0x0043_0001n);

    m.port(DEV).message(address(0x8001), 0, 0);

    expect(m.delivered.map((d) => d.vector)).toEqual([0x43]);
  });

  test('extended interrupt mode takes 32 bits of destination', () => {
    const { m, irte, send } = remapping({ eim: true }, 7, true);
    irte(1, 0x0001_2345_0041_0001n, 0n);

    expect([send(1), m.delivered[0]?.destination]).toEqual([DMA_OK, 0x12345]);
  });

  test('EIME is ignored without the capability', () => {
    const { m, irte, send } = remapping({}, 7, true);
    irte(1, 0x0000_0300_0041_0001n, 0n);

    expect([send(1), m.delivered[0]?.destination]).toEqual([DMA_OK, 3]);
  });

  test('compatibility-format messages pass only with CFIS and without EIME', () => {
    const plain = remapping();
    plain.m.command(CFI);
    const extended = remapping({ eim: true }, 7, true);
    extended.m.command(CFI);

    expect(plain.m.port(DEV).message(0xfee05000, 0, 0x31)).toBe(DMA_OK);
    expect(extended.m.port(DEV).message(0xfee05000, 0, 0x31)).toBe(DMA_UR);
    expect(extended.m.record()).toEqual([0n, 0x8000002500000018n]);
  });

  test('a write of another length to the window is no interrupt', () => {
    const { m } = remapping();
    const port = m.port(DEV);

    expect(port.write(0xfee00000, 0, new Uint8Array(2), 0, 2)).toBe(DMA_UR);
    expect(m.record()).toEqual([0n, 0x8000002900000018n]);
    m.clearFaults();
    m.start();
    expect(port.write(0xfee00000, 0, new Uint8Array(8), 0, 8)).toBe(DMA_UR);
    expect(m.record()).toEqual([0xfee00000n, 0x8000000e00000018n]);
  });

  test('with both engines off such a write is refused without a record', () => {
    const m = new VtdMachine();

    expect(m.port(DEV).write(0xfee00000, 0, new Uint8Array(2), 0, 2)).toBe(DMA_UR);
    expect(m.read(FSTS)).toBe(0n);
  });

  test('DMA remapping leaves interrupt writes to interrupt remapping', () => {
    const { m, irte } = remapping();
    irte(5, ...GOOD);
    m.start(IRE);

    const port = m.port(DEV);

    expect(port.translate(address(5), 0, WRITE)).toBe(DMA_MESSAGE);
    expect(port.message(address(5), 0, 0)).toBe(DMA_OK);
    expect(port.write(address(5), 0, new Uint8Array(4), 0, 4)).toBe(DMA_OK);
    expect(m.delivered.length).toBe(2);
  });
});

describe('interrupt-remapping faults, as recorded', () => {
  test.each([
    ['20h: data 31:16 not 0', 5, 0x10000, GOOD, 0x0005_0000_0000_0000n, 0x20n],
    ['21h: index beyond the table', 256, 0, GOOD, 0x0100_0000_0000_0000n, 0x21n],
    ['22h: entry not present', 5, 0, [0n, 0n], 0x0005_0000_0000_0000n, 0x22n],
    ['24h: reserved bits 14:12', 5, 0, [0x41_1001n, 0n], 0x0005_0000_0000_0000n, 0x24n],
    ['24h: IM without posted interrupts', 5, 0, [0x41_8001n, 0n], 0x0005_0000_0000_0000n, 0x24n],
    [
      '24h: a wide destination without EIME',
      5,
      0,
      [(0x1_0000_0000_0041_0001n >> 8n) | 1n, 0n],
      0x0005_0000_0000_0000n,
      0x24n,
    ],
    ['24h: SVT 3', 5, 0, [0x41_0001n, 0xc_0000n], 0x0005_0000_0000_0000n, 0x24n],
    ['24h: upper reserved bits', 5, 0, [0x41_0001n, 1n << 63n], 0x0005_0000_0000_0000n, 0x24n],
    ['26h: another source-id', 5, 0, [0x41_0001n, 0x4_0019n], 0x0005_0000_0000_0000n, 0x26n],
    ['26h: bus outside the range', 5, 0, [0x41_0001n, 0x8_0102n], 0x0005_0000_0000_0000n, 0x26n],
  ] as [string, number, number, [bigint, bigint], bigint, bigint][])(
    '%s',
    (_what, index, data, entry, info, code) => {
      const { m, irte, send } = remapping();
      irte(5, ...entry);

      expect(send(index, DEV, data)).toBe(DMA_UR);

      expect(m.record()).toEqual([info, (1n << 63n) | (code << 32n) | 0x18n]);
      expect(m.delivered).toEqual([]);
      expect(m.faults[0]).toMatchObject({ access: 'interrupt', recorded: true });
    },
  );

  test('23h: the table is not memory', () => {
    const m = new VtdMachine();
    m.write(IRTA, 0x7000_0007n);
    m.command(SIRTP);
    m.command(IRE);

    m.port(DEV).message(address(5), 0, 0);

    expect(m.record()).toEqual([0x0005_0000_0000_0000n, 0x8000002300000018n]);
  });

  test('25h: a compatibility-format message is blocked', () => {
    const { m } = remapping();

    expect(m.port(DEV).message(0xfee05000, 0, 0x31)).toBe(DMA_UR);
    expect(m.record()).toEqual([0n, 0x8000002500000018n]);
  });

  test.each([
    ['22h', 0x2n, 0n],
    ['24h', 0x41_1003n, 0n],
    ['26h', 0x41_0003n, 0x4_0019n],
  ])('FPD keeps %s from being recorded', (_code, q0, q1) => {
    const { m, irte, send } = remapping();
    irte(5, q0, q1);

    expect([send(5), m.read(FSTS), m.faults[0]?.recorded]).toEqual([DMA_UR, 0n, false]);
  });
});

describe('source validation', () => {
  test.each([
    ['SVT 0 takes everyone', 0x0_0000n, 0x1234, true],
    ['all 16 bits', 0x4_0018n, 0x18, true],
    ['SQ 1 ignores bit 2', 0x5_0018n, 0x1c, true],
    ['SQ 1 does not ignore bit 1', 0x5_0018n, 0x1a, false],
    ['SQ 2 ignores bits 2:1', 0x6_0018n, 0x1e, true],
    ['SQ 2 does not ignore bit 0', 0x6_0018n, 0x19, false],
    ['SQ 3 ignores the function', 0x7_0018n, 0x1f, true],
    ['SQ 3 does not ignore the device', 0x7_0018n, 0x20, false],
    ['bus range, first', 0x8_0103n, 0x0100, true],
    ['bus range, last', 0x8_0103n, 0x03ff, true],
    ['bus range, below', 0x8_0103n, 0x00ff, false],
    ['bus range, above', 0x8_0103n, 0x0400, false],
  ])('%s', (_what, q1, sid, allowed) => {
    const { irte, send } = remapping();
    irte(5, 0x41_0001n, q1);

    expect(send(5, sid)).toBe(allowed ? DMA_OK : DMA_UR);
  });

  test.each([
    ['real' as const, 0xff00, DMA_OK, DMA_UR],
    ['any' as const, 0xff00, DMA_OK, DMA_OK],
    ['endpoint' as const, 0xff00, DMA_OK, DMA_OK],
  ])('ioapic-sid=%s', (policy, ioapic, own, endpoint) => {
    const { m, irte } = remapping({ 'ioapic-sid': policy });
    irte(1, 0x41_0001n, 0x4_ff00n);
    irte(2, 0x41_0001n, 0x4_0018n);
    const port = m.port(ioapic);
    port.interruptController = true;
    port.pinOwner = 0x18;

    expect([port.message(address(1), 0, 0), port.message(address(2), 0, 0)]).toEqual([own, endpoint]);
  });

  test('with ioapic-sid=endpoint another device does not pass for the owner of the pin', () => {
    const { m, irte } = remapping({ 'ioapic-sid': 'endpoint' });
    irte(2, 0x41_0001n, 0x4_0018n);
    const port = m.port(0xff00);
    port.interruptController = true;
    const unknown = port.message(address(2), 0, 0);
    port.pinOwner = 0x20;

    expect([unknown, port.message(address(2), 0, 0)]).toEqual([DMA_UR, DMA_UR]);
  });
});

describe('the interrupt-entry cache', () => {
  function cached() {
    const r = remapping();
    r.m.startQueue();
    for (const index of [4, 5, 8]) r.irte(index, 0x41_0001n, 0n);
    for (const index of [4, 5, 8]) r.send(index);
    for (const index of [4, 5, 8]) r.irte(index, 0x51_0001n, 0n);
    r.m.delivered.length = 0;
    const vectors = () => {
      r.m.delivered.length = 0;
      for (const index of [4, 5, 8]) r.send(index);
      return r.m.delivered.map((d) => d.vector);
    };
    return { ...r, vectors };
  }

  test('stays stale until it is invalidated, even over SIRTP', () => {
    const { m, vectors } = cached();
    m.command(SIRTP);

    expect(vectors()).toEqual([0x41, 0x41, 0x41]);
  });

  test('index-selective invalidation drops 2^IM entries and no others', () => {
    const { m, vectors } = cached();

    m.submit(0x0000_0005_0000_0014n);
    const one = vectors();
    m.submit(0x0000_0005_0800_0014n);
    const two = vectors();

    expect(one).toEqual([0x41, 0x51, 0x41]);
    expect(two).toEqual([0x51, 0x51, 0x41]);
  });

  test('a range wider than the cache drops what it covers', () => {
    const { m, vectors } = cached();

    m.submit(0x0000_0000_7800_0014n);

    expect(vectors()).toEqual([0x51, 0x51, 0x51]);
  });

  test('global invalidation drops everything', () => {
    const { m, vectors } = cached();

    m.submit(0x4n);

    expect(vectors()).toEqual([0x51, 0x51, 0x51]);
  });

  test('not-present entries are kept in caching mode only', () => {
    const seen = [false, true].map((mode) => {
      const { m, irte, send } = remapping({ 'caching-mode': mode });
      m.startQueue();
      send(5);
      irte(5, 0x41_0001n, 0n);
      const stale = send(5);
      m.submit(0x0000_0005_0000_0014n);
      return [stale, send(5)];
    });

    expect(seen).toEqual([
      [DMA_OK, DMA_OK],
      [DMA_UR, DMA_OK],
    ]);
  });
});
