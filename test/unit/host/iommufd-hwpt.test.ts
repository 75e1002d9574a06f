import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import { MOCK } from '../../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { decode } from '../../../vmm/host/kernel/struct.ts';
import { BUFFER, BUFFER_BYTES, Caller, errno } from '../../kit/host-caller.ts';

const { NR, HWPT_FLAGS } = abi;
const { OP } = selftest;
const APERTURE = 0x100_0000n;
const DATA = 0x4000n;
const NO_DIRTY = 1;
const PASID_DEVICE = 4;

let caller: Caller;
let ioas: number;
let device: number;
let stdev: number;
let automatic: number;

beforeEach(() => {
  caller = new Caller();
  ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  ({ device, stdev, hwpt: automatic } = caller.plug(ioas, PASID_DEVICE));
});

const alloc = (values: object) =>
  caller.ioctl(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas, ...values });
const hwpt = (flags: number, values: object = {}) =>
  caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas, flags, ...values })
    .out_hwpt_id;
const destroy = (id: number) => caller.refused(NR.DESTROY, abi.IOMMU_DESTROY, { id });
const selftestData = () => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, MOCK.IOTLB_DEFAULT, true);
  return { data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: caller.put(bytes, DATA) };
};
const nested = (parent: number, values: object = {}) =>
  caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
    dev_id: device,
    pt_id: parent,
    ...selftestData(),
    ...values,
  }).out_hwpt_id;
const replace = (pt_id: number) =>
  caller.test(OP.MOCK_DOMAIN_REPLACE, stdev, selftest.MOCK_DOMAIN_REPLACE, { pt_id }).result;

describe('HWPT_ALLOC', () => {
  test.each([
    ['a reserved field', { reserved: 1 }, 'EOPNOTSUPP'],
    ['data without a type', { data_len: 4, data_uptr: DATA }, 'EINVAL'],
    ['a type without data', { data_type: 5 }, 'EINVAL'],
    ['no such device', { dev_id: 99 }, 'ENOENT'],
    ['an IOAS for a device', { dev_id: 1 }, 'ENOENT'],
    ['no such base', { pt_id: 99 }, 'EINVAL'],
    ['an unknown flag', { flags: 16 }, 'EOPNOTSUPP'],
    [
      'a parent with a fault queue',
      { flags: HWPT_FLAGS.FAULT_ID_VALID | HWPT_FLAGS.NEST_PARENT },
      'EOPNOTSUPP',
    ],
    ['no such fault queue', { flags: HWPT_FLAGS.FAULT_ID_VALID, fault_id: 99 }, 'ENOENT'],
    [
      'data for a table of the mock',
      { data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: DATA },
      'EOPNOTSUPP',
    ],
    ['the last field is not checked', { reserved2: 1 }, 'ok'],
    ['every flag that goes together', { flags: 1 | 2 | 8 }, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(errno(alloc(values).result)).toBe(expected);
  });

  test('a device cannot be the base', () => {
    expect(errno(alloc({ pt_id: device }).result)).toBe('EINVAL');
  });

  test('dirty tracking of a device without it is EOPNOTSUPP', () => {
    const other = caller.plug(ioas, NO_DIRTY);

    expect(errno(alloc({ dev_id: other.device, flags: HWPT_FLAGS.DIRTY_TRACKING }).result)).toBe(
      'EOPNOTSUPP',
    );
  });

  test.each([
    ['a flag that only paging tables have', { flags: HWPT_FLAGS.NEST_PARENT }, 'EOPNOTSUPP'],
    ['no data', { data_type: 0, data_len: 0 }, 'EOPNOTSUPP'],
    ['data of another type', { data_type: 1 }, 'EOPNOTSUPP'],
    ['data that is too short', { data_len: 3 }, 'EINVAL'],
    ['data that is too long, though zero', { data_len: 8 }, 'EINVAL'],
    ['a bad pointer', { data_uptr: 0xdead_0000n }, 'EFAULT'],
    ['all right', {}, 'ok'],
  ])('a nested table with %s: %s', (_, values, expected) => {
    const parent = hwpt(HWPT_FLAGS.NEST_PARENT);

    expect(errno(alloc({ pt_id: parent, ...selftestData(), ...values }).result)).toBe(expected);
  });

  test.each([
    ['made by attaching', () => automatic],
    ['made without the flag', () => hwpt(0)],
    ['nested itself', () => nested(hwpt(HWPT_FLAGS.NEST_PARENT))],
  ])('a parent that was %s is EINVAL', (_, parent) => {
    expect(errno(alloc({ pt_id: parent(), ...selftestData() }).result)).toBe('EINVAL');
  });

  test('a table whose IOAS has mappings outside of the aperture is EADDRINUSE', () => {
    const other = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    const low = { flags: 7, ioas_id: other, user_va: BUFFER, length: 0x1000n, iova: 0x1000n };
    caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, low);
    const before = caller.kernel.allocations.census();

    expect([errno(alloc({ pt_id: other }).result), caller.kernel.allocations.census()]).toEqual([
      'EADDRINUSE',
      before,
    ]);
  });
});

describe('what is in use is EBUSY to DESTROY, and can go afterwards', () => {
  test('an IOAS with a table, a parent with a nested table, a table with a device, a device that is bound', () => {
    const parent = hwpt(HWPT_FLAGS.NEST_PARENT);
    const child = nested(parent);
    replace(child);

    expect([ioas, parent, child, device].map(destroy)).toEqual(['EBUSY', 'EBUSY', 'EBUSY', 'EBUSY']);
    expect([stdev, child, parent, ioas].map(destroy)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(caller.kernel.allocations.census()).toEqual({});
  });

  test('the table that came with attaching goes with its last device', () => {
    const second = caller.plug(ioas);

    expect(second.hwpt).toBe(automatic);
    expect([destroy(stdev), destroy(second.stdev), destroy(automatic)]).toEqual(['ok', 'ok', 'ENOENT']);
  });
});

describe('attaching', () => {
  test('an IOAS id makes an automatic table again after the first went, with the id that became free', () => {
    const own = hwpt(0);
    const ids = [replace(own), destroy(automatic), replace(ioas), replace(automatic)];

    expect(ids).toEqual([0, 'ENOENT', 0, 0]);
  });

  test.each([
    ['no such object', 99, 'ENOENT'],
    ['the device itself', 3, 'EINVAL'],
  ])('to %s', (_, target, expected) => {
    expect(replace(target)).toBe(expected);
  });

  test('a table that tracks dirty pages refuses a device that cannot, and the device keeps its table', () => {
    const tracking = hwpt(HWPT_FLAGS.DIRTY_TRACKING);
    const other = caller.plug(ioas, NO_DIRTY);
    const { result } = caller.test(OP.MOCK_DOMAIN_REPLACE, other.stdev, selftest.MOCK_DOMAIN_REPLACE, {
      pt_id: tracking,
    });

    expect([result, destroy(tracking)]).toEqual(['EINVAL', 'ok']);
    expect(
      caller.test(OP.PASID_CHECK_HWPT, other.stdev, selftest.PASID_CHECK, { pasid: 0, hwpt_id: other.hwpt })
        .result,
    ).toBe(0);
  });
});

describe('PASIDs', () => {
  const attach = (pasid: number, pt_id: number) =>
    caller.test(OP.PASID_ATTACH, stdev, selftest.PASID_ATTACH, { pasid, pt_id }).result;
  const exchange = (pasid: number, pt_id: number) =>
    caller.test(OP.PASID_REPLACE, stdev, selftest.PASID_ATTACH, { pasid, pt_id }).result;
  const detach = (pasid: number) =>
    caller.test(OP.PASID_DETACH, stdev, selftest.PASID_DETACH, { pasid }).result;
  const check = (pasid: number, hwpt_id: number) =>
    caller.test(OP.PASID_CHECK_HWPT, stdev, selftest.PASID_CHECK, { pasid, hwpt_id }).result;
  let table: number;

  beforeEach(() => {
    table = hwpt(HWPT_FLAGS.PASID);
    replace(table);
  });

  test('go to tables that were made for PASIDs, while the requester has such a table', () => {
    const plain = hwpt(0);

    expect([attach(1, table), attach(2, plain), check(1, table), check(2, 0)]).toEqual([0, 'EINVAL', 0, 0]);
    expect([replace(plain), detach(1), replace(plain), attach(1, table)]).toEqual(['EINVAL', 0, 0, 'EINVAL']);
  });

  test.each([
    ['an IOAS: its automatic table is not for PASIDs', () => attach(1, ioas), 'EINVAL'],
    ['a width of 20 bits at most', () => attach(1 << 20, table), 'EINVAL'],
    ['the last one of 20 bits', () => attach((1 << 20) - 1, table), 0],
    ['twice the same table', () => [attach(1, table), attach(1, table)][1], 'EBUSY'],
    [
      'another table without replacing',
      () => [attach(1, table), attach(1, hwpt(HWPT_FLAGS.PASID))][1],
      'EINVAL',
    ],
    ['replacing nothing', () => exchange(1, table), 'EINVAL'],
    ['detaching nothing', () => detach(1), 0],
  ])('%s', (_, run, expected) => {
    expect(run()).toBe(expected);
  });

  test('a replacement that the driver refuses leaves the old table', () => {
    const other = hwpt(HWPT_FLAGS.PASID);

    expect([
      attach(1024, table),
      exchange(1024, other),
      check(1024, table),
      exchange(1024, other),
      check(1024, other),
    ]).toEqual([0, 'ENOMEM', 0, 0, 0]);
  });

  test('a device without PASIDs cannot even have a table for them', () => {
    const other = caller.plug(ioas, 0);

    expect(errno(alloc({ dev_id: other.device, flags: HWPT_FLAGS.PASID }).result)).toBe('EOPNOTSUPP');
  });
});

describe('GET_HW_INFO', () => {
  const info = (values: object) =>
    caller.ioctl(NR.GET_HW_INFO, abi.IOMMU_GET_HW_INFO, {
      dev_id: device,
      data_len: 8,
      data_uptr: DATA,
      ...values,
    });

  test.each([
    ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
    ['a reserved field', { reserved1: 1 }, 'EOPNOTSUPP'],
    ['no such device', { dev_id: 99 }, 'ENOENT'],
    ['a type that is not offered', { flags: 1, data_type: 2 }, 'EOPNOTSUPP'],
    ['the type that is', { flags: 1, data_type: MOCK.HW_INFO_TYPE }, 'ok'],
    ['a bad pointer', { data_uptr: 0xdead_0000n }, 'EFAULT'],
    ['no room at all', { data_len: 0, data_uptr: 0n }, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(errno(info(values).result)).toBe(expected);
  });

  test("more room than there is information is filled with zeros, and the length is the kernel's", () => {
    caller.bytes(DATA, 16).fill(0xff);
    const { out } = info({ data_len: 16 });

    expect([...caller.bytes(DATA, 16)]).toEqual([0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([out.data_len, out.data_type, out.out_max_pasid_log2, out.out_capabilities]).toEqual([
      8,
      0xfeedbeef,
      20,
      1n,
    ]);
  });

  test('a device without dirty tracking and PASIDs says so', () => {
    const other = caller.plug(ioas, NO_DIRTY);
    const { out } = info({ dev_id: other.device });

    expect([out.out_max_pasid_log2, out.out_capabilities]).toEqual([0, 0n]);
  });
});

describe('HWPT_INVALIDATE', () => {
  let target: number;
  const entries = (list: readonly (readonly number[])[]) => {
    const words = Uint32Array.from(list.flat());
    caller.put(new Uint8Array(words.buffer), DATA);
    return { data_uptr: DATA, data_type: MOCK.INVALIDATE_DATA, entry_len: 8, entry_num: list.length };
  };
  const invalidate = (values: object) => {
    const { result, out } = caller.ioctl(NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, {
      hwpt_id: target,
      ...values,
    });
    return [errno(result), out.entry_num];
  };
  const entry = (id: number, iotlb: number) =>
    caller.test(OP.MD_CHECK_IOTLB, target, selftest.CHECK_IOTLB, { id, iotlb }).result;

  beforeEach(() => {
    target = nested(hwpt(HWPT_FLAGS.NEST_PARENT));
  });

  test('an entry of the array clears one value, the flag all of them', () => {
    expect([
      entry(1, MOCK.IOTLB_DEFAULT),
      invalidate(entries([[0, 1]])),
      entry(0, MOCK.IOTLB_DEFAULT),
      entry(1, 0),
    ]).toEqual([0, ['ok', 1], 0, 0]);
    expect([invalidate(entries([[1, 0]])), entry(0, 0), entry(3, 0)]).toEqual([['ok', 1], 0, 0]);
  });

  test('a bad entry ends the array, and the count says how many were done', () => {
    expect([
      invalidate(
        entries([
          [0, 0],
          [0, 1],
          [0, 4],
          [0, 2],
        ]),
      ),
      entry(1, 0),
      entry(2, MOCK.IOTLB_DEFAULT),
    ]).toEqual([['EINVAL', 2], 0, 0]);
    expect(
      invalidate(
        entries([
          [0, 3],
          [2, 0],
        ]),
      ),
    ).toEqual(['EOPNOTSUPP', 1]);
  });

  test.each([
    ['a reserved field', { reserved: 1 }, ['EOPNOTSUPP', 0]],
    ['no pointer', { data_uptr: 0n }, ['EINVAL', 0]],
    ['entries of no length', { entry_len: 0 }, ['EINVAL', 0]],
    ['entries of more than a page', { entry_len: 4097 }, ['EINVAL', 0]],
    ['too many entries', { entry_num: (1 << 19) + 1 }, ['EINVAL', 0]],
    ['entries that are too short', { entry_len: 4 }, ['EINVAL', 0]],
    ['entries that are too long, though the rest is zero', { entry_len: 9 }, ['EINVAL', 0]],
    ['another type of data', { data_type: 0xdadbeef }, ['EINVAL', 0]],
    ['no such table', { hwpt_id: 99 }, ['ENOENT', 0]],
    ['a bad pointer', { data_uptr: 0xdead_0000n }, ['EFAULT', 0]],
    ['no entries: the type is asked for', { entry_num: 0, data_uptr: 0n, entry_len: 0 }, ['ok', 0]],
    ['no entries of an unknown type', { entry_num: 0, data_type: 7 }, ['EINVAL', 0]],
  ])('%s', (_, values, expected) => {
    expect(invalidate({ ...entries([[0, 0]]), ...values })).toEqual(expected);
  });

  test('a paging table is EINVAL', () => {
    expect(invalidate({ ...entries([[0, 0]]), hwpt_id: automatic })).toEqual(['EINVAL', 0]);
  });
});

describe('dirty tracking', () => {
  let table: number;
  const get = (values: object) =>
    caller.refused(NR.HWPT_GET_DIRTY_BITMAP, abi.IOMMU_HWPT_GET_DIRTY_BITMAP, {
      hwpt_id: table,
      iova: APERTURE,
      length: 0x8000n,
      page_size: 0x1000n,
      data: 0x6000n,
      ...values,
    });
  const set = (flags: number, hwpt_id = table) =>
    caller.refused(NR.HWPT_SET_DIRTY_TRACKING, abi.IOMMU_HWPT_SET_DIRTY_TRACKING, { hwpt_id, flags });
  /** The mock's IO pages have 2 KiB: bit n of `bits` is page n. */
  const soil = (bits: number) => {
    caller.put(Uint8Array.from([bits, bits >> 8]), 0x5000n);
    const values = { iova: APERTURE, length: 0x8000n, page_size: 0x800n, uptr: 0x5000n };
    const { result, out } = caller.test(OP.DIRTY, table, selftest.DIRTY, values);
    return result === 0 ? Number(out.out_nr_dirty) : result;
  };
  const bitmap = () => caller.bytes(0x6000n, 1)[0];

  beforeEach(() => {
    table = hwpt(HWPT_FLAGS.DIRTY_TRACKING);
    replace(table);
    caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: 7,
      ioas_id: ioas,
      user_va: BUFFER,
      length: 0x4000n,
      iova: APERTURE,
    });
  });

  test('fewer pages than a byte has bits are written as those of more are; bits behind them mean nothing', () => {
    set(1);
    caller.put(Uint8Array.of(0b1111_0101), 0x5000n);
    const values = { iova: APERTURE, length: 0x2000n, page_size: 0x800n, uptr: 0x5000n };
    const { result, out } = caller.test(OP.DIRTY, table, selftest.DIRTY, values);

    expect([result, out.out_nr_dirty]).toEqual([0, 2n]);
  });

  test('written pages are set in the bitmap, what was set stays, and reading clears', () => {
    set(1);
    caller.bytes(0x6000n, 1)[0] = 0x80;

    expect([soil(0b10_0001), get({}), bitmap()]).toEqual([2, 'ok', 0b1000_0101]);
    caller.bytes(0x6000n, 1)[0] = 0;
    expect([get({}), bitmap()]).toEqual(['ok', 0]);
  });

  test('reading without clearing reads the same again', () => {
    set(1);
    soil(0b100);

    expect([get({ flags: 1 }), bitmap(), get({ flags: 0 }), bitmap()]).toEqual(['ok', 2, 'ok', 2]);
  });

  test('starting clears what was written before', () => {
    set(1);
    soil(0xff);
    set(1);

    expect([get({}), bitmap()]).toEqual(['ok', 0]);
  });

  test.each([
    ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
    ['a reserved field', { reserved: 1 }, 'EOPNOTSUPP'],
    ['no such table', { hwpt_id: 99 }, 'ENOENT'],
    ['an IOAS', { hwpt_id: 1 }, 'ENOENT'],
    ['a range that wraps', { iova: (1n << 64n) - 0x1000n, length: 0x2000n }, 'EOVERFLOW'],
    ['an IOVA that is not aligned', { iova: APERTURE + 0x400n }, 'EINVAL'],
    ['an end that is not aligned', { length: 0x7c00n }, 'EINVAL'],
    ['no page size', { page_size: 0n }, 'EINVAL'],
    ['a page size that does not divide the range', { page_size: 0x10000n }, 'EINVAL'],
    ['a bitmap outside of memory', { data: 0xdead_0000n }, 'EFAULT'],
  ])('GET with %s: %s', (_, values, expected) => {
    set(1);
    soil(1);

    expect(get(values)).toBe(expected);
  });

  test('SET with an unknown flag, without a table, on a table without tracking', () => {
    expect([set(2), set(1, 99), set(1, hwpt(0))]).toEqual(['EOPNOTSUPP', 'ENOENT', 'EOPNOTSUPP']);
  });
});

describe('page requests', () => {
  const RECORD = 40;
  let queue: { out_fault_id: number; out_fault_fd: number };
  let table: number;
  const trigger = (values: object = {}) =>
    caller.test(OP.TRIGGER_IOPF, 0, selftest.TRIGGER_IOPF, {
      dev_id: device,
      pasid: 0,
      grpid: 7,
      perm: 3,
      addr: 0xdead_beefn,
      ...values,
    }).result;
  const read = (length = RECORD) => {
    const count = caller.calls.read(queue.out_fault_fd, 0x7000n, length);
    return count < 0 ? errno(count) : count;
  };
  const record = (index = 0) => decode(abi.PGFAULT, caller.bytes(0x7000n + BigInt(index * RECORD), RECORD));
  const respond = (...list: readonly (readonly [number, number])[]) => {
    const words = Uint32Array.from(list.flat());
    caller.put(new Uint8Array(words.buffer), 0x7800n);
    const count = caller.calls.write(queue.out_fault_fd, 0x7800n, words.byteLength);
    return count < 0 ? errno(count) : count;
  };

  beforeEach(() => {
    queue = caller.ok(NR.FAULT_QUEUE_ALLOC, abi.IOMMU_FAULT_QUEUE_ALLOC, {});
    const parent = hwpt(HWPT_FLAGS.NEST_PARENT);
    table = nested(parent, { flags: HWPT_FLAGS.FAULT_ID_VALID, fault_id: queue.out_fault_id });
    replace(table);
  });

  test('with a PASID that the host has not attached it is the nested table’s own: it goes where that of the requester goes', () => {
    trigger({ pasid: 1 });

    expect([read(), record().flags, record().pasid]).toEqual([RECORD, 3, 1]);
  });

  test('a request is a record, its response ends it', () => {
    trigger();

    expect([
      caller.calls.poll(queue.out_fault_fd),
      read(),
      read(),
      caller.calls.poll(queue.out_fault_fd),
    ]).toEqual([5, 40, 0, 4]);
    expect(record()).toEqual({
      flags: 2,
      dev_id: device,
      pasid: 0,
      grpid: 7,
      perm: 3,
      reserved: 0,
      addr: 0xdead_beefn,
      length: 0,
      cookie: 0,
    });
    expect([respond([0, 0]), respond([0, 0])]).toEqual([8, 'EINVAL']);
  });

  test('several are read and answered at once; a bad answer ends the list', () => {
    trigger();
    trigger({ grpid: 8 });
    trigger({ grpid: 9 });

    expect([read(2 * RECORD), record(1).grpid, record(1).cookie]).toEqual([80, 8, 1]);
    expect([respond([1, 0], [0, 2]), respond([0, 5]), respond([0, 1]), read()]).toEqual([8, 'EINVAL', 8, 40]);
  });

  test.each([
    ['a read of part of a record', () => read(39), 'ESPIPE'],
    [
      'a read to a bad address',
      () => [trigger(), errno(caller.calls.read(queue.out_fault_fd, 0xdead_0000n, 40))][1],
      'EFAULT',
    ],
    [
      'a write of part of a response',
      () => errno(caller.calls.write(queue.out_fault_fd, 0x7800n, 7)),
      'ESPIPE',
    ],
    ['a response to nothing', () => respond([5, 0]), 'EINVAL'],
    [
      'a queue with flags',
      () => caller.refused(NR.FAULT_QUEUE_ALLOC, abi.IOMMU_FAULT_QUEUE_ALLOC, { flags: 1 }),
      'EOPNOTSUPP',
    ],
  ])('%s', (_, run, expected) => {
    expect(run()).toBe(expected);
  });

  test('a read that runs out of memory gives what fitted, and the rest to the next', () => {
    trigger();
    trigger({ grpid: 8 });
    const end = BUFFER + BUFFER_BYTES;

    expect(caller.calls.read(queue.out_fault_fd, end - 40n, 80)).toBe(40);
    expect([read(), record().grpid]).toEqual([40, 8]);
  });

  test('detaching answers what is open, and leaves nothing in the queue', () => {
    trigger();
    trigger();
    read();
    replace(ioas);

    expect([caller.kernel.allocations.live('fault'), read(), respond([0, 0])]).toEqual([0, 0, 'EINVAL']);
  });

  test('the queue is busy while its file is open or a table has it', () => {
    const busy = destroy(queue.out_fault_id);
    caller.calls.close(queue.out_fault_fd);
    const used = destroy(queue.out_fault_id);
    replace(ioas);
    destroy(table);

    expect([busy, used, destroy(queue.out_fault_id)]).toEqual(['EBUSY', 'EBUSY', 'ok']);
  });
});
