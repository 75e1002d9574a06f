import { describe, expect, test } from 'vitest';
import { FSTS, IQERCD } from '../../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import type { DmaPort } from '../../../vmm/bus/dma.ts';
import {
  DEVICE_TLB_DONE,
  DEVICE_TLB_PENDING,
  DEVICE_TLB_TIMEOUT,
  DEVICE_TLB_UNEXPECTED,
} from '../../../vmm/bus/iommu.ts';
import { QIE, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
const STATUS = 0x3000;
/** Wait with status write of 1234h. */
const WAIT: [bigint, bigint] = [0x1234_0000_0025n, 0x3000n];
const INVALIDATE = 0x0018_0000_0003n;
const OTHER = 0x0020_0000_0003n;
/** Virtual time a function has, ns. */
const LIMIT = 10_000_000;

function withTlbs(answers: number[], config: Partial<VtdConfig> = {}) {
  const calls: number[][] = [];
  const m = new VtdMachine({
    config: { 'device-iotlb': true, ...config },
    endpoints: {
      invalidate: (...call) => {
        calls.push(call);
        return answers[calls.length - 1] ?? DEVICE_TLB_DONE;
      },
    },
  });
  m.startQueue();
  m.unmaskFaults();
  const complete = (port: DmaPort, tag: number) => port.invalidationComplete(tag);
  return { m, calls, port: m.port(DEV), complete };
}

const PENDING = [DEVICE_TLB_PENDING, DEVICE_TLB_PENDING, DEVICE_TLB_PENDING];

describe('device-TLB invalidation', () => {
  test.each([
    ['one page', 0x1234_5000n, [0x18, -1, 0x12345000, 0, 0, 0]],
    ['two pages', 0x1234_4001n, [0x18, -1, 0x12344000, 0, 1, 0]],
    ['8 pages', 0x5_1234_3001n, [0x18, -1, 0x12340000, 5, 3, 0]],
    ['2^21 pages', 0x5_ffff_f001n, [0x18, -1, 0, 4, 22, 0]],
    ['everything', 0x7fff_ffff_ffff_f001n, [0x18, -1, 0, 0, 52, 0]],
  ])('reaches the function with its range: %s', (_what, q1, call) => {
    const { m, calls } = withTlbs([]);

    m.submit(INVALIDATE, q1);
    m.submit(...WAIT);

    expect([calls, m.load(STATUS)]).toEqual([[call], 0x1234n]);
  });

  test('a reserved bit stops the queue', () => {
    const { m, calls } = withTlbs([]);

    m.submit(INVALIDATE, 0x2n);

    expect([m.read(IQERCD), calls]).toEqual([4n, []]);
  });

  test('an unexpected completion sets ICE and does not stop the queue', () => {
    const { m } = withTlbs([DEVICE_TLB_UNEXPECTED]);

    m.submit(INVALIDATE, 0x5000n);
    m.submit(...WAIT);

    expect([m.read(FSTS), m.read(IQERCD), m.load(STATUS)]).toEqual([0x20n, 0x0018_0000_0000_0000n, 0x1234n]);
    expect(m.delivered.length).toBe(1);
  });
});

describe('completion', () => {
  test('a wait stays at the head until every invalidation before it is complete', () => {
    const { m, calls, port } = withTlbs(PENDING);
    m.submit(INVALIDATE, 0x5000n);
    m.submit(INVALIDATE, 0x6000n);
    m.submit(...WAIT);
    m.submit(0x12n);

    const held = [m.head, m.load(STATUS)];
    port.invalidationComplete(1);
    const one = [m.head, m.load(STATUS)];
    port.invalidationComplete(0);

    expect(calls.map((c) => c[5])).toEqual([0, 1]);
    expect([held, one]).toEqual([
      [0x20n, 0n],
      [0x20n, 0n],
    ]);
    expect([m.head, m.load(STATUS), m.read(FSTS)]).toEqual([0x40n, 0x1234n, 0n]);
  });

  test('other descriptors go on while a device-TLB works', () => {
    const { m } = withTlbs(PENDING);

    m.submit(INVALIDATE, 0x5000n);
    m.submit(0x12n);
    m.submit(0x11n);

    expect(m.head).toBe(0x30n);
  });

  test('a tag is used again once it is complete, and functions have tags of their own', () => {
    const { m, calls, port } = withTlbs([...PENDING, DEVICE_TLB_PENDING]);
    m.submit(INVALIDATE, 0x5000n);
    m.submit(INVALIDATE, 0x6000n);
    m.submit(OTHER, 0x5000n);

    port.invalidationComplete(0);
    m.submit(INVALIDATE, 0x7000n);

    expect(calls.map((c) => [c[0], c[5]])).toEqual([
      [0x18, 0],
      [0x18, 1],
      [0x20, 0],
      [0x18, 0],
    ]);
  });

  test('MIP invalidations may be pending; the next one waits at the head', () => {
    const { m, calls, port } = withTlbs(PENDING);
    const two = INVALIDATE | (2n << 16n);
    m.submit(two, 0x5000n);
    m.submit(two, 0x6000n);
    m.submit(two, 0x7000n);
    m.submit(OTHER, 0x7000n);
    const before = [calls.length, m.head];

    port.invalidationComplete(0);

    expect([before, calls.length, m.head]).toEqual([[2, 0x20n], 4, 0x40n]);
  });

  test('MIP 0 means 32', () => {
    const { m, calls } = withTlbs(new Array(40).fill(DEVICE_TLB_PENDING));

    for (let i = 0; i < 40; i++) m.submit(INVALIDATE, BigInt(i) << 12n);

    expect([calls.length, calls[31]?.[5], m.head]).toEqual([32, 31, 0x200n]);
  });

  test('a function may complete before it has said that it will take time', () => {
    const m: VtdMachine = new VtdMachine({
      config: { 'device-iotlb': true },
      endpoints: {
        invalidate: (_sid, _pasid, _lo, _hi, _order, tag) => {
          m.port(DEV).invalidationComplete(tag);
          return DEVICE_TLB_PENDING;
        },
      },
    });
    m.startQueue();

    m.submit(INVALIDATE, 0x5000n);
    m.submit(...WAIT);
    m.clock.advanceTo(LIMIT * 2);

    expect([m.load(STATUS), m.read(FSTS)]).toEqual([0x1234n, 0n]);
  });

  test.each([
    ['nothing is pending', 0, DEV, 0x0018n],
    ['another tag is pending', 3, DEV, 0x0018n],
    ['another function has the tag', 0, 0x28, 0x0028n],
  ])('that fits nothing sets ICE: %s', (what, tag, sid, icesid) => {
    const { m } = withTlbs(PENDING);
    if (what !== 'nothing is pending') m.submit(INVALIDATE, 0x5000n);

    m.port(sid).invalidationComplete(tag);

    expect([m.read(FSTS), m.read(IQERCD)]).toEqual([0x20n, icesid << 48n]);
  });

  test('lets a queue with asynchronous invalidation go on in its time', () => {
    const { m, port } = withTlbs(PENDING, { invalidation: 'async' });
    m.submit(INVALIDATE, 0x5000n);
    m.submit(...WAIT);
    m.clock.advanceTo(10_000);

    port.invalidationComplete(0);
    const at = [10_199, 10_200].map((t) => {
      m.clock.advanceTo(t);
      return m.load(STATUS);
    });

    expect(at).toEqual([0n, 0x1234n]);
  });
});

describe('a time-out', () => {
  test.each([
    ['a completion that does not come', DEVICE_TLB_PENDING],
    ['a function that does not answer', DEVICE_TLB_TIMEOUT],
  ])('%s aborts the wait, sets ITE and stops the queue until software clears it', (_what, answer) => {
    const { m } = withTlbs([answer]);
    m.submit(INVALIDATE, 0x5000n);
    m.submit(0x12n);
    m.submit(...WAIT);
    m.submit(0x7777_0000_0025n, 0x3000n);

    m.clock.advanceTo(LIMIT - 1);
    const before = [m.read(FSTS), m.head];
    m.clock.advanceTo(LIMIT);
    const stopped = [m.read(FSTS), m.read(IQERCD), m.head, m.load(STATUS), m.delivered.length];
    m.write(FSTS, 0x40);

    expect(before).toEqual([0n, 0x20n]);
    expect(stopped).toEqual([0x40n, 0x0000_0018_0000_0000n, 0x30n, 0n, 1]);
    expect([m.read(FSTS), m.head, m.load(STATUS)]).toEqual([0n, 0x40n, 0x7777n]);
  });

  test('without a wait stops the queue all the same', () => {
    const { m } = withTlbs([DEVICE_TLB_TIMEOUT]);
    m.submit(INVALIDATE, 0x5000n);

    m.clock.advanceTo(LIMIT);
    m.submit(...WAIT);

    expect([m.read(FSTS), m.head, m.load(STATUS)]).toEqual([0x40n, 0x10n, 0n]);
  });

  test('drops everything pending: what comes late is unexpected', () => {
    const { m, port } = withTlbs(PENDING);
    m.submit(INVALIDATE, 0x5000n);
    m.clock.advanceTo(LIMIT / 2);
    m.submit(INVALIDATE, 0x6000n);
    m.clock.advanceTo(LIMIT);
    m.write(FSTS, 0x40);

    m.submit(...WAIT);
    m.clock.advanceTo(LIMIT * 2);
    const after = [m.load(STATUS), m.read(FSTS)];
    port.invalidationComplete(1);

    expect([after, m.read(FSTS), m.read(IQERCD)]).toEqual([[0x1234n, 0n], 0x20n, 0x0018_0018_0000_0000n]);
  });

  test('lets a descriptor that MIP held be sent after software has cleared it', () => {
    const { m, calls } = withTlbs([DEVICE_TLB_PENDING]);
    m.submit(INVALIDATE | (1n << 16n), 0x5000n);
    m.submit(INVALIDATE | (1n << 16n), 0x6000n);
    m.clock.advanceTo(LIMIT);
    const before = [calls.length, m.head];

    m.write(FSTS, 0x40);

    expect([before, calls.length, m.head]).toEqual([[1, 0x10n], 2, 0x20n]);
  });

  test('of a function without a unit to reach it', () => {
    const m = new VtdMachine({ config: { 'device-iotlb': true } });
    m.startQueue();
    m.submit(0x0020_0000_0003n, 0x5000n);

    m.clock.advanceTo(LIMIT);

    expect([m.read(FSTS), m.read(IQERCD)]).toEqual([0x40n, 0x0000_0020_0000_0000n]);
  });

  test('does not come when the queue was disabled or the unit was reset', () => {
    const { m } = withTlbs([DEVICE_TLB_PENDING, DEVICE_TLB_PENDING]);
    m.submit(INVALIDATE, 0x5000n);
    m.disable(QIE);
    m.clock.advanceTo(LIMIT);
    const disabled = m.read(FSTS);
    m.write({ offset: 0x88, bytes: 8 }, 0);
    m.command(QIE);
    m.device.reset('cold');
    m.clock.advanceTo(LIMIT * 3);

    expect([disabled, m.read(FSTS)]).toEqual([0n, 0n]);
  });
});

test('what is pending and held is state: a saved unit goes on where it was', () => {
  const { m } = withTlbs(PENDING);
  m.submit(INVALIDATE, 0x5000n);
  m.submit(...WAIT);
  const saved = JSON.parse(JSON.stringify(m.device.stateDef().save(m.device.s)));
  const other = withTlbs([]).m;
  other.ram.u8.set(m.ram.u8.subarray(0, m.ram.end));

  other.device.stateDef().load(other.device.s, saved, 'iommu0');
  other.device.dropCache();
  other.clock.load(m.clock.save());
  other.clock.advanceTo(LIMIT);

  expect([other.read(FSTS), other.head, other.load(STATUS)]).toEqual([0x40n, 0x20n, 0n]);
});

test('profile qemu: nothing is ever awaited', () => {
  const { m, port } = withTlbs(PENDING, { profile: 'qemu' });

  m.submit(INVALIDATE, 0x5000n);
  m.submit(...WAIT);
  port.invalidationComplete(7);
  m.clock.advanceTo(LIMIT);

  expect([m.load(STATUS), m.read(FSTS)]).toEqual([0x1234n, 0n]);
});
