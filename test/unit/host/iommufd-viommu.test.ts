import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import { MOCK } from '../../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { BUFFER, Caller, errno } from '../../kit/host-caller.ts';

const { NR, HWPT_FLAGS } = abi;
const { OP } = selftest;
const APERTURE = 0x100_0000n;
const DATA = 0x4000n;

let caller: Caller;
let ioas: number;
let device: number;
let stdev: number;
let parent: number;
let viommu: number;

beforeEach(() => {
  caller = new Caller();
  ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  ({ device, stdev } = caller.plug(ioas));
  const flags = HWPT_FLAGS.NEST_PARENT;
  parent = caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas, flags }).out_hwpt_id;
  viommu = alloc({}).out.out_viommu_id;
});

const alloc = (values: object) =>
  caller.ioctl(NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
    type: MOCK.VIOMMU_TYPE,
    dev_id: device,
    hwpt_id: parent,
    ...values,
  });
const destroy = (id: number) => caller.refused(NR.DESTROY, abi.IOMMU_DESTROY, { id });
const words = (list: readonly number[]) => caller.put(new Uint8Array(Uint32Array.from(list).buffer), DATA);
const vdevice = (values: object = {}) =>
  caller.ioctl(NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, {
    viommu_id: viommu,
    dev_id: device,
    virt_id: 0x99n,
    ...values,
  });

describe('VIOMMU_ALLOC', () => {
  test.each([
    ['flags', { flags: 1 }, 'EOPNOTSUPP'],
    ['a reserved field', { reserved: 1 }, 'EOPNOTSUPP'],
    ['type 0', { type: 0 }, 'EOPNOTSUPP'],
    ['a type that the driver has not', { type: 1 }, 'EOPNOTSUPP'],
    ['no such device', { dev_id: 99 }, 'ENOENT'],
    ['no such parent', { hwpt_id: 99 }, 'ENOENT'],
    ['all right', {}, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(errno(alloc(values).result)).toBe(expected);
  });

  test('a table that is no parent is EINVAL', () => {
    const plain = caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas }).out_hwpt_id;

    expect(errno(alloc({ hwpt_id: plain }).result)).toBe('EINVAL');
  });

  test('data comes back with a page to map, whose mapping keeps the vIOMMU', () => {
    words([0x1234_5678, 0, 0, 0, 0, 0]);
    const { out } = alloc({ data_len: 24, data_uptr: DATA });
    const view = new DataView(caller.buffer, Number(DATA));
    const [offset, length] = [view.getBigUint64(8, true), view.getBigUint64(16, true)];
    const request = { address: 0x30_0000n, length, prot: 3, flags: 1, offset };
    const map = (change: object) => errno(caller.calls.mmap(caller.fd, { ...request, ...change }));

    expect([view.getUint32(4, true), length]).toEqual([0x1234_5678, 0x1000n]);
    expect([
      map({ length: 0x800n }),
      map({ flags: 2 }),
      map({ prot: 7 }),
      map({ offset: offset + 0x1000n }),
      map({ length: 0x2000n }),
      map({}),
    ]).toEqual(['EINVAL', 'EINVAL', 'EPERM', 'ENXIO', 'ENXIO', 'ok']);
    expect(new DataView(caller.buffer, 0x30_0000).getUint32(0, true)).toBe(0x1234_5678);
    const busy = destroy(out.out_viommu_id);
    caller.calls.munmap(0x30_0000n, 0x1000n);
    expect([busy, destroy(out.out_viommu_id), map({})]).toEqual(['EBUSY', 'ok', 'ENXIO']);
  });

  test('a vIOMMU keeps its parent, a nested table of it keeps the vIOMMU', () => {
    words([1]);
    const values = { dev_id: device, pt_id: viommu, data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: DATA };
    const nested = caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, values).out_hwpt_id;

    expect([destroy(parent), destroy(viommu), destroy(nested), destroy(viommu), destroy(parent)]).toEqual([
      'EBUSY',
      'EBUSY',
      'ok',
      'ok',
      'ok',
    ]);
  });
});

describe('VDEVICE_ALLOC', () => {
  test.each([
    ['no such vIOMMU', { viommu_id: 99 }, 'ENOENT'],
    ['no such device', { dev_id: 99 }, 'ENOENT'],
    ['all right', {}, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(errno(vdevice(values).result)).toBe(expected);
  });

  test('one identity a device, and one device an identity', () => {
    const second = caller.plug(ioas).device;
    const first = vdevice();

    expect([errno(vdevice({ virt_id: 1n }).result), errno(vdevice({ dev_id: second }).result)]).toEqual([
      'EEXIST',
      'EEXIST',
    ]);
    expect([
      destroy(viommu),
      destroy(first.out.out_vdevice_id),
      errno(vdevice({ dev_id: second }).result),
    ]).toEqual(['EBUSY', 'ok', 'ok']);
  });

  test('a device that goes takes its identity along: the id stays taken until it is destroyed', () => {
    const { out } = vdevice();
    destroy(stdev);
    const other = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;

    expect([other === out.out_vdevice_id, destroy(out.out_vdevice_id), destroy(viommu)]).toEqual([
      false,
      'ENOENT',
      'ok',
    ]);
  });
});

describe('invalidations by vIOMMU', () => {
  const invalidate = (list: readonly number[], values: object = {}) => {
    const { result, out } = caller.ioctl(NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, {
      hwpt_id: viommu,
      data_uptr: words(list),
      data_type: MOCK.VIOMMU_INVALIDATE_DATA,
      entry_len: 12,
      entry_num: list.length / 3,
      ...values,
    });
    return [errno(result), out.entry_num];
  };
  const cache = (id: number, value: number) =>
    caller.test(OP.DEV_CHECK_CACHE, device, selftest.CHECK_DEV_CACHE, { id, cache: value }).result;

  test('reach the device with that virtual id', () => {
    vdevice();

    expect([invalidate([0, 0x99, 2]), cache(2, 0), cache(1, MOCK.CACHE_DEFAULT)]).toEqual([['ok', 1], 0, 0]);
    expect([invalidate([1, 0x99, 0]), cache(1, 0)]).toEqual([['ok', 1], 0]);
  });

  test.each([
    ['a virtual id that nobody has', [0, 0x99, 0, 0, 0x98, 0], {}, ['EINVAL', 1]],
    ['an entry that the cache has not', [0, 0x99, 4], {}, ['EINVAL', 0]],
    ['an unknown flag', [2, 0x99, 0], {}, ['EOPNOTSUPP', 0]],
    ['another type', [0, 0x99, 0], { data_type: 1 }, ['EINVAL', 0]],
  ])('%s', (_, list, values, expected) => {
    vdevice();

    expect(invalidate(list, values)).toEqual(expected);
  });
});

describe('events', () => {
  let queue: { out_veventq_id: number; out_veventq_fd: number };
  const allocate = (values: object = {}) =>
    caller.ioctl(NR.VEVENTQ_ALLOC, abi.IOMMU_VEVENTQ_ALLOC, {
      viommu_id: viommu,
      type: MOCK.VEVENTQ_TYPE,
      veventq_depth: 2,
      ...values,
    });
  const trigger = () => caller.test(OP.TRIGGER_VEVENT, 0, selftest.TRIGGER_VEVENT, { dev_id: device }).result;
  const read = (length: number) => {
    const count = caller.calls.read(queue.out_veventq_fd, 0x7000n, length);
    return count < 0 ? errno(count) : [...new Uint32Array(caller.buffer.slice(0x7000, 0x7000 + count))];
  };

  test.each([
    ['flags', { flags: 1 }, 'EOPNOTSUPP'],
    ['a reserved field', { reserved: 1 }, 'EOPNOTSUPP'],
    ['type 0', { type: 0 }, 'EOPNOTSUPP'],
    ['a type that the vIOMMU has not', { type: 1 }, 'EOPNOTSUPP'],
    ['no depth', { veventq_depth: 0 }, 'EINVAL'],
    ['too much depth', { veventq_depth: (1 << 19) + 1 }, 'EINVAL'],
    ['no such vIOMMU', { viommu_id: 99 }, 'ENOENT'],
    ['all right', {}, 'ok'],
  ])('a queue with %s: %s', (_, values, expected) => {
    expect(errno(allocate(values).result)).toBe(expected);
  });

  test('a second queue of the type is EEXIST, until the first is gone', () => {
    queue = allocate().out;
    const second = errno(allocate().result);
    const busy = destroy(queue.out_veventq_id);
    caller.calls.close(queue.out_veventq_fd);

    expect([second, busy, destroy(queue.out_veventq_id), errno(allocate().result)]).toEqual([
      'EEXIST',
      'EBUSY',
      'ok',
      'ok',
    ]);
  });

  test('a device without identity has no events', () => {
    expect(trigger()).toBe('ENOENT');
  });

  test('events carry sequence numbers, and one header tells of those that were lost', () => {
    vdevice();
    queue = allocate().out;
    for (let count = 0; count < 4; count++) trigger();

    expect([caller.calls.poll(queue.out_veventq_fd), read(8)]).toEqual([1, 'EINVAL']);
    expect(read(64)).toEqual([0, 0, 0x99, 0, 1, 0x99, 1, 3]);
    expect([caller.calls.poll(queue.out_veventq_fd), read(64)]).toEqual([0, []]);
    trigger();
    expect(read(64)).toEqual([0, 4, 0x99]);
  });
});

describe('hardware queues', () => {
  const queue = (index: number, values: object = {}) =>
    caller.ioctl(NR.HW_QUEUE_ALLOC, abi.IOMMU_HW_QUEUE_ALLOC, {
      viommu_id: viommu,
      type: MOCK.HW_QUEUE_TYPE,
      index,
      nesting_parent_iova: APERTURE,
      length: 0x1000n,
      ...values,
    });

  beforeEach(() => {
    caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: 7,
      ioas_id: ioas,
      user_va: BUFFER,
      length: 0x2000n,
      iova: APERTURE,
    });
  });

  test.each([
    ['flags', 0, { flags: 1 }, 'EOPNOTSUPP'],
    ['type 0', 0, { type: 0 }, 'EOPNOTSUPP'],
    ['a type that the vIOMMU has not', 0, { type: 1 }, 'EOPNOTSUPP'],
    ['no length', 0, { length: 0n }, 'EINVAL'],
    ['an end past all addresses', 0, { nesting_parent_iova: (1n << 64n) - 1n, length: 0x1000n }, 'EOVERFLOW'],
    ['no such vIOMMU', 0, { viommu_id: 99 }, 'ENOENT'],
    ['an IOVA that is not mapped', 0, { nesting_parent_iova: 0x200_0000n }, 'ENOENT'],
    ['an index that there is not', 2, {}, 'EINVAL'],
    ['the second before the first', 1, {}, 'EIO'],
    ['all right', 0, {}, 'ok'],
  ])('%s', (_, index, values, expected) => {
    expect(errno(queue(index, values).result)).toBe(expected);
  });

  test('a queue keeps its mapping, the queue before it and the vIOMMU', () => {
    const first = queue(0).out.out_hw_queue_id;
    const second = queue(1).out.out_hw_queue_id;
    const unmap = () =>
      caller.refused(NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, { ioas_id: ioas, iova: APERTURE, length: 0x2000n });

    expect([errno(queue(0).result), unmap(), destroy(first), destroy(viommu)]).toEqual([
      'EEXIST',
      'EBUSY',
      'EBUSY',
      'EBUSY',
    ]);
    expect([destroy(second), destroy(first), unmap(), destroy(viommu)]).toEqual(['ok', 'ok', 'ok', 'ok']);
  });
});
