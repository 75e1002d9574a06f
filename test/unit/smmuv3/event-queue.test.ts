import { describe, expect, test } from 'vitest';
import { READ, WRITE } from '../../../vmm/bus/dma.ts';
import {
  CMDQEN,
  DATA,
  EVENTQEN,
  EVENTS,
  REG,
  SMMUEN,
  SmmuMachine,
  type SmmuMachineOptions,
} from '../../kit/smmu-machine.ts';

const EVENTQ_WIRE = 106;
const GERROR_WIRE = 109;
const SID = 0x18;
const IRQ_CTRL = 0x50;
const EVENTQ_IRQ_CFG0 = 0xb0;

/** Stream 18h with empty tables, stream 0 without an STE. */
function started(options: SmmuMachineOptions = {}, log2 = 4) {
  const m = new SmmuMachine(options);
  m.stage1(SID);
  m.start(SMMUEN | EVENTQEN, log2);
  return { m, port: m.port(SID), bad: m.port(0) };
}

describe('a record', () => {
  test('F_TRANSLATION of a read has RnW, CLASS IN and the address as presented', () => {
    const { m, port } = started();

    port.translate(0x12345, 0x3, READ);

    expect([m.event(0), m.read32(REG.eventqProd)]).toEqual([
      [0x18_0000_0010n, 0x208_0000_0000n, 0x3_0001_2345n, 0n],
      1,
    ]);
  });

  test('of a write has RnW 0, and Stall 0 where nothing stalls', () => {
    const { m, port } = started();

    port.translate(0x1000, 0, WRITE);

    expect(m.event(0)).toEqual([0x18_0000_0010n, 0x200_0000_0000n, 0x1000n, 0n]);
  });

  test('of a substream has SSV and the SubstreamID', () => {
    const { m, port } = started({ config: { ssidsize: 4 } });
    port.pasid = 5;

    port.translate(0x1000, 0, READ);

    // The stream has no substreams: C_BAD_SUBSTREAMID.
    expect(m.event(0)).toEqual([0x18_0000_5808n, 0n, 0n, 0n]);
  });

  test('of a configuration error has nothing but its stream', () => {
    const { m, bad } = started();

    bad.translate(0x1000, 0, READ);

    expect(m.event(0)).toEqual([4n, 0n, 0n, 0n]);
  });

  test('overwrites what was there', () => {
    const { m, bad } = started();
    for (const at of [0, 8, 16, 24]) m.store(EVENTS + at, -1n & 0xffff_ffff_ffff_ffffn);

    bad.translate(0x1000, 0, READ);

    expect(m.event(0)).toEqual([4n, 0n, 0n, 0n]);
  });
});

describe('overflow', () => {
  test('toggles OVFLG once, and events come again as soon as there is room', () => {
    const { m, bad } = started({}, 1);
    for (let i = 0; i < 4; i++) bad.translate(0, 0, READ);
    const full = m.read32(REG.eventqProd);

    m.write32(REG.eventqCons, 1);
    bad.translate(0, 0, READ);
    bad.translate(0, 0, READ);
    const again = m.read32(REG.eventqProd);
    m.write32(REG.eventqCons, 0x80000001);
    bad.translate(0, 0, READ);

    expect([full, again, m.read32(REG.eventqProd)]).toEqual([0x80000002, 0x80000003, 3]);
  });

  test('a disabled queue drops events and does not overflow', () => {
    const { m, bad } = started();
    m.write32(REG.cr0, SMMUEN);

    bad.translate(0, 0, READ);
    m.write32(REG.cr0, SMMUEN | EVENTQEN);

    expect([m.read32(REG.eventqProd), m.faults[0]?.recorded, m.pulses]).toEqual([0, false, []]);
  });

  test('with profile=qemu a full queue is EVENTQ_ABT_ERR, which stops nothing', () => {
    const { m, bad } = started({ config: { profile: 'qemu' } }, 1);
    for (let i = 0; i < 4; i++) bad.translate(0, 0, READ);
    const full = [m.read32(REG.eventqProd), m.read32(REG.gerror)];

    m.write32(REG.eventqCons, 1);
    bad.translate(0, 0, READ);

    expect([full, m.read32(REG.eventqProd)]).toEqual([[2, 4], 3]);
  });

  test('inconsistent indices count as full', () => {
    const { m, bad } = started({}, 2);
    m.write32(REG.eventqCons, 1);

    bad.translate(0, 0, READ);

    expect(m.read32(REG.eventqProd)).toBe(0x80000000);
    expect(m.faults).toHaveLength(1);
  });

  test('the indices are as wide as the queue', () => {
    const { m, bad } = started({}, 1);
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      bad.translate(0, 0, READ);
      seen.push(m.read32(REG.eventqProd));
      m.write32(REG.eventqCons, seen[i]!);
    }

    expect(seen).toEqual([1, 2, 3, 0, 1]);
  });
});

describe('a queue that is not memory', () => {
  test('is EVENTQ_ABT_ERR; nothing is written until it is acknowledged', () => {
    const { m, bad } = started();
    m.write32(REG.cr0, 0);
    m.write64(REG.eventqBase, 0x9000_0004n);
    m.write32(REG.cr0, SMMUEN | EVENTQEN);

    bad.translate(0, 0, READ);
    bad.translate(0, 0, READ);
    const gerror = m.read32(REG.gerror);
    m.write32(REG.gerrorn, 4);
    bad.translate(0, 0, READ);

    expect([gerror, m.read32(REG.gerror), m.read32(REG.eventqProd), m.pulses]).toEqual([
      4,
      0,
      0,
      [GERROR_WIRE, GERROR_WIRE],
    ]);
  });
});

describe('the interrupt', () => {
  test('comes when the queue is not empty any more, and only then', () => {
    const { m, bad } = started();
    bad.translate(0, 0, READ);
    bad.translate(0, 0, READ);
    const two = [...m.pulses];

    m.write32(REG.eventqCons, 2);
    bad.translate(0, 0, READ);

    expect([two, m.pulses]).toEqual([[EVENTQ_WIRE], [EVENTQ_WIRE, EVENTQ_WIRE]]);
  });

  test('does not come later for what happened while it was disabled', () => {
    const { m, bad } = started();
    m.write32(IRQ_CTRL, 1);

    bad.translate(0, 0, READ);
    m.write32(IRQ_CTRL, 5);
    bad.translate(0, 0, READ);

    expect(m.pulses).toEqual([]);
  });

  test('is a message where there is an address', () => {
    const { m, bad } = started({ config: { msi: true } });
    m.write32(IRQ_CTRL, 1);
    m.write64(EVENTQ_IRQ_CFG0, DATA);
    m.write32(EVENTQ_IRQ_CFG0 + 8, 0x77);
    m.write32(IRQ_CTRL, 5);

    bad.translate(0, 0, READ);

    expect([m.load(DATA), m.pulses]).toEqual([0x77n, []]);
  });

  test('is a message to a register of another device, too', () => {
    const { m, bad } = started({ config: { msi: true } });
    const written: number[][] = [];
    m.bus.add({
      name: 'doorbell',
      base: 0x08020000,
      size: 0x1000,
      handler: { read: () => 0, write: (offset, size, lo) => written.push([offset, size, lo]) },
    });
    m.write32(IRQ_CTRL, 1);
    m.write64(EVENTQ_IRQ_CFG0, 0x08020040);
    m.write32(EVENTQ_IRQ_CFG0 + 8, 0x51);
    m.write32(IRQ_CTRL, 5);

    bad.translate(0, 0, READ);

    expect([written, m.pulses, m.read32(REG.gerror)]).toEqual([[[0x40, 4, 0x51]], [], 0]);
  });

  test('that feeds the command queue finds the transaction done with', () => {
    const { m, bad } = started({ config: { msi: true } });
    m.write32(REG.cr0, SMMUEN | EVENTQEN | CMDQEN);
    m.queue(0x1046n, BigInt(DATA));
    m.write32(IRQ_CTRL, 1);
    m.write64(EVENTQ_IRQ_CFG0, m.config.base + REG.cmdqProd);
    m.write32(EVENTQ_IRQ_CFG0 + 8, 1);
    m.write32(IRQ_CTRL, 5);
    m.store(DATA, -1n & 0xffff_ffff_ffff_ffffn);

    bad.translate(0, 0, READ);

    expect([m.load(DATA), m.stopped, m.faults[0]?.recorded]).toEqual([0xffff_ffff_0000_0000n, [0, 1], true]);
  });

  test.each([
    ['MSI_EVENTQ_ABT_ERR', 0, 0x20, [GERROR_WIRE]],
    ['both, and the second raises nothing', 0x9000_0000, 0xa0, []],
  ])('that is aborted is an error: %s', (_name, errorAddress, gerror, pulses) => {
    const { m, bad } = started({ config: { msi: true } });
    m.write32(IRQ_CTRL, 0);
    m.write64(EVENTQ_IRQ_CFG0, 0x9000_0000);
    m.write64(0x68, errorAddress);
    m.write32(IRQ_CTRL, 5);

    bad.translate(0, 0, READ);

    expect([m.read32(REG.gerror), m.pulses, m.read32(REG.eventqProd)]).toEqual([gerror, pulses, 1]);
  });
});
