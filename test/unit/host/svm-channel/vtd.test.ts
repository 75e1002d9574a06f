import { describe, expect, test } from 'vitest';
import { encode } from '../../../../vmm/host/kernel/struct.ts';
import * as svm from '../../../../vmm/host/svm-channel/abi.ts';
import { vtdHost } from '../../../kit/physical-host.ts';
import { firstStage, pasidEntry, SvmRig } from '../../../kit/svm-rig.ts';

const DEV = 0x100;
const { INTL } = svm.IOMMU_MODEL;
const { X86L, IDEN } = svm.PAGE_TABLE_MODEL;
/** Guest-physical: a PASID directory, one PASID table, two first stages. */
const DIRECTORY = 0x20_0000;
const PASIDS = 0x20_1000;
const TOP = 0x21_0000;
const OTHER_TOP = 0x22_0000;
const ADDRESS = 0x7000_1000;
const IOTLB = 1;
const EXTENDED_IOTLB = 2;
const PASID_CACHE = 16;
const NO_FLAGS = new Uint8Array(8);

function world(options: { readonly empty?: boolean } = {}) {
  const host = vtdHost();
  const rig = new SvmRig(host);
  const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true });
  const fd = options.empty === true ? -1 : rig.open(dev);
  if (fd >= 0) rig.mapGuest();
  host.store(DIRECTORY, PASIDS | 1);
  firstStage(host, TOP, ADDRESS, 0x5000);
  firstStage(host, OTHER_TOP, ADDRESS, 0x6000);
  host.store(0x5000, 0x55);
  host.store(0x6000, 0x66);
  host.store(0x7000, 0x77);
  return { host, rig, dev, fd };
}

const TABLE = { ptr: BigInt(DIRECTORY), size: 64n * 64n, model: INTL, variant: 0x300 };
const NOTHING = { ptr: 0n, size: 0n, model: INTL, variant: 0x300 };
const page = (pasid: number, pgd = TOP) => ({ pasid, pgd: BigInt(pgd), model: X86L, variant: 4 });
const arch = (inv_type: number, more: object = {}) => encode(svm.INTL_INVALIDATE, { inv_type, ...more });
const OF_PASID = (pasid: number) => ({ model: INTL, granularity: 2, pasid });

describe('what a device says of itself', () => {
  test('GET_INFO has flag bit 4 where the unit nests first stages, by a container', () => {
    const { rig, fd } = world();

    expect(rig.deviceFlags(fd) & 0x10).toBe(0x10);
  });

  test('it has not where the unit does not nest', () => {
    const host = vtdHost({ nested: false });
    const rig = new SvmRig(host);

    expect(rig.deviceFlags(rig.open(host.plug({ requester: DEV, pasidWidth: 20 }))) & 0x10).toBe(0);
  });
});

describe('a page table of a PASID', () => {
  test('translates requests with that PASID on top of what the container maps; those without have the container', () => {
    const { host, rig } = world();

    expect(rig.bindPage(page(5), NO_FLAGS)).toEqual({ result: 'ok', why: '' });

    expect([host.read(DEV, ADDRESS, 5), host.read(DEV, ADDRESS, 6), host.read(DEV, 0x7000)]).toEqual([
      0x55,
      undefined,
      0x77,
    ]);
  });

  test('of PASID 0 is that of requests without PASID', () => {
    const { host, rig } = world();
    rig.bindPage(page(0), NO_FLAGS);

    expect([host.read(DEV, ADDRESS), host.read(DEV, 0x7000)]).toEqual([0x55, undefined]);
  });

  test('a change without an invalidation is not seen, after it it is', () => {
    const { host, rig } = world();
    rig.bindPage(page(5), NO_FLAGS);
    host.read(DEV, ADDRESS, 5);
    firstStage(host, TOP, ADDRESS, 0x6000);
    const stale = host.read(DEV, ADDRESS, 5);
    const other = rig.invalidate(
      { model: INTL, granularity: 3, pasid: 5, addr: 0x1000n, size: 0x1000n },
      arch(2),
    );
    const still = host.read(DEV, ADDRESS, 5);
    const values = { model: INTL, granularity: 3, pasid: 5, addr: BigInt(ADDRESS), size: 0x1000n };
    const answer = rig.invalidate(values, arch(EXTENDED_IOTLB, { flags: 1 | 4 | 8 }));

    expect([stale, other.result, still]).toEqual([0x55, 'ok', 0x55]);
    expect([answer.result, host.read(DEV, ADDRESS, 5)]).toEqual(['ok', 0x66]);
  });

  test('granularities: a PASID, every PASID of the device, requests without PASID', () => {
    const { host, rig } = world();
    const seen = () => [host.read(DEV, ADDRESS), host.read(DEV, ADDRESS, 5), host.read(DEV, ADDRESS, 6)];
    for (const pasid of [0, 5, 6]) rig.bindPage(page(pasid), NO_FLAGS);
    const before = seen();
    firstStage(host, TOP, ADDRESS, 0x6000);
    rig.invalidate(OF_PASID(5), arch(EXTENDED_IOTLB));
    const one = seen();
    rig.invalidate({ model: INTL }, arch(EXTENDED_IOTLB));
    const all = seen();
    rig.invalidate({ model: INTL }, arch(IOTLB));

    expect([before, one, all, seen()]).toEqual([
      [0x55, 0x55, 0x55],
      [0x55, 0x66, 0x55],
      [0x55, 0x66, 0x66],
      [0x66, 0x66, 0x66],
    ]);
  });

  test('caches of the function are dropped along with it', () => {
    const { host, rig } = world();
    rig.bindPage(page(5), NO_FLAGS);
    host.invalidated.length = 0;

    rig.invalidate(OF_PASID(5), arch(8, { pfsid: DEV, mip: 4, flags: 16 }));

    expect(host.invalidated).toEqual([expect.objectContaining({ requester: DEV, pasid: 5 })]);
  });

  test('REPLACE puts another in its place in one step', () => {
    const { host, rig } = world();
    rig.bindPage(page(5), NO_FLAGS);
    const again = rig.bindPage(page(5, OTHER_TOP), NO_FLAGS);
    const replaced = rig.bindPage(page(5, OTHER_TOP), NO_FLAGS, svm.BIND.REPLACE);

    expect([again.result, replaced.result, host.read(DEV, ADDRESS, 5)]).toEqual(['EBUSY', 'ok', 0x66]);
  });

  test('unbound, its PASID is blocked; released CLEAN or FLUSHED it is free, and else not', () => {
    const { host, rig } = world();
    const results = [svm.RELEASE.CLEAN, svm.RELEASE.FLUSHED, 0].map((release) => {
      const bound = rig.bindPage(page(5), NO_FLAGS).result;
      return [bound, rig.unbindPasid(5, release).result, host.read(DEV, ADDRESS, 5)];
    });
    const last = rig.bindPage(page(5), NO_FLAGS);

    expect(results).toEqual(Array(3).fill(['ok', 'ok', undefined]));
    expect(last.result).toBe('EBUSY');
    expect(last.why).toContain('neither FLUSHED nor CLEAN');
  });

  test('IDEN is no table: the PASID has the addresses of the container', () => {
    const { host, rig } = world();
    const { result } = rig.bindPage({ pasid: 5, pgd: 0n, model: IDEN, variant: 0 });

    expect([result, host.read(DEV, 0x7000, 5)]).toEqual(['ok', 0x77]);
  });
});

describe('a whole PASID table', () => {
  test('gives each PASID what its entry says, and requests without PASID entry 0', () => {
    const { host, rig } = world();
    pasidEntry(host, PASIDS, 0, { PGTT: 4, AW: 2 });
    pasidEntry(host, PASIDS, 5, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    pasidEntry(host, PASIDS, 6, { PGTT: 1, FSPTPTR: OTHER_TOP >>> 12 });

    expect(rig.bindTable(TABLE)).toEqual({ result: 'ok', why: '' });

    expect([5, 6, 7].map((pasid) => host.read(DEV, ADDRESS, pasid))).toEqual([0x55, 0x66, undefined]);
    expect(host.read(DEV, 0x7000)).toBe(0x77);
  });

  test('an entry that changed is followed once the PASID cache is invalidated: its own, or all', () => {
    const { host, rig } = world();
    const seen = () => [5, 6].map((pasid) => host.read(DEV, ADDRESS, pasid));
    pasidEntry(host, PASIDS, 5, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    rig.bindTable(TABLE);
    const before = seen();
    pasidEntry(host, PASIDS, 5, { PGTT: 1, FSPTPTR: OTHER_TOP >>> 12 });
    pasidEntry(host, PASIDS, 6, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    const stale = seen();
    rig.invalidate(OF_PASID(5), arch(PASID_CACHE));
    const one = seen();
    host.store(PASIDS + 5 * 64, 0);
    rig.invalidate({ model: INTL }, arch(PASID_CACHE));

    expect([before, stale, one, seen()]).toEqual([
      [0x55, undefined],
      [0x55, undefined],
      [0x66, undefined],
      [undefined, 0x55],
    ]);
  });

  test('an entry of a type that the host does not nest is refused with its PASID; later it is blocked', () => {
    const { host, rig } = world();
    pasidEntry(host, PASIDS, 5, { PGTT: 3, FSPTPTR: TOP >>> 12 });
    const refused = rig.bindTable(TABLE);
    pasidEntry(host, PASIDS, 5, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    const bound = rig.bindTable(TABLE).result;
    pasidEntry(host, PASIDS, 5, { PGTT: 2 });
    const later = rig.invalidate(OF_PASID(5), arch(PASID_CACHE));

    expect(refused).toEqual({
      result: 'EOPNOTSUPP',
      why: 'the entry of PASID 5 has translation type 3: the host nests first stages',
    });
    expect([bound, later.result, host.read(DEV, ADDRESS, 5)]).toEqual(['ok', 'EOPNOTSUPP', undefined]);
  });

  test('without entries nothing gets through; single tables may be bound beside it', () => {
    const { host, rig } = world();
    const { result } = rig.bindTable(NOTHING);
    const blocked = [host.read(DEV, 0x7000), host.read(DEV, ADDRESS, 5)];
    rig.bindPage(page(5), NO_FLAGS);

    expect([result, blocked]).toEqual(['ok', [undefined, undefined]]);
    expect([host.read(DEV, 0x7000), host.read(DEV, ADDRESS, 5)]).toEqual([undefined, 0x55]);
  });

  test('unbound, the device has the addresses of the container, and its PASIDs nothing', () => {
    const { host, rig } = world();
    pasidEntry(host, PASIDS, 5, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    rig.bindTable(TABLE);
    const { result } = rig.unbindTable();

    expect([result, host.read(DEV, 0x7000), host.read(DEV, ADDRESS, 5)]).toEqual(['ok', 0x77, undefined]);
  });

  test('more than one page of directory: PASID 40000 is found', () => {
    const { host, rig } = world();
    const table = 0x23_0000;
    host.store(DIRECTORY + 0x2000 + (Math.floor(40000 / 64) - 1024) * 8, 0);
    host.store(DIRECTORY + Math.floor(40000 / 64) * 8 + 0, table | 1);
    pasidEntry(host, table, 40000 % 64, { PGTT: 1, FSPTPTR: TOP >>> 12 });
    host.store(DIRECTORY, 0);
    rig.bindTable({ ...TABLE, size: 64n << 16n });

    expect(host.read(DEV, ADDRESS, 40000)).toBe(0x55);
  });
});

describe('a container of several devices', () => {
  test('binds for all of them, and for those that come later', () => {
    const { host, rig } = world();
    const second = host.plug({ requester: 0x200, pasidWidth: 20 });
    rig.open(second);
    rig.bindPage(page(5), NO_FLAGS);
    rig.open(host.plug({ requester: 0x300, pasidWidth: 20 }));
    const before = [DEV, 0x200, 0x300].map((requester) => host.read(requester, ADDRESS, 5));
    firstStage(host, TOP, ADDRESS, 0x6000);
    rig.invalidate(OF_PASID(5), arch(EXTENDED_IOTLB));

    expect(before).toEqual([0x55, 0x55, 0x55]);
    expect([DEV, 0x200, 0x300].map((requester) => host.read(requester, ADDRESS, 5))).toEqual([
      0x66, 0x66, 0x66,
    ]);
  });

  test('one of which cannot leaves all as they were', () => {
    const { host, rig } = world();
    rig.open(host.plug({ requester: 0x200, pasidWidth: 4 }));
    const { result } = rig.bindPage(page(17), NO_FLAGS);

    expect([result, host.read(DEV, ADDRESS, 17)]).toEqual(['EINVAL', undefined]);
  });

  test('with the last device all that was bound is gone', () => {
    const { rig, fd } = world();
    rig.bindPage(page(5), NO_FLAGS);
    rig.bindTable(NOTHING);
    rig.calls.close(fd);

    expect([rig.unbindPasid(5).result, rig.unbindTable().result]).toEqual(['ENOENT', 'ENOENT']);
  });

  test('without a device nothing is bound', () => {
    const { rig } = world({ empty: true });

    expect(rig.bindPage(page(5), NO_FLAGS).result).toBe('ENODEV');
  });
});

describe("a process' own address space", () => {
  test('is what requests with its PASID see, and follows the process', () => {
    const { host, rig } = world();
    const pasid = rig.bindTask();
    const before = [host.read(DEV, 0x7000, 1), host.read(DEV, 0x6000, 1)];
    host.caller.calls.process.unmap(0x6000n, 0x6fffn);
    const gone = [host.read(DEV, 0x7000, 1), host.read(DEV, 0x6000, 1)];
    host.caller.calls.process.map({ start: 0x6000n, last: 0x6fffn, writable: false });

    expect([pasid, before, gone]).toEqual([1, [0x77, 0x66], [0x77, undefined]]);
    expect([host.read(DEV, 0x6000, 1), host.write(DEV, 0x6000, 1, 1)]).toEqual([0x66, false]);
  });

  test('is bound once; released neither FLUSHED nor CLEAN its PASID is not given again', () => {
    const { host, rig } = world();
    const pasids = [rig.bindTask(), rig.bindTask()];
    for (const release of [svm.RELEASE.FLUSHED, svm.RELEASE.CLEAN, 0]) {
      rig.unbindPasid(pasids[0] as number, release);
      pasids.push(host.read(DEV, 0x7000, 1) ?? 'blocked', rig.bindTask());
    }

    expect(pasids).toEqual([1, 'EBUSY', 'blocked', 1, 'blocked', 1, 'blocked', 2]);
  });

  test('and a PASID table exclude each other', () => {
    const { rig } = world();
    rig.bindTask();
    const table = rig.bindTable(NOTHING).result;
    rig.unbindPasid(1);
    rig.bindTable(NOTHING);

    expect([table, rig.bindTask()]).toEqual(['EBUSY', 'EBUSY']);
  });
});
