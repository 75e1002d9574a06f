import { describe, expect, test } from 'vitest';
import { encode } from '../../../../vmm/host/kernel/struct.ts';
import * as svm from '../../../../vmm/host/svm-channel/abi.ts';
import { type PhysicalHost, smmuHost } from '../../../kit/physical-host.ts';
import { SvmRig } from '../../../kit/svm-rig.ts';

const DEV = 0x100;
const { SMMU } = svm.IOMMU_MODEL;
/** Guest-physical: a linear table of CDs, a table of its first level, tables of stage 1. */
const CDS = 0x20_0000;
const LEVEL1 = 0x20_8000;
const TOP = 0x21_0000;
const LAST = TOP + 0x3000;
const ADDRESS = 0x7000_1000;
const ASID = 9;
const { IOTLB, EXTENDED_IOTLB, EXTENDED_DEVICE_TLB, DEVICE_TLB, PASID_CACHE } = svm.INV_TYPE;

/** The guest's CD (A, R, AA64, inner shareable, 48 bits, EPD1), as its driver writes it. */
function guestCd(host: PhysicalHost, ssid: number): void {
  const at = CDS + ssid * 64;
  host.store(at + 4, 4 | (1 << 9) | (1 << 13) | (1 << 14) | (ASID << 16));
  host.store(at + 8, TOP);
  host.store(at + 24, 0xff);
  host.store(at, 16 | (3 << 12) | (1 << 30) | 0x80000000);
}

function guestMaps(host: PhysicalHost, to: number): void {
  host.store(TOP, (TOP + 0x1000) | 3);
  host.store(TOP + 0x1000 + Math.floor(ADDRESS / 2 ** 30) * 8, (TOP + 0x2000) | 3);
  host.store(TOP + 0x2000 + ((ADDRESS >>> 21) & 511) * 8, LAST | 3);
  host.store(LAST + ((ADDRESS >>> 12) & 511) * 8, to === 0 ? 0 : to | 0xf43);
}

function world(config = {}) {
  const host = smmuHost(config);
  const rig = new SvmRig(host);
  const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true });
  const fd = rig.open(dev);
  rig.mapGuest();
  guestMaps(host, 0x5000);
  guestCd(host, 1);
  host.store(0x5000, 0x55);
  host.store(0x6000, 0x66);
  host.store(0x7000, 0x77);
  return { host, rig, dev, fd };
}

const TABLE = { ptr: BigInt(CDS), size: 64n * 4n, model: SMMU, variant: 0x300 };
const LINEAR_TERMINATE = [0, 0];
const arch = (inv_type: number, more: object = {}) => encode(svm.SMMU_INVALIDATE, { inv_type, ...more });

describe('a whole CD table', () => {
  test('is walked by the unit; the device says that it can', () => {
    const { host, rig, fd } = world();

    const { result } = rig.bindTable(TABLE, LINEAR_TERMINATE);

    expect([result, host.read(DEV, ADDRESS, 1), host.read(DEV, ADDRESS, 2)]).toEqual(['ok', 0x55, undefined]);
    expect(rig.deviceFlags(fd) & 0x10).toBe(0x10);
  });

  test('of two levels, when its format says so', () => {
    const { host, rig } = world();
    host.store(LEVEL1, CDS | 1);

    const { result } = rig.bindTable({ ...TABLE, ptr: BigInt(LEVEL1), size: 64n * 128n }, [1, 0]);

    expect([result, host.read(DEV, ADDRESS, 1)]).toEqual(['ok', 0x55]);
  });

  test.each([
    ['terminates (S1DSS 0)', 0, undefined],
    ['bypasses stage 1 (S1DSS 1)', 1, 0x77],
    ['is that of CD 0 (S1DSS 2)', 2, undefined],
  ])('a request without substream %s', (_, dss, seen) => {
    const { host, rig } = world();
    rig.bindTable(TABLE, [0, dss]);

    expect(host.read(DEV, 0x7000)).toBe(seen);
  });

  test('without entries nothing gets through; unbound, the device has the addresses of the container', () => {
    const { host, rig } = world();
    rig.bindTable({ ...TABLE, ptr: 0n, size: 0n }, LINEAR_TERMINATE);
    const blocked = host.read(DEV, 0x7000);
    const { result } = rig.unbindTable();

    expect([blocked, result, host.read(DEV, 0x7000)]).toEqual([undefined, 'ok', 0x77]);
  });

  test('REPLACE puts another in its place in one step', () => {
    const { host, rig } = world();
    const results = [
      rig.bindTable({ ...TABLE, ptr: 0n, size: 0n }, LINEAR_TERMINATE),
      rig.bindTable(TABLE, LINEAR_TERMINATE),
      rig.bindTable(TABLE, LINEAR_TERMINATE, svm.BIND.REPLACE),
    ].map(({ result }) => result);

    expect([results, host.read(DEV, ADDRESS, 1)]).toEqual([['ok', 'EBUSY', 'ok'], 0x55]);
  });

  test('of which functions keep translations: their caches are dropped by address and PASID', () => {
    const { host, rig } = world();
    rig.bindTable(TABLE, LINEAR_TERMINATE, svm.BIND.DEVICE_TLB);
    host.invalidated.length = 0;

    rig.invalidate(
      { model: SMMU, granularity: 3, pasid: 1, addr: 0x1000n, size: 0x3000n },
      arch(EXTENDED_DEVICE_TLB),
    );

    expect(host.invalidated).toEqual([{ requester: DEV, pasid: 1, address: 0, order: 2 }]);
  });
});

describe('invalidations', () => {
  const page = (granularity: number) => ({ model: SMMU, granularity, addr: BigInt(ADDRESS), size: 0x1000n });

  test.each([
    ['pages of an ASID', page(3), arch(EXTENDED_IOTLB, { asid: ASID, flags: 1 })],
    ['an ASID', { model: SMMU, granularity: 2 }, arch(EXTENDED_IOTLB, { asid: ASID })],
    ['pages of every ASID', page(1), arch(EXTENDED_IOTLB, { flags: 2 })],
    ['everything', { model: SMMU }, arch(IOTLB)],
    [
      'many pages of an ASID',
      { ...page(3), addr: 0n, size: 1n << 40n },
      arch(EXTENDED_IOTLB, { asid: ASID }),
    ],
  ])('%s: what the TLB had is gone', (_, values, opaque) => {
    const { host, rig } = world();
    rig.bindTable(TABLE, LINEAR_TERMINATE);
    host.read(DEV, ADDRESS, 1);
    guestMaps(host, 0x6000);
    const stale = host.read(DEV, ADDRESS, 1);

    const { result } = rig.invalidate(values, opaque);

    expect([stale, result, host.read(DEV, ADDRESS, 1)]).toEqual([0x55, 'ok', 0x66]);
  });

  test.each([
    ['pages of another ASID', page(3), arch(EXTENDED_IOTLB, { asid: 3 })],
    ['another page', { ...page(3), addr: 0n }, arch(EXTENDED_IOTLB, { asid: ASID })],
    ['the cache of the function', { model: SMMU }, arch(DEVICE_TLB)],
  ])('%s: the TLB keeps what it has', (_, values, opaque) => {
    const { host, rig } = world();
    rig.bindTable(TABLE, LINEAR_TERMINATE);
    host.read(DEV, ADDRESS, 1);
    guestMaps(host, 0x6000);

    const { result } = rig.invalidate(values, opaque);

    expect([result, host.read(DEV, ADDRESS, 1)]).toEqual(['ok', 0x55]);
  });

  test('a CD that went is used until the PASID cache is invalidated', () => {
    const { host, rig } = world();
    rig.bindTable(TABLE, LINEAR_TERMINATE);
    host.read(DEV, ADDRESS, 1);
    host.store(CDS + 64, 0);
    const stale = host.read(DEV, ADDRESS, 1);
    const { result } = rig.invalidate({ model: SMMU, granularity: 2, pasid: 1 }, arch(PASID_CACHE));

    expect([stale, result, host.read(DEV, ADDRESS, 1)]).toEqual([0x55, 'ok', undefined]);
  });
});

describe('what comes back', () => {
  test('events are in an event queue of the vIOMMU that binding tells, of StreamID 1', () => {
    const { host, rig } = world();
    rig.bindTable(TABLE, LINEAR_TERMINATE);
    const queue = rig.eventQueue(rig.boundViommu);
    host.read(DEV, ADDRESS, 2);
    host.unit.settle();

    // A header, then C_BAD_CD (0Ah) of SubstreamID 2.
    const [, , first, stream] = rig.words(queue, 40);
    expect([(first as number) & 0xff, (first as number) >>> 12, stream]).toEqual([0x0a, 2, 1]);
  });

  test('page requests are in the fault queue that was named, which stays while the table is bound', () => {
    const host = smmuHost();
    const rig = new SvmRig(host);
    rig.open(host.plug({ requester: DEV, pasidWidth: 20, ats: true, pri: true }));
    rig.mapGuest();
    guestCd(host, 1);
    const queue = rig.faultQueue();
    rig.bindTable(TABLE, LINEAR_TERMINATE, svm.BIND.DEVICE_TLB, { fault_id: queue.id });
    const port = host.port(DEV, 1);
    port.pageRequest(ADDRESS, 0, 1, 3, true);
    host.unit.settle();

    const [flags, , pasid, group, permissions, , address] = rig.words(queue.fd, 40);
    expect([flags, pasid, group, permissions, address]).toEqual([3, 1, 3, 1, ADDRESS]);
  });

  test('with an event queue open, closing everything leaves nothing', () => {
    const { host, rig } = world();
    const queue = rig.faultQueue();
    rig.bindTable(TABLE, LINEAR_TERMINATE, 0, { fault_id: queue.id });
    rig.eventQueue(rig.boundViommu);

    rig.calls.exit();

    expect([host.kernel.allocations.census()['object'], host.kernel.memory.pinned]).toEqual([undefined, 0]);
  });
});

describe('what an SMMU does not do', () => {
  test('a single page table is refused with the reason', () => {
    const { rig } = world();
    const { LPAE } = svm.PAGE_TABLE_MODEL;
    const answer = rig.bindPage({ pasid: 1, pgd: BigInt(TOP), model: LPAE, variant: 0 }, new Uint8Array(16));

    expect(answer.result).toBe('EOPNOTSUPP');
    expect(answer.why).toContain('only a whole table');
  });

  test('without stage 2 there is no nesting, and the device does not say that there is', () => {
    const { rig, fd } = world({ stage: '1' });

    expect([rig.bindTable(TABLE, LINEAR_TERMINATE).why, rig.deviceFlags(fd) & 0x10]).toEqual([
      'IDR0.S1P (bit 1) or S2P (bit 0) of the unit is 0: it does not nest',
      0,
    ]);
  });
});

test("a process' own address space is what requests with its PASID see", () => {
  const { host, rig } = world();
  const pasid = rig.bindTask();

  expect([pasid, host.read(DEV, 0x7000, 1), host.read(DEV, 0x7000), host.read(DEV, 0x7000, 2)]).toEqual([
    1,
    0x77,
    0x77,
    undefined,
  ]);
});
