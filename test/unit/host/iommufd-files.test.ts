import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import { HostKernel } from '../../../vmm/host/iommufd/host-kernel.ts';
import { MOCK } from '../../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { MemoryFile } from '../../../vmm/host/kernel/memory-file.ts';
import type { Capability } from '../../../vmm/host/kernel/process.ts';
import { encode } from '../../../vmm/host/kernel/struct.ts';
import { BUFFER, Caller, errno } from '../../kit/host-caller.ts';

const { NR } = abi;
const { OP } = selftest;
const IOVA = 0x100_0000n;

let caller: Caller;
let ioas: number;

function start(options: { memlock?: bigint; capabilities?: readonly Capability[] } = {}): void {
  caller = new Caller(options);
  ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
}
beforeEach(() => start());

const open = (bytes = 0x4000) => {
  const content = new ArrayBuffer(bytes);
  const file = new MemoryFile(caller.kernel.memory, 'memfd', { buffer: () => content });
  return { fd: caller.calls.process.files.install(file), content };
};
const mapFile = (fd: number, values: object = {}) =>
  caller.refused(NR.IOAS_MAP_FILE, abi.IOMMU_IOAS_MAP_FILE, {
    flags: 7,
    ioas_id: ioas,
    fd,
    start: 0n,
    length: 0x2000n,
    iova: IOVA,
    ...values,
  });
const map = (values: object = {}) =>
  caller.refused(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
    flags: 7,
    ioas_id: ioas,
    user_va: BUFFER,
    length: 0x2000n,
    iova: 0x200_0000n,
    ...values,
  });

describe('IOAS_MAP_FILE', () => {
  test.each([
    ['an unknown flag', { flags: 15 }, 'EOPNOTSUPP'],
    ['neither readable nor writable', { flags: 1 }, 'EINVAL'],
    ['no such IOAS', { ioas_id: 9 }, 'ENOENT'],
    ['no such descriptor', { fd: 99 }, 'EBADF'],
    ['the iommufd itself', { fd: 3 }, 'EINVAL'],
    ['no length', { length: 0n }, 'EINVAL'],
    ['a range that wraps', { start: (1n << 64n) - 0x1000n }, 'EOVERFLOW'],
    ['a range that ends behind the file', { start: 0x3000n }, 'EINVAL'],
    ['the end of the file', { start: 0x2000n }, 'ok'],
  ])('%s: %s', (_, values, expected) => {
    const { fd } = open();

    expect(mapFile(fd, values)).toBe(expected);
  });

  test('an access reads the bytes of the file, from the place that was mapped', () => {
    const { fd, content } = open();
    new Uint8Array(content)[0x1005] = 0x5a;
    mapFile(fd, { start: 0x1000n, length: 0x1000n });
    const access = caller.test(OP.CREATE_ACCESS, ioas, selftest.CREATE_ACCESS, { flags: 0 }).out
      .out_access_fd;
    const values = { iova: IOVA + 5n, length: 1n, uptr: 0x5000n };

    expect(caller.test(OP.ACCESS_RW, access, selftest.ACCESS_RW, values).result).toBe(0);
    expect(caller.bytes(0x5000n, 1)[0]).toBe(0x5a);
  });
});

describe('dma-bufs of the selftest', () => {
  const get = (length: number) =>
    caller.test(OP.DMABUF_GET, 0, selftest.DMABUF_GET, { length, open_flags: 0 }).result;
  const revoke = (dmabuf_fd: number, revoked: number) =>
    caller.test(OP.DMABUF_REVOKE, 0, selftest.DMABUF_REVOKE, { dmabuf_fd, revoked }).result;

  test('are mapped as files, and not while they are revoked', () => {
    const fd = get(0x4000) as number;

    expect([revoke(fd, 1), mapFile(fd), revoke(fd, 0), mapFile(fd)]).toEqual([0, 'ENODEV', 0, 'ok']);
  });

  test('have whole pages, and only they can be revoked', () => {
    expect([get(0), get(100), get(0x2000_0000), revoke(3, 1), revoke(99, 1)]).toEqual([
      'EINVAL',
      'EINVAL',
      'ENOMEM',
      'EINVAL',
      'EBADF',
    ]);
  });
});

describe('locked memory', () => {
  test('of one user counts together, whatever process has it', () => {
    start({ memlock: 0x3000n });
    caller.plug(ioas);

    expect([map(), map({ iova: 0x300_0000n, user_va: BUFFER + 0x10_0000n })]).toEqual(['ok', 'ENOMEM']);
  });

  test('is not counted for who may lock as much as he likes', () => {
    start({ memlock: 0n, capabilities: ['CAP_IPC_LOCK'] });
    caller.plug(ioas);

    expect(map()).toBe('ok');
  });
});

describe('IOAS_CHANGE_PROCESS', () => {
  const change = () => caller.refused(NR.IOAS_CHANGE_PROCESS, abi.IOMMU_IOAS_CHANGE_PROCESS, {});

  test('needs everything mapped from files', () => {
    const { fd } = open();
    mapFile(fd);
    const files = change();
    map();

    expect([files, change()]).toEqual(['ok', 'EINVAL']);
  });

  test('lets the process that has the descriptor now pay for what is pinned', () => {
    start({ capabilities: ['CAP_SYS_RESOURCE'] });
    caller.ok(NR.DESTROY, abi.IOMMU_DESTROY, { id: ioas });
    caller.ok(NR.OPTION, abi.IOMMU_OPTION, { option_id: 0, op: 0, val64: 1n });
    ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    const { fd } = open();
    mapFile(fd);
    caller.plug(ioas);
    const memory = new ArrayBuffer(0x2000);
    const heir = caller.kernel.process({
      backing: { buffer: () => memory },
      ranges: [{ start: 0x1000n, last: 0x1fffn, writable: true }],
      memlock: 0x2000n,
    });
    const inherited = caller.calls.pass(caller.fd, heir);
    new Uint8Array(memory, 0x1000, 8).set(encode(abi.IOMMU_IOAS_CHANGE_PROCESS, { size: 8 }));
    const before = caller.calls.process.locked;

    expect(errno(heir.ioctl(inherited, 0x3b00 | NR.IOAS_CHANGE_PROCESS, 0x1000n))).toBe('ok');
    expect([before, caller.calls.process.locked, heir.process.locked]).toEqual([0x2000n, 0n, 0x2000n]);
  });
});

describe('descriptors and mappings', () => {
  test('an iommufd that two processes have ends with the second', () => {
    const memory = new ArrayBuffer(0x1000);
    const other = caller.kernel.process({ backing: { buffer: () => memory }, ranges: [] });
    const fd = caller.calls.pass(caller.fd, other);
    caller.calls.close(caller.fd);
    const kept = caller.kernel.allocations.live('object');
    other.close(fd);

    expect([kept, caller.kernel.allocations.live('object'), errno(other.close(fd))]).toEqual([1, 0, 'EBADF']);
  });

  test('a page that is mapped keeps the iommufd, until it is unmapped or the process ends', () => {
    const { device } = caller.plug(ioas);
    const parent = caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas, flags: 1 });
    caller.put(new Uint8Array(24), 0x4000n);
    const data = { data_len: 24, data_uptr: 0x4000n };
    caller.ok(NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
      type: MOCK.VIOMMU_TYPE,
      dev_id: device,
      hwpt_id: parent.out_hwpt_id,
      ...data,
    });
    const offset = new DataView(caller.buffer, 0x4000).getBigUint64(8, true);
    const request = { length: 0x1000n, prot: 1, flags: 1, offset };
    const outside = errno(caller.calls.mmap(caller.fd, { ...request, address: 0x40_0000n }));
    caller.calls.mmap(caller.fd, { ...request, address: 0x30_0000n });
    caller.calls.mmap(caller.fd, { ...request, address: 0x30_0000n });
    caller.calls.close(caller.fd);
    const kept = caller.kernel.allocations.live('object') > 0;
    caller.calls.exit();

    expect([outside, kept, caller.kernel.allocations.census()]).toEqual(['EFAULT', true, {}]);
  });

  test.each([
    ['a negative count to read', () => caller.calls.read(caller.fd, 0x1000n, -8), 'EINVAL'],
    ['a negative count to write', () => caller.calls.write(caller.fd, 0x1000n, -8), 'EINVAL'],
    ['reading the iommufd', () => caller.calls.read(caller.fd, 0x1000n, 8), 'EINVAL'],
    ['unmapping nothing', () => caller.calls.munmap(0x1000n, 0n), 'EINVAL'],
    ['a path that is not there', () => caller.calls.open('/dev/vfio/vfio'), 'ENOENT'],
    ['an ioctl on a file without any', () => caller.calls.ioctl(open().fd, 0x3b81, 0), 'ENOTTY'],
    [
      'mapping a file that cannot be',
      () => caller.calls.mmap(open().fd, { address: 0n, length: 0x1000n, prot: 1, flags: 1, offset: 0n }),
      'ENODEV',
    ],
    ['polling what is not open', () => caller.calls.poll(77), 'EBADF'],
  ])('%s is %s', (_, run, expected) => {
    expect(errno(run())).toBe(expected);
  });
});

test('the example of docs/iommufd.md does what it says', () => {
  const page = readFileSync(new URL('../../../docs/iommufd.md', import.meta.url), 'utf8');
  const code = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const run = new Function(
    'HostKernel',
    `${code.replace(/^import .*$/m, '')}\nreturn { memory, last: calls.lastRefusal };`,
  );
  const { memory, last } = run(HostKernel) as { memory: ArrayBuffer; last: unknown };

  expect([last, new DataView(memory).getUint32(0x1008, true)]).toEqual([undefined, 1]);
});
