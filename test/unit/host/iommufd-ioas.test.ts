import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { encode, faultsOf } from '../../../vmm/host/kernel/struct.ts';
import { BUFFER, Caller, errno } from '../../kit/host-caller.ts';

const { NR } = abi;
const U64_MAX = (1n << 64n) - 1n;
const READ_WRITE = abi.MAP_FLAGS.WRITEABLE | abi.MAP_FLAGS.READABLE;
const FIXED = READ_WRITE | abi.MAP_FLAGS.FIXED_IOVA;
/** Where the mock page table can translate. */
const APERTURE = 0x100_0000n;

let caller: Caller;
let ioas: number;

beforeEach(() => {
  caller = new Caller();
  ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
});

const map = (values: object) =>
  caller.refused(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
    flags: FIXED,
    ioas_id: ioas,
    user_va: BUFFER,
    length: 0x1000n,
    iova: APERTURE,
    ...values,
  });

function ranges(room = 8) {
  const { result, out } = caller.ioctl(NR.IOAS_IOVA_RANGES, abi.IOMMU_IOAS_IOVA_RANGES, {
    ioas_id: ioas,
    num_iovas: room,
    allowed_iovas: 0x4000n,
  });
  const view = new DataView(caller.buffer, 0x4000);
  const list = Array.from({ length: Math.min(room, out.num_iovas) }, (_, index) => [
    view.getBigUint64(index * 16, true),
    view.getBigUint64(index * 16 + 8, true),
  ]);
  return { result: errno(result), count: out.num_iovas, alignment: out.out_iova_alignment, list };
}

test('the structures of the interface have no overlapping, unaligned or outlying fields', () => {
  const all = [...abi.IOCTL_STRUCTS, abi.PGFAULT, abi.PAGE_RESPONSE, abi.IOVA_RANGE, abi.VEVENT_HEADER];

  expect(all.flatMap(faultsOf)).toEqual([]);
});

describe('how an ioctl is read, before what it says', () => {
  const ioctl = (word: number, argument: bigint) => errno(caller.calls.ioctl(caller.fd, word, argument));
  const structure = (size: number, tail = 0) => {
    const bytes = new Uint8Array(Math.max(size, 16));
    encode(abi.IOMMU_IOAS_ALLOC, { size }, bytes);
    if (tail > 0) bytes[size - 1] = tail;
    return caller.put(bytes);
  };

  test.each([
    ['a descriptor that is not open', () => errno(caller.calls.ioctl(99, 0x3b81, structure(12))), 'EBADF'],
    ['a number that no ioctl has', () => ioctl(0x3bff, structure(12)), 'ENOTTY'],
    ['another type', () => ioctl(0x3c81, structure(12)), 'ENOTTY'],
    ['a pointer outside of memory', () => ioctl(0x3b81, 0xdead_0000n), 'EFAULT'],
    ['a pointer that ends outside of memory', () => ioctl(0x3b81, BUFFER + 0x20_0000n - 2n), 'EFAULT'],
    ['bits above the word', () => ioctl(0x1_3b81, structure(12)), 'ENOTTY'],
    ['a size that is too small', () => ioctl(0x3b81, structure(11)), 'EINVAL'],
    ['a longer structure with a zero tail', () => ioctl(0x3b81, structure(40)), 'ok'],
    ['a longer structure with a tail that is not zero', () => ioctl(0x3b81, structure(40, 1)), 'E2BIG'],
    [
      'a size that runs out of memory',
      () => ioctl(0x3b81, caller.put(encode(abi.IOMMU_IOAS_ALLOC, { size: 0xffff_fff0 }))),
      'E2BIG',
    ],
  ])('%s', (_, run, expected) => {
    caller.bytes(0x2000n, 0x1000).fill(0xff);

    expect(run()).toBe(expected);
  });

  test('a reply that cannot be written leaves no object', () => {
    const readOnly = 0x30_0000n;
    caller.calls.process.map({ start: readOnly, last: readOnly + 0xfffn, writable: false });
    caller.put(encode(abi.IOMMU_IOAS_ALLOC, { size: 12 }), readOnly);

    expect(errno(caller.calls.ioctl(caller.fd, 0x3b81, readOnly))).toBe('EFAULT');
    expect(caller.kernel.allocations.live('object')).toBe(1);
  });
});

describe('ids', () => {
  const alloc = () => caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  const destroy = (id: number) => caller.refused(NR.DESTROY, abi.IOMMU_DESTROY, { id });

  test('the lowest free id is given each time, from 1', () => {
    const ids = [alloc(), alloc(), alloc()];
    destroy(2);

    expect([ioas, ...ids, alloc(), alloc()]).toEqual([1, 2, 3, 4, 2, 5]);
  });

  test.each([[0], [7], [0xffff_ffff]])('destroying id %i, which nothing has, is ENOENT', (id) => {
    expect(destroy(id)).toBe('ENOENT');
  });
});

describe('IOAS_MAP', () => {
  test.each([
    ['an unknown flag', { flags: FIXED | 8 }, 'EOPNOTSUPP'],
    ['a reserved field', { reserved: 1 }, 'EOPNOTSUPP'],
    ['an IOVA of all ones', { iova: U64_MAX }, 'EOVERFLOW'],
    ['a length of all ones', { length: U64_MAX }, 'EOVERFLOW'],
    ['neither readable nor writable', { flags: 1 }, 'EINVAL'],
    ['neither readable nor writable, of no IOAS', { flags: 1, ioas_id: 9 }, 'EINVAL'],
    ['no such IOAS', { ioas_id: 9 }, 'ENOENT'],
    ['no length', { length: 0n }, 'EINVAL'],
    ['nearly all addresses', { length: U64_MAX - 1n, iova: 0n }, 'EINVAL'],
    ['a source that wraps', { user_va: U64_MAX - 0xfffn, length: 0x2000n }, 'EOVERFLOW'],
    ['an IOVA that wraps', { iova: U64_MAX - 0xfffn, length: 0x2000n }, 'EOVERFLOW'],
    ['a page that is not there, which nobody uses yet', { user_va: 0xdead_0000n }, 'ok'],
    ['all right', {}, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(map(values)).toBe(expected);
  });

  test('a mapping over another is EEXIST, and one beside it is not', () => {
    map({});

    expect([map({}), map({ iova: APERTURE + 0x800n }), map({ iova: APERTURE + 0x1000n })]).toEqual([
      'EEXIST',
      'EEXIST',
      'ok',
    ]);
  });

  test('with a page table, IOVA, length and source have its alignment, and pages must be there', () => {
    caller.plug(ioas);

    expect([
      map({ iova: APERTURE + 0x400n }),
      map({ length: 0x400n }),
      map({ user_va: BUFFER + 0x400n }),
      map({ iova: 0x1000n }),
      map({ user_va: 0xdead_0000n }),
      map({ iova: APERTURE + 0x800n, user_va: BUFFER + 0x800n, length: 0x800n }),
    ]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EFAULT', 'ok']);
  });

  test('without a fixed IOVA the place imitates the alignment of the source', () => {
    const place = (user_va: bigint, length: bigint) =>
      caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, { flags: READ_WRITE, ioas_id: ioas, user_va, length }).iova;

    expect([
      place(BUFFER, 0x1000n),
      place(BUFFER + 0x123n, 0x1000n),
      place(BUFFER, 0x10_0000n),
      place(0n, 0x40_0000n),
    ]).toEqual([0x1000n, 0x2123n, 0x10_0000n, 0x20_0000n]);
  });

  test('half of all addresses without a place is EOVERFLOW, and an allowed list that is full ENOSPC', () => {
    caller.put(encode(abi.IOVA_RANGE, { start: 0x1000n, last: 0x1fffn }), 0x4000n);
    caller.ok(NR.IOAS_ALLOW_IOVAS, abi.IOMMU_IOAS_ALLOW_IOVAS, {
      ioas_id: ioas,
      num_iovas: 1,
      allowed_iovas: 0x4000n,
    });

    expect([
      map({ flags: READ_WRITE, length: 1n << 63n, user_va: 0n }),
      map({ flags: READ_WRITE }),
      map({ flags: READ_WRITE }),
    ]).toEqual(['EOVERFLOW', 'ok', 'ENOSPC']);
  });

  test('a mapping in a mock page table shows the pages of the caller, pinned once', () => {
    const { hwpt } = caller.plug(ioas);
    map({ length: 0x4000n });

    expect([
      caller.test(selftest.OP.MD_CHECK_MAP, hwpt, selftest.CHECK_MAP, {
        iova: APERTURE,
        length: 0x4000n,
        uptr: BUFFER,
      }).result,
      caller.test(selftest.OP.MD_CHECK_REFS, 0, selftest.CHECK_REFS, {
        length: 0x4000n,
        uptr: BUFFER,
        refs: 1,
      }).result,
      caller.test(selftest.OP.MD_CHECK_MAP, hwpt, selftest.CHECK_MAP, {
        iova: APERTURE,
        length: 0x4000n,
        uptr: BUFFER + 0x1000n,
      }).result,
    ]).toEqual([0, 0, 'EINVAL']);
  });

  test('locked memory beyond the limit is ENOMEM, and nothing stays pinned', () => {
    caller = new Caller({ memlock: 0x3000n });
    ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    caller.plug(ioas);

    expect([map({ length: 0x4000n }), caller.kernel.memory.pinned, map({ length: 0x3000n })]).toEqual([
      'ENOMEM',
      0,
      'ok',
    ]);
  });
});

describe('IOAS_UNMAP', () => {
  const unmap = (iova: bigint, length: bigint) => {
    const { result, out } = caller.ioctl(NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, {
      ioas_id: ioas,
      iova,
      length,
    });
    return result < 0 ? errno(result) : out.length;
  };

  test('everything can be unmapped of an empty IOAS', () => {
    expect(unmap(0n, U64_MAX)).toBe(0n);
  });

  test.each([
    ['nothing there', 0x5000n, 0x1000n, 'ENOENT'],
    ['no length', 0x1000n, 0n, 'EINVAL'],
    ['an IOVA of all ones', U64_MAX, 1n, 'EOVERFLOW'],
    ['a range that wraps', U64_MAX - 1n, 0x1000n, 'EOVERFLOW'],
    ['the first half of an area', APERTURE, 0x1000n, 'ENOENT'],
    ['the second half of an area', APERTURE + 0x1000n, 0x1000n, 'ENOENT'],
    ['the area', APERTURE, 0x2000n, 0x2000n],
    ['more than the area', APERTURE - 0x1000n, 0x10000n, 0x2000n],
  ])('%s', (_, iova, length, expected) => {
    map({ length: 0x2000n });

    expect(unmap(iova, length)).toBe(expected);
  });

  test('the pins go with the mapping', () => {
    caller.plug(ioas);
    map({ length: 0x2000n });
    const before = caller.kernel.memory.pinned;
    unmap(APERTURE, 0x2000n);

    expect([before, caller.kernel.memory.pinned]).toEqual([2, 0]);
  });
});

describe('IOAS_COPY', () => {
  const copy = (values: object) =>
    caller.refused(NR.IOAS_COPY, abi.IOMMU_IOAS_COPY, {
      flags: FIXED,
      dst_ioas_id: ioas,
      src_ioas_id: ioas,
      length: 0x1000n,
      dst_iova: 0x200_0000n,
      src_iova: APERTURE,
      ...values,
    });

  beforeEach(() => {
    map({ length: 0x2000n });
    map({ iova: APERTURE + 0x10_0000n, flags: abi.MAP_FLAGS.FIXED_IOVA | abi.MAP_FLAGS.READABLE });
  });

  test.each([
    ['an unknown flag', { flags: FIXED | 8 }, 'EOPNOTSUPP'],
    ['neither readable nor writable', { flags: 1 }, 'EINVAL'],
    ['no source IOAS', { src_ioas_id: 9 }, 'ENOENT'],
    ['no destination IOAS', { dst_ioas_id: 9 }, 'ENOENT'],
    ['no length', { length: 0n }, 'EINVAL'],
    ['a source with a hole', { length: 0x3000n }, 'ENOENT'],
    ['a destination that is mapped', { dst_iova: APERTURE }, 'EEXIST'],
    ['writing to what was mapped read-only', { src_iova: APERTURE + 0x10_0000n }, 'EPERM'],
    ['reading what was mapped read-only', { src_iova: APERTURE + 0x10_0000n, flags: 5 }, 'ok'],
    ['the second page', { src_iova: APERTURE + 0x1000n }, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    expect(copy(values)).toBe(expected);
  });

  test('copies share the pins of their source', () => {
    const { hwpt } = caller.plug(ioas);
    copy({ src_iova: APERTURE + 0x1000n });

    expect([
      caller.test(selftest.OP.MD_CHECK_REFS, 0, selftest.CHECK_REFS, {
        length: 0x1000n,
        uptr: BUFFER + 0x1000n,
        refs: 1,
      }).result,
      caller.test(selftest.OP.MD_CHECK_MAP, hwpt, selftest.CHECK_MAP, {
        iova: 0x200_0000n,
        length: 0x1000n,
        uptr: BUFFER + 0x1000n,
      }).result,
    ]).toEqual([0, 0]);
  });
});

describe('ranges', () => {
  const allow = (list: readonly (readonly [bigint, bigint])[], values: object = {}) => {
    const bytes = new Uint8Array(16 * list.length);
    list.forEach(([start, last], index) => {
      encode(abi.IOVA_RANGE, { start, last }, bytes.subarray(index * 16, index * 16 + 16));
    });
    caller.put(bytes, 0x4000n);
    return caller.refused(NR.IOAS_ALLOW_IOVAS, abi.IOMMU_IOAS_ALLOW_IOVAS, {
      ioas_id: ioas,
      num_iovas: list.length,
      allowed_iovas: 0x4000n,
      ...values,
    });
  };
  const reserve = (start: bigint, length: bigint) =>
    caller.test(selftest.OP.ADD_RESERVED, ioas, selftest.ADD_RESERVED, { start, length }).result;

  test('a fresh IOAS has every address, aligned to 1', () => {
    expect(ranges()).toEqual({ result: 'ok', count: 1, alignment: 1n, list: [[0n, U64_MAX]] });
  });

  test('a 32-bit kernel has addresses of 32 bits', () => {
    caller = new Caller({ wordBits: 32 });
    ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;

    expect(ranges().list).toEqual([[0n, 0xffff_ffffn]]);
  });

  test('a page table narrows them to its aperture and raises the alignment', () => {
    caller.plug(ioas);

    expect(ranges()).toEqual({
      result: 'ok',
      count: 1,
      alignment: 2048n,
      list: [[0x100_0000n, 0x7fff_ffffn]],
    });
  });

  test('more ranges than there is room for are counted, and EMSGSIZE', () => {
    reserve(0x1000n, 0x1000n);
    reserve(0x4000n, 0x1000n);

    expect(ranges(1)).toEqual({ result: 'EMSGSIZE', count: 3, alignment: 1n, list: [[0n, 0xfffn]] });
  });

  test.each([
    ['a reserved field', [[0n, 0xfffn]], { reserved: 1 }, 'EOPNOTSUPP'],
    ['no such IOAS', [[0n, 0xfffn]], { ioas_id: 9 }, 'ENOENT'],
    ['a bad pointer', [[0n, 0xfffn]], { allowed_iovas: 0xdead_0000n }, 'EFAULT'],
    ['one byte', [[5n, 5n]], {}, 'EINVAL'],
    ['the end before the start', [[5n, 4n]], {}, 'EINVAL'],
    [
      'two that overlap',
      [
        [0n, 0xfffn],
        [0xfffn, 0x2000n],
      ],
      {},
      'EINVAL',
    ],
    ['one that is reserved', [[0x1800n, 0x3000n]], {}, 'EADDRINUSE'],
    ['none', [], {}, 'ok'],
    [
      'two, in any order',
      [
        [0x8000n, 0x9000n],
        [0n, 0xfffn],
      ],
      {},
      'ok',
    ],
    ['a count that no memory holds', [], { num_iovas: 0xffff_ffff }, 'EFAULT'],
  ] as const)('allowing %s', (_, list, values, expected) => {
    reserve(0x1000n, 0x1000n);

    expect(allow(list, values)).toBe(expected);
  });

  test('reserving what is mapped or allowed is EADDRINUSE', () => {
    map({});
    allow([[0x1000n, 0x1fffn]]);

    expect([reserve(APERTURE, 1n), reserve(0x1fffn, 1n), reserve(0x2000n, 0x1000n)]).toEqual([
      'EADDRINUSE',
      'EADDRINUSE',
      0,
    ]);
  });
});

describe('OPTION', () => {
  const option = (values: object) => caller.refused(NR.OPTION, abi.IOMMU_OPTION, values);

  test.each([
    ['an unknown option', { option_id: 9 }, 'EOPNOTSUPP'],
    ['an unknown operation', { option_id: 1, op: 2, object_id: 1 }, 'EOPNOTSUPP'],
    ['a reserved field', { option_id: 1, op: 1, object_id: 1, reserved: 1 }, 'EOPNOTSUPP'],
    ['huge pages of no IOAS', { option_id: 1, op: 1, object_id: 9 }, 'ENOENT'],
    ['huge pages of 2', { option_id: 1, op: 0, object_id: 1, val64: 2n }, 'EINVAL'],
    ['no huge pages', { option_id: 1, op: 0, object_id: 1, val64: 0n }, 'ok'],
    ['the limit of an object', { option_id: 0, op: 1, object_id: 1 }, 'EOPNOTSUPP'],
    ['the limit without the capability', { option_id: 0, op: 0, val64: 1n }, 'EPERM'],
  ])('%s: %s', (_, values, expected) => {
    expect(option(values)).toBe(expected);
  });

  test('the accounting changes only while there are no objects', () => {
    caller = new Caller({ capabilities: ['CAP_SYS_RESOURCE'] });
    const set = () => option({ option_id: 0, op: 0, val64: 1n });
    const first = set();
    caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {});

    expect([first, set(), caller.ok(NR.OPTION, abi.IOMMU_OPTION, { option_id: 0, op: 1 }).val64]).toEqual([
      'ok',
      'EBUSY',
      1n,
    ]);
  });

  test('no huge pages with domains and mappings is EINVAL, with unaligned mappings EADDRINUSE', () => {
    const off = (object_id: number) => option({ option_id: 1, op: 0, object_id, val64: 0n });
    map({ iova: 0x801n, length: 1n });
    const unaligned = off(ioas);
    const other = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    ioas = other;
    caller.plug(other);
    map({});

    expect([unaligned, off(other)]).toEqual(['EADDRINUSE', 'EINVAL']);
  });
});
