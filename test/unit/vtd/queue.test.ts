import { describe, expect, test } from 'vitest';
import { FSTS, ICS, IECTL, IQA, IQERCD, IQH, IQT } from '../../../viommu/spec/vtd/registers.ts';
import { QIE, QUEUE, VtdMachine } from '../../kit/vtd-machine.ts';

const STATUS = 0x3000;
/** Wait with status write of 1234h. */
const WAIT: [bigint, bigint] = [0x1234_0000_0025n, 0x3000n];

function queue(config = {}) {
  const m = new VtdMachine({ config });
  m.startQueue();
  return m;
}

describe('wait descriptors', () => {
  test('write their status where they are told', () => {
    const m = queue();

    m.submit(...WAIT);

    expect([m.load(STATUS), m.head, m.read(FSTS)]).toEqual([0x1234n, 0x10n, 0n]);
  });

  test('without SW nothing is written; with neither SW nor IF it is a fence', () => {
    const m = queue();

    m.submit(0x1234_0000_0045n, 0x3000n);

    expect([m.load(STATUS), m.head, m.read(ICS)]).toEqual([0n, 0x10n, 0n]);
  });

  test('a status address outside memory is dropped', () => {
    const m = queue();

    m.submit(0x1234_0000_0025n, 0x7000_0000n);

    expect([m.head, m.read(FSTS)]).toEqual([0x10n, 0n]);
  });

  test('IF sets IWC and sends one event until software clears it', () => {
    const m = queue();
    m.write32(0xa4, 0x51);
    m.write32(0xa8, 0xfee00000);
    m.write(IECTL, 0);

    m.submit(0x15n);
    m.submit(0x15n);
    const one = [m.read(ICS), m.delivered.length];
    m.write(ICS, 1);
    m.submit(0x15n);

    expect(one).toEqual([1n, 1]);
    expect(m.delivered.map((d) => d.vector)).toEqual([0x51, 0x51]);
  });

  test('a masked completion event is pending; clearing IWC withdraws it', () => {
    const m = queue();

    m.submit(0x15n);
    const pending = m.read(IECTL);
    m.write(ICS, 1);

    expect([pending, m.read(IECTL)]).toEqual([0xc0000000n, 0x80000000n]);
  });

  test('the status is written before the event', () => {
    const m = queue();
    m.write32(0xa4, 0x5a);
    m.write32(0xa8, STATUS);
    m.write(IECTL, 0);

    m.submit(0x1234_0000_0035n, 0x3000n);

    expect(m.load(STATUS)).toBe(0x5an);
  });
});

describe('the ring', () => {
  test('wraps at the size that QS gives', () => {
    const m = queue();

    for (let i = 0; i < 256; i++) m.submit((BigInt(i) << 32n) | 0x25n, 0x3000n);

    expect([m.head, m.load(STATUS)]).toEqual([0n, 255n]);
  });

  test('QS gives 2^(QS+8) descriptors', () => {
    const m = new VtdMachine();
    m.write(IQA, QUEUE | 2);
    m.command(QIE);
    for (let at = 0; at < 0x3ff0; at += 16) m.store(QUEUE + at, 0x45n);

    m.write(IQT, 0x3ff0);

    expect([m.head, m.read(FSTS)]).toEqual([0x3ff0n, 0n]);
  });

  test('many at one doorbell: done in turn, over the end of the ring', () => {
    const m = queue();
    for (let at = 0; at < 0x1000; at += 16) m.storeWords(QUEUE + at, [0x50032, 0, 0x8000_0000, 0]);
    m.write(IQT, 0xfe0);
    m.storeWords(QUEUE + 0xff0, [0x25, 7, STATUS, 0]);
    m.storeWords(QUEUE + 0x20, [0x25, 8, STATUS + 4, 0]);

    m.write(IQT, 0x30);

    expect([m.load(STATUS), m.head, m.read(FSTS)]).toEqual([0x8_0000_0007n, 0x30n, 0n]);
  });

  test('many at one doorbell: stops at the one that is wrong', () => {
    const m = queue();
    for (let at = 0; at < 0x100; at += 16) m.storeWords(QUEUE + at, [0x25, at, STATUS, 0]);
    m.storeWords(QUEUE + 0x40, [0x50032, 0, 0x8000_0000, 0]);
    m.storeWords(QUEUE + 0x50, [0x50002, 0, 0, 0]);

    m.write(IQT, 0x100);

    expect([m.load(STATUS), m.head, m.read(FSTS), m.read(IQERCD) & 0xfn]).toEqual([0x30n, 0x50n, 0x10n, 4n]);
  });

  test('does nothing while the queue is disabled', () => {
    const m = new VtdMachine();

    m.submit(...WAIT);

    expect([m.load(STATUS), m.head]).toEqual([0n, 0n]);
  });

  test('a base that moved under a head beyond the new size ends, not runs on', () => {
    const m = new VtdMachine();
    m.write(IQA, QUEUE | 1);
    m.command(QIE);
    for (let at = 0; at < 0x2000; at += 16) m.store(QUEUE + at, 0x45n);
    m.write(IQT, 0x1800);

    m.write(IQA, QUEUE);
    m.write(IQT, 0x20);

    expect(m.head).toBe(0x20n);
  });

  test('with asynchronous invalidation descriptors take virtual time', () => {
    const m = new VtdMachine({ config: { invalidation: 'async' } });
    m.startQueue();

    m.submit(0x45n);
    m.submit(...WAIT);
    const heads = [0, 200, 400].map((t) => {
      m.clock.advanceTo(t);
      return m.head;
    });

    expect([heads, m.load(STATUS)]).toEqual([[0n, 0x10n, 0x20n], 0x1234n]);
  });
});

describe('queue errors', () => {
  test.each([
    ['an unknown type', 0xfn, 0n, 3n],
    ['type 0', 0x0n, 0n, 3n],
    ['type bits 11:9', 0x201n, 0n, 3n],
    ['PASID-based IOTLB (6)', 0x26n, 0n, 3n],
    ['PASID-cache (7)', 0x37n, 0n, 3n],
    ['device-TLB without the capability', 0x3n, 0n, 3n],
    ['page group response (9)', 0x9n, 0n, 3n],
    ['context-cache, granularity 0', 0x1n, 0n, 4n],
    ['context-cache, reserved bit 6', 0x51n, 0n, 4n],
    ['context-cache, reserved bit 50', 0x4_0000_0000_0031n, 0n, 4n],
    ['context-cache, second half', 0x11n, 1n, 4n],
    ['IOTLB, granularity 0', 0x2n, 0n, 4n],
    ['IOTLB, reserved bit 8', 0x112n, 0n, 4n],
    ['IOTLB, reserved bit 32', 0x1_0000_0012n, 0n, 4n],
    ['IOTLB, reserved bit 71', 0x32n, 0x80n, 4n],
    ['IOTLB, mask beyond MAMV', 0x32n, 19n, 4n],
    ['IOTLB, two pages from an odd one', 0x32n, 0x5001n, 4n],
    ['IOTLB, 2 MiB from the middle of one', 0x32n, 0x10_0009n, 4n],
    ['interrupt entries, an index beyond the table', 0x2_0000_0014n, 0n, 4n],
    ['PASID-based device-TLB (8)', 0x8n, 0n, 3n],
    ['page stream response (10)', 0xan, 0n, 3n],
    ['interrupt entries, reserved bit 5', 0x24n, 0n, 4n],
    ['interrupt entries, second half', 0x14n, 1n, 4n],
    ['wait, PD without PDS', 0x85n, 0n, 4n],
    ['wait, reserved address bits', 0x25n, 0x3001n, 4n],
  ])('%s', (_what, q0, q1, iqei) => {
    const m = queue();
    m.submit(...WAIT);

    m.submit(q0, q1);
    m.submit(0x9999_0000_0025n, 0x3000n);

    expect([m.read(FSTS), m.read(IQERCD), m.head, m.load(STATUS)]).toEqual([0x10n, iqei, 0x10n, 0x1234n]);
  });

  test('interrupt-entry invalidation is unknown without interrupt remapping', () => {
    const m = queue({ intremap: false });

    m.submit(0x4n);

    expect(m.read(IQERCD)).toBe(3n);
  });

  test('mended and cleared, the queue goes on from its head', () => {
    const m = queue();
    m.submit(0xfn);
    m.submit(...WAIT);

    m.store(QUEUE, 0x45n);
    m.write(FSTS, 0x10);

    expect([m.head, m.read(FSTS), m.load(STATUS)]).toEqual([0x20n, 0n, 0x1234n]);
  });

  test('cleared but not mended, the error comes back', () => {
    const m = queue();
    m.submit(0xfn);

    m.write(FSTS, 0x10);

    expect([m.head, m.read(FSTS)]).toEqual([0n, 0x10n]);
  });

  test.each([
    ['1: tail outside the queue', QUEUE, 0x1000, 1n],
    ['2: the queue is not memory', 0x7000_0000, 0x10, 2n],
    ['5: 256-bit descriptors', QUEUE | 0x800, 0x20, 5n],
    ['6: tail not aligned to the width', QUEUE | 0x800, 0x10, 6n],
  ])('IQEI %s', (_what, base, tail, iqei) => {
    const m = new VtdMachine();
    m.write(IQA, base);
    m.command(QIE);

    m.write(IQT, tail);

    expect([m.read(FSTS), m.read(IQERCD), m.head]).toEqual([0x10n, iqei, 0n]);
  });

  test('IQERCD and the head are read-only', () => {
    const m = queue();
    m.submit(0xfn);

    m.write(IQERCD, 0);
    m.write(IQH, 0x40);

    expect([m.read(IQERCD), m.head]).toEqual([3n, 0n]);
  });
});
