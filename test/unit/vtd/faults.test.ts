import { describe, expect, test } from 'vitest';
import { FECTL, FSTS, IQT } from '../../../viommu/spec/vtd/registers.ts';
import { READ } from '../../../vmm/bus/dma.ts';
import { CFI, IRE, TE, VtdMachine } from '../../kit/vtd-machine.ts';

const F = 0x80000000;

/** `records` fault registers, translation on with an empty root table: every request faults with 01h. */
function faulting(records: number) {
  const m = new VtdMachine({ config: { 'fault-records': records } });
  m.start();
  const fault = (sid: number, page = 1) => m.port(sid).translate(page * 4096, 0, READ);
  const pending = () =>
    Array.from(
      { length: records },
      (_, i) => Number(m.record(i)[1] & 0xffffn) * Number(m.record(i)[1] >> 63n),
    );
  return { m, fault, pending };
}

describe('primary fault logging', () => {
  test('fills the records as a ring; FRI is the first pending one', () => {
    const { m, fault, pending } = faulting(4);

    fault(0x08);
    fault(0x10);
    const first = m.read(FSTS);
    m.clearFaults();
    fault(0x18);
    fault(0x20);
    fault(0x28);

    expect(first).toBe(0x002n);
    expect(m.read(FSTS)).toBe(0x202n);
    expect(pending()).toEqual([0x28, 0, 0x18, 0x20]);
  });

  test('a full ring sets PFO, and while PFO is set nothing is recorded', () => {
    const { m, fault, pending } = faulting(2);

    for (const sid of [0x08, 0x10, 0x18]) fault(sid);
    m.write32(0x22c, F);
    fault(0x20);
    const overflow = m.read(FSTS);
    m.write(FSTS, 1);
    fault(0x28);

    expect(overflow).toBe(3n);
    expect(pending()).toEqual([0x28, 0x10]);
    expect(m.faults.map((f) => f.note)).toEqual([
      undefined,
      undefined,
      'overflow',
      'overflow pending',
      undefined,
    ]);
  });

  test('a further fault of a requester that has one pending is merged with it', () => {
    const { m, fault, pending } = faulting(4);

    fault(0x08, 1);
    fault(0x08, 2);

    expect(pending()).toEqual([0x08, 0, 0, 0]);
    expect([m.record()[0], m.read(FSTS)]).toEqual([0x1000n, 2n]);
  });

  test('PPF stays until the last F is cleared', () => {
    const { m, fault } = faulting(2);
    fault(0x08);
    fault(0x10);

    m.write32(0x22c, F);
    const one = m.read(FSTS);
    m.write32(0x23c, F);

    expect([one, m.read(FSTS)]).toEqual([2n, 0n]);
  });

  test('the next record is the first one after translation and interrupt remapping are off', () => {
    const { m, fault, pending } = faulting(4);
    fault(0x08);
    m.clearFaults();
    m.command(IRE);

    m.disable(TE);
    m.command(TE);
    fault(0x10);
    const kept = pending();
    m.clearFaults();
    m.disable(TE | IRE | CFI);
    m.command(TE);
    fault(0x18);

    expect(kept).toEqual([0, 0x10, 0, 0]);
    expect(pending()).toEqual([0x18, 0, 0, 0]);
  });

  test('other bits of a record cannot be written', () => {
    const { m, fault } = faulting(1);
    fault(0x08);
    const before = m.record();

    m.write32(0x220, 0);
    m.write32(0x228, 0xffffffff);
    m.write32(0x22c, 0x7fffffff);

    expect(m.record()).toEqual(before);
  });
});

describe('the fault event', () => {
  const SENT = { vector: 0x30, mode: 0, logical: false, destination: 0, level: false };

  test('is sent once while faults are pending, and again after they were serviced', () => {
    const { m, fault } = faulting(4);
    m.unmaskFaults();

    fault(0x08);
    fault(0x10);
    const first = [...m.delivered];
    m.clearFaults();
    fault(0x18);

    expect(first).toEqual([SENT]);
    expect(m.delivered).toEqual([SENT, SENT]);
  });

  test('masked it is pending, and unmasking sends it', () => {
    const { m, fault } = faulting(4);
    m.unmaskFaults();
    m.write(FECTL, F);

    fault(0x08);
    const masked = [m.read(FECTL), m.delivered.length];
    m.write(FECTL, 0);

    expect(masked).toEqual([0xc0000000n, 0]);
    expect([m.read(FECTL), m.delivered]).toEqual([0n, [SENT]]);
  });

  test('a pending event is withdrawn when software services the fault first', () => {
    const { m, fault } = faulting(4);

    fault(0x08);
    m.clearFaults();
    const control = m.read(FECTL);
    m.unmaskFaults();

    expect([control, m.delivered]).toEqual([0x80000000n, []]);
  });

  test('a queue error while a fault is pending sends nothing more', () => {
    const { m, fault } = faulting(4);
    m.unmaskFaults();

    fault(0x08);
    m.write(IQT, 0x10);
    m.submit(0xfn);

    expect([m.read(FSTS), m.delivered.length]).toEqual([0x12n, 1]);
  });

  test('uses the upper address for x2APIC destinations and the trigger mode of the data', () => {
    const { m, fault } = faulting(1);
    m.write32(0x3c, 0x8141);
    m.write32(0x40, 0xfee34004);
    m.write32(0x44, 0x00001200);
    m.write(FECTL, 0);

    fault(0x08);

    expect(m.delivered).toEqual([{ vector: 0x41, mode: 1, logical: true, destination: 0x1234, level: true }]);
  });

  test('an address outside the interrupt range is a dword write to memory', () => {
    const { m, fault } = faulting(1);
    m.write32(0x3c, 0xbeef);
    m.write32(0x40, 0x5000);
    m.write(FECTL, 0);

    fault(0x08);

    expect([m.load(0x5000), m.delivered]).toEqual([0xbeefn, []]);
  });
});
