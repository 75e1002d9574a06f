import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { BUFFER, Caller, errno } from '../../kit/host-caller.ts';

const { NR } = abi;
const { OP } = selftest;
const IOVA = 0x100_0000n;
const U64_MAX = (1n << 64n) - 1n;

let caller: Caller;
let ioas: number;

beforeEach(() => {
  caller = new Caller();
  ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  map({});
  map({ flags: 5, iova: IOVA + 0x1_0000n, user_va: BUFFER + 0x1_0000n });
});

const map = (values: object) =>
  caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
    flags: 7,
    ioas_id: ioas,
    user_va: BUFFER,
    length: 0x4000n,
    iova: IOVA,
    ...values,
  });
const create = (flags = 1, target = ioas) => {
  const { result, out } = caller.test(OP.CREATE_ACCESS, target, selftest.CREATE_ACCESS, { flags });
  return result === 0 ? out.out_access_fd : result;
};
const pin = (fd: number, values: object = {}) => {
  const all = { flags: 0, iova: IOVA, length: 0x2000n, uptr: BUFFER, ...values };
  const { result, out } = caller.test(OP.ACCESS_PAGES, fd, selftest.ACCESS_PAGES, all);
  return result === 0 ? out.out_access_pages_id : result;
};
const unpin = (fd: number, access_pages_id: number) =>
  caller.test(OP.DESTROY_ACCESS_PAGES, fd, selftest.DESTROY_ACCESS_PAGES, { access_pages_id }).result;
const copy = (fd: number, values: object) =>
  caller.test(OP.ACCESS_RW, fd, selftest.ACCESS_RW, {
    flags: 0,
    iova: IOVA,
    length: 0x10n,
    uptr: 0x5000n,
    ...values,
  }).result;

describe('an access that pins', () => {
  test('pins the pages behind a mapping, and lets go', () => {
    const fd = create() as number;
    const item = pin(fd) as number;
    const pinned = caller.kernel.memory.pinned;

    expect([pinned, unpin(fd, item), caller.kernel.memory.pinned, unpin(fd, item)]).toEqual([
      2,
      0,
      0,
      'ENOENT',
    ]);
  });

  test.each([
    ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
    ['no length', { length: 0n }, 'EINVAL'],
    ['a range that wraps', { iova: U64_MAX, length: 0x10n }, 'EOVERFLOW'],
    ['too much at once', { length: (16n << 20n) + 1n }, 'ENOMEM'],
    ['a hole', { length: 0x5000n }, 'ENOENT'],
    ['writing what is read-only', { flags: 1, iova: IOVA + 0x1_0000n }, 'EPERM'],
    ['other pages than the caller thinks', { uptr: BUFFER + 0x1000n }, 'EBADE'],
  ])('%s: %s, and nothing stays pinned', (_, values, expected) => {
    expect([pin(create() as number, values), caller.kernel.memory.pinned]).toEqual([expected, 0]);
  });

  test('unmapping asks it to let go', () => {
    const fd = create() as number;
    const item = pin(fd) as number;
    const result = caller.refused(NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, {
      ioas_id: ioas,
      iova: IOVA,
      length: 0x4000n,
    });

    expect([result, caller.kernel.memory.pinned, unpin(fd, item)]).toEqual(['ok', 0, 'ENOENT']);
  });

  test('needs mappings of whole pages: else EADDRINUSE', () => {
    map({ iova: 0x801n, user_va: BUFFER + 1n, length: 1n });

    expect([create(1), typeof create(0)]).toEqual(['EADDRINUSE', 'number']);
  });

  test('keeps its IOAS, goes with its file, and cannot be destroyed by its id', () => {
    const fd = create() as number;
    pin(fd);
    const destroy = (id: number) => caller.refused(NR.DESTROY, abi.IOMMU_DESTROY, { id });
    const kept = [destroy(ioas), destroy(ioas + 1)];
    caller.calls.close(fd);

    expect([kept, caller.kernel.memory.pinned, destroy(ioas)]).toEqual([['EBUSY', 'EBUSY'], 0, 'ok']);
  });

  test('another IOAS: its pins in the old one end', () => {
    const fd = create() as number;
    pin(fd);
    const other = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    const replace = (ioas_id: number) =>
      caller.test(OP.ACCESS_REPLACE_IOAS, fd, selftest.ACCESS_REPLACE_IOAS, { ioas_id }).result;

    expect([replace(99), replace(other), caller.kernel.memory.pinned, pin(fd)]).toEqual([
      'ENOENT',
      0,
      0,
      'ENOENT',
    ]);
  });
});

describe('an access that copies', () => {
  test('reads and writes through mappings, across pages and areas', () => {
    map({ iova: IOVA + 0x4000n, user_va: BUFFER + 0x8000n, length: 0x1000n });
    const fd = create(0) as number;
    caller.bytes(0x5000n, 0x10).fill(0x5a);

    expect(copy(fd, { flags: 1, iova: IOVA + 0x3ff8n })).toBe(0);
    expect([...caller.bytes(BUFFER + 0x3ff8n, 8), ...caller.bytes(BUFFER + 0x8000n, 8)]).toEqual(
      Array(16).fill(0x5a),
    );
    caller.bytes(BUFFER + 0x8000n, 1)[0] = 7;
    expect([
      copy(fd, { iova: IOVA + 0x4000n }),
      caller.bytes(0x5000n, 2)[0],
      caller.bytes(0x5000n, 2)[1],
    ]).toEqual([0, 7, 0x5a]);
  });

  test.each([
    ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
    ['no length', { length: 0n }, 'EINVAL'],
    ['a hole', { iova: IOVA + 0x3ff8n }, 'ENOENT'],
    ['writing what is read-only', { flags: 1, iova: IOVA + 0x1_0000n }, 'EPERM'],
    ['a bad buffer', { uptr: 0xdead_0000n }, 'EFAULT'],
    ['the slow path, which is the same', { flags: 4 }, 0],
  ])('%s: %s', (_, values, expected) => {
    expect(copy(create(0) as number, values)).toBe(expected);
  });

  test('does not pin', () => {
    expect(pin(create(0) as number)).toBe('EOPNOTSUPP');
  });

  test('memory that the process lost is EFAULT', () => {
    const fd = create(0) as number;
    caller.calls.munmap(BUFFER, 0x1000n);

    expect(copy(fd, {})).toBe('EFAULT');
  });
});

test.each([
  ['no such IOAS', () => create(1, 99), 'ENOENT'],
  ['unknown flags', () => create(2), 'EOPNOTSUPP'],
  ['a descriptor that is no access', () => pin(caller.fd), 'EBADFD'],
  ['a descriptor that is not open', () => pin(99), 'EBADFD'],
])('%s', (_, run, expected) => {
  expect(run()).toBe(expected);
});

describe("VFIO's container on an iommufd", () => {
  const ioctl = (nr: number, argument: bigint) => {
    const result = caller.calls.ioctl(caller.fd, 0x3b00 | nr, argument);
    return result < 0 ? errno(result) : result;
  };
  const choose = (op: number, ioas_id = 0) =>
    caller.refused(NR.VFIO_IOAS, abi.IOMMU_VFIO_IOAS, { op, ioas_id });
  const words = (...list: readonly (number | bigint)[]) => {
    const bytes = new Uint8Array(64);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const word of list) {
      if (typeof word === 'bigint') view.setBigUint64(at, word, true);
      else view.setUint32(at, word, true);
      at += typeof word === 'bigint' ? 8 : 4;
    }
    return caller.put(bytes, 0x9000n);
  };
  const mapDma = (flags: number, vaddr: bigint, iova: bigint, size: bigint, argsz = 32) =>
    ioctl(0x71, words(argsz, flags, vaddr, iova, size));
  const unmapDma = (flags: number, iova: bigint, size: bigint, argsz = 24) => {
    const result = ioctl(0x72, words(argsz, flags, iova, size));
    return result === 0 ? new DataView(caller.buffer, 0x9010).getBigUint64(0, true) : result;
  };

  test('no IOAS is chosen at first', () => {
    expect([choose(0), choose(1, 99), choose(3), ioctl(0x66, 3n), mapDma(3, BUFFER, 0n, 0x1000n)]).toEqual([
      'ENODEV',
      'ENOENT',
      'EOPNOTSUPP',
      'ENODEV',
      'ENODEV',
    ]);
  });

  test('version and extensions', () => {
    choose(1, ioas);

    expect([ioctl(0x64, 0n), ...[1n, 3n, 4n, 6n, 8n, 9n, 10n].map((one) => ioctl(0x65, one))]).toEqual([
      0, 1, 1, 1, 0, 0, 1, 0,
    ]);
    expect([ioctl(0x66, 8n), ioctl(0x66, 3n)]).toEqual(['EINVAL', 0]);
  });

  test('mapping and unmapping, and their errors', () => {
    choose(1, ioas);
    ioctl(0x66, 3n);

    expect([
      mapDma(3, BUFFER, 0x5000n, 0x2000n, 31),
      mapDma(4, BUFFER, 0x5000n, 0x2000n),
      mapDma(3, BUFFER, 0x5000n, 0x2000n),
      mapDma(3, BUFFER, 0x6000n, 0x1000n),
    ]).toEqual(['EINVAL', 'EINVAL', 0, 'EEXIST']);
    expect([
      unmapDma(0, 0x5000n, 0x1000n),
      unmapDma(1, 0x5000n, 0x2000n),
      unmapDma(0, 0x5000n, 0x2000n),
      unmapDma(0, 0x5000n, 0x2000n),
      unmapDma(2, 1n, 0n),
      unmapDma(2, 0n, 0n),
    ]).toEqual(['ENOENT', 'EINVAL', 0x2000n, 0n, 'EINVAL', 0x8000n]);
  });

  test('the first version of the interface unmaps parts of mappings', () => {
    ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    choose(1, ioas);
    ioctl(0x66, 1n);
    caller.plug(ioas);
    mapDma(3, BUFFER, IOVA, 0x4000n);

    expect([
      unmapDma(0, IOVA + 0x1000n, 0x1000n),
      caller.kernel.memory.pinned,
      unmapDma(2, 0n, 0n),
      caller.kernel.memory.pinned,
    ]).toEqual([0x1000n, 3, 0x3000n, 0]);
  });

  test('information with its capabilities, or how much room they need', () => {
    choose(1, ioas);
    const small = ioctl(0x70, words(24, 0, 0n, 0n));
    const needs = new DataView(caller.buffer, 0x9000).getUint32(0, true);
    const offset = new DataView(caller.buffer, 0x9000).getUint32(16, true);
    ioctl(0x70, words(needs, 0, 0n, 0n));
    const view = new DataView(caller.buffer, 0x9000);

    expect([small, needs, offset, ioctl(0x70, words(15, 0))]).toEqual([0, 72, 0, 'EINVAL']);
    ioctl(0x70, words(needs, 0, 0n, 0n));
    expect([view.getUint32(4, true), view.getBigUint64(8, true), view.getUint32(16, true)]).toEqual([
      3,
      (1n << 64n) - 0x1000n,
      24,
    ]);
    expect([
      view.getUint16(24, true),
      view.getUint32(28, true),
      view.getUint32(32, true),
      view.getBigUint64(48, true),
    ]).toEqual([1, 56, 1, U64_MAX]);
  });
});
