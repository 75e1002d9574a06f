import { beforeEach, describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import type { ResetScope, VfioDevice } from '../../../../vmm/host/vfio/vfio-device.ts';
import { errno } from '../../../kit/host-caller.ts';
import { DATA, ORDINARY, VfioRig, words } from '../../../kit/vfio-rig.ts';

const { VFIO } = abi;
let rig: VfioRig;
beforeEach(() => {
  rig = new VfioRig();
});

const groupOf = () => ({ number: 26, owner: undefined as object | undefined });
const ioctl = (fd: number, word: number, argument: bigint | number = 0n) => {
  const result = rig.calls.ioctl(fd, word, argument);
  return result < 0 ? errno(result) : result;
};
const status = (fd: number) => rig.ioctl(fd, VFIO.GROUP_GET_STATUS, abi.GROUP_STATUS, {});
const setContainer = (fd: number, container: number) => {
  rig.caller.put(words([container]), DATA);
  return ioctl(fd, VFIO.GROUP_SET_CONTAINER, DATA);
};
const deviceFd = (fd: number, name: string) => {
  rig.caller.put(new TextEncoder().encode(`${name}\0`), DATA);
  return ioctl(fd, VFIO.GROUP_GET_DEVICE_FD, DATA);
};

describe('a group', () => {
  const world = () => {
    const group = groupOf();
    const one = rig.add({ host: { group } });
    const other = rig.add({ host: { group } });
    return { group, one, other, fd: rig.calls.open('/dev/vfio/26') };
  };

  test('is viable until somebody else has it, and says that it has a container', () => {
    const { fd, group } = world();
    const before = status(fd).out.flags;
    group.owner = {};
    const taken = status(fd).out.flags;
    group.owner = undefined;
    setContainer(fd, rig.caller.fd);

    expect([before, taken, status(fd).out.flags]).toEqual([1, 0, 3]);
  });

  test('is open once', () => {
    world();

    expect(errno(rig.calls.open('/dev/vfio/26'))).toBe('EBUSY');
  });

  test('one that is not there is ENOENT', () => {
    expect(errno(rig.calls.open('/dev/vfio/27'))).toBe('ENOENT');
  });

  test('GET_STATUS: argsz below the least is EINVAL, a bad pointer EFAULT', () => {
    const { fd } = world();
    const short = rig.ioctl(fd, VFIO.GROUP_GET_STATUS, abi.GROUP_STATUS, { argsz: 7 }).result;

    expect([short, ioctl(fd, VFIO.GROUP_GET_STATUS)]).toEqual(['EINVAL', 'EFAULT']);
  });

  test('SET_CONTAINER takes an iommufd, once', () => {
    const { fd } = world();
    const results = [
      ioctl(fd, VFIO.GROUP_SET_CONTAINER),
      setContainer(fd, 99),
      setContainer(fd, rig.calls.eventfd(0)),
      ioctl(fd, VFIO.GROUP_UNSET_CONTAINER),
      setContainer(fd, rig.caller.fd),
      setContainer(fd, rig.caller.fd),
      ioctl(fd, VFIO.GROUP_UNSET_CONTAINER),
      setContainer(fd, rig.calls.open('/dev/vfio/vfio')),
    ];

    expect(results).toEqual(['EFAULT', 'EBADF', 'EBADFD', 'EINVAL', 0, 'EINVAL', 0, 0]);
  });

  test('GET_DEVICE_FD needs a container, and a device of the group by name', () => {
    const { fd, one } = world();
    const before = deviceFd(fd, one.fn.name);
    setContainer(fd, rig.caller.fd);
    const results = [
      deviceFd(fd, '0000:99:00.0'),
      deviceFd(fd, ''),
      deviceFd(fd, `${one.fn.name} nonsense`),
      deviceFd(fd, `${one.fn.name} vf_token=1`),
      deviceFd(fd, `${one.fn.name} vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3`),
      ioctl(fd, VFIO.GROUP_GET_DEVICE_FD),
      deviceFd(fd, one.fn.name),
    ];

    expect([before, results]).toEqual([
      'EINVAL',
      ['ENODEV', 'ENODEV', 'EINVAL', 'EINVAL', 'EINVAL', 'EFAULT', expect.any(Number)],
    ]);
  });

  test('a name without an end is EINVAL', () => {
    const { fd } = world();
    rig.caller.put(new Uint8Array(4096).fill(0x41), DATA);

    expect(ioctl(fd, VFIO.GROUP_GET_DEVICE_FD, DATA)).toBe('EINVAL');
  });

  test('its devices are attached to the container, and work at once', () => {
    const { fd, one } = world();
    setContainer(fd, rig.calls.open('/dev/vfio/vfio'));
    const device = deviceFd(fd, one.fn.name) as number;
    const { domains } = one.host as unknown as { readonly domains: ReadonlyMap<number, unknown> };
    const info = rig.ioctl(device, VFIO.GET_INFO, abi.DEVICE_INFO, {}).result;

    expect([info, [...domains.keys()]]).toEqual(['ok', [0]]);
  });

  test('a device of it cannot be bound or attached by itself', () => {
    const { fd, one } = world();
    setContainer(fd, rig.caller.fd);
    const device = deviceFd(fd, one.fn.name) as number;
    const own = rig.open(one.device);
    const bind = (which: number) =>
      rig.ioctl(which, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd }).result;

    expect([
      bind(device),
      bind(own),
      rig.ioctl(device, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, {}).result,
      rig.ioctl(device, VFIO.DETACH_IOMMUFD_PT, abi.DETACH, {}).result,
    ]).toEqual(['EINVAL', 'EBUSY', 'ENOTTY', 'ENOTTY']);
  });

  test('it cannot be opened while a device of it is bound by itself', () => {
    const group = groupOf();
    rig.bound({ host: { group } });

    expect(errno(rig.calls.open('/dev/vfio/26'))).toBe('EBUSY');
  });

  test('a device may be opened twice; the last file gives it back', () => {
    const { fd, one } = world();
    setContainer(fd, rig.caller.fd);
    const files = [deviceFd(fd, one.fn.name), deviceFd(fd, one.fn.name)] as number[];
    rig.calls.close(files[0]!);
    const meanwhile = one.fn.sink !== undefined;
    rig.calls.close(files[1]!);

    expect([meanwhile, one.fn.sink]).toEqual([true, undefined]);
  });

  test('its files keep it: closed first, it ends last', () => {
    const { fd, one } = world();
    setContainer(fd, rig.caller.fd);
    const device = deviceFd(fd, one.fn.name) as number;
    rig.calls.close(fd);
    const meanwhile = errno(rig.calls.open('/dev/vfio/26'));
    rig.calls.close(device);
    const after = rig.calls.open('/dev/vfio/26');
    rig.calls.exit();

    expect([meanwhile, after > 0, rig.census()]).toEqual(['EBUSY', true, {}]);
  });

  test('other ioctls are ENOTTY', () => {
    const { fd } = world();

    expect([ioctl(fd, VFIO.GET_INFO), ioctl(fd, 0x1234)]).toEqual(['ENOTTY', 'ENOTTY']);
  });

  test('a virtual function asks the token in its name', () => {
    const physical = rig.add({ fn: { ...ORDINARY, extended: [{ at: 0x100, id: 0x10 }] } });
    const group = groupOf();
    const more = { virtual: { of: physical.fn, vendor: 1, device: 2 } };
    const virtual = rig.add({ fn: { more }, host: { group } });
    physical.device.tokens?.set(Uint8Array.from({ length: 16 }, (_, i) => i));
    const fd = rig.calls.open('/dev/vfio/26');
    setContainer(fd, rig.caller.fd);
    const { name } = virtual.fn;

    expect([
      deviceFd(fd, name),
      deviceFd(fd, `${name} vf_token=00000000-0000-0000-0000-000000000000`),
      deviceFd(fd, `${name} vf_token=00010203-0405-0607-0809-0a0b0c0d0e0f`),
    ]).toEqual(['EACCES', 'EACCES', expect.any(Number)]);
  });
});

describe('hot reset', () => {
  /** Two functions that are reset together, the first of them bound. */
  const pair = (both: boolean) => {
    const log: string[] = [];
    const members = [0, 1].map((fn) => ({
      name: `0000:03:00.${fn}`,
      segment: 0,
      bus: 3,
      devfn: fn,
      group: 40 + fn,
    }));
    const scope: ResetScope = { members, reset: () => log.push('reset') };
    const host = (number: number) => ({ host: { group: { number, owner: undefined } } });
    const first = rig.bound({ scope, ...host(40) });
    const second = both ? rig.bound({ scope, ...host(41) }) : undefined;
    return { ...first, log, second, scope };
  };
  const info = (fd: number, room: number) =>
    rig.ioctl(fd, VFIO.GET_PCI_HOT_RESET_INFO, abi.HOT_RESET_INFO, {}, new Uint8Array(8 * room));
  const reset = (fd: number, values = {}, fds: readonly number[] = []) =>
    rig.ioctl(fd, VFIO.PCI_HOT_RESET, abi.HOT_RESET, { count: fds.length, ...values }, words(fds)).result;

  test('a device of a root bus has none', () => {
    const { fd } = rig.bound();

    expect([info(fd, 4).result, reset(fd)]).toEqual(['ENODEV', 'ENODEV']);
  });

  test('too little room is ENOSPC, with the count', () => {
    const { result, out } = info(pair(true).fd, 1);

    expect([result, out.count]).toEqual(['ENOSPC', 2]);
  });

  test('devices of the same iommufd are told by their ids', () => {
    const { fd, id, second } = pair(true);
    const { result, out, tail } = info(fd, 2);

    expect([result, out.flags, out.count, [...tail]]).toEqual([
      'ok',
      3,
      2,
      [id, 0, 0, 0, 0, 0, 3, 0, second!.id, 0, 0, 0, 0, 0, 3, 1],
    ]);
  });

  test('one that nobody gave to VFIO is not owned', () => {
    const { fd } = pair(false);
    const { out, tail } = info(fd, 2);

    expect([out.flags, [...tail.subarray(8, 12)]]).toEqual([1, [255, 255, 255, 255]]);
  });

  test('one that is not bound, in a group of the caller’s, is owned', () => {
    const group = { number: 40, owner: undefined };
    const members = [0, 1].map((fn) => ({
      name: `0000:03:00.${fn}`,
      segment: 0,
      bus: 3,
      devfn: fn,
      group: 40,
    }));
    const scope: ResetScope = { members, reset: () => {} };
    const { fd } = rig.bound({ scope, host: { group } });
    rig.add({ scope, host: { group } });
    const { out, tail } = info(fd, 2);

    expect([out.flags, [...tail.subarray(8, 12)], reset(fd)]).toEqual([3, [0, 0, 0, 0], 'ok']);
  });

  test('all of them are reset where they are the caller’s, and their interrupts come back', () => {
    const { fd, log, fn } = pair(true);
    rig.irqs(fd, 4 | 32, 2, 0, 1, [rig.calls.eventfd(0)]);
    fn.log.length = 0;

    expect([reset(fd), log, fn.log]).toEqual(['ok', ['reset'], ['enable msix 1']]);
  });

  test('what the host configured comes back', () => {
    const { fd, scope, second } = pair(true);
    Object.assign(scope, { reset: () => second!.fn.put(0x18, 4, 0) });
    reset(fd);

    expect(second!.fn.get(0x18, 4)).toBe(0xfe00_0000);
  });

  test('one that is somebody else’s forbids it', () => {
    const { fd, log } = pair(false);

    expect([reset(fd), log]).toEqual(['EINVAL', []]);
  });

  test.each([
    ['argsz below the least', { argsz: 11 }, 'EINVAL'],
    ['a flag', { flags: 1 }, 'EINVAL'],
    ['groups where the device was opened by itself', { count: 1 }, 'EINVAL'],
  ])('%s', (_, values, expected) => {
    expect(reset(pair(true).fd, values)).toBe(expected);
  });

  test('information with argsz below the least is EINVAL, with a bad pointer EFAULT', () => {
    const { fd } = pair(true);
    const short = rig.ioctl(fd, VFIO.GET_PCI_HOT_RESET_INFO, abi.HOT_RESET_INFO, { argsz: 11 }).result;

    expect([short, ioctl(fd, VFIO.GET_PCI_HOT_RESET_INFO)]).toEqual(['EINVAL', 'EFAULT']);
  });

  describe('by groups', () => {
    const open = () => {
      const log: string[] = [];
      const members = [0, 1].map((fn) => ({
        name: `0000:03:00.${fn}`,
        segment: 0,
        bus: 3,
        devfn: fn,
        group: 40 + fn,
      }));
      const scope: ResetScope = { members, reset: () => log.push('reset') };
      const devices: VfioDevice[] = [40, 41].map(
        (number) => rig.add({ scope, host: { group: { number, owner: undefined } } }).device,
      );
      const groups = [40, 41].map((number) => rig.calls.open(`/dev/vfio/${number}`));
      for (const group of groups) setContainer(group, rig.caller.fd);
      const fd = deviceFd(groups[0]!, devices[0]!.fn.name) as number;
      return { fd, groups, log };
    };

    test('the numbers of groups are told', () => {
      const { out, tail } = info(open().fd, 2);

      expect([out.flags, tail[0], tail[8]]).toEqual([0, 40, 41]);
    });

    test('all groups must be given', () => {
      const { fd, groups, log } = open();
      const results = [
        reset(fd),
        reset(fd, {}, [groups[0]!]),
        reset(fd, {}, [groups[0]!, 99]),
        reset(fd, {}, [groups[0]!, rig.caller.fd]),
        reset(fd, {}, [groups[0]!, groups[1]!, groups[1]!]),
        reset(fd, { count: 0xffff_ffff }, [groups[0]!]),
        reset(fd, {}, groups),
      ];

      expect([results, log]).toEqual([
        ['EINVAL', 'EINVAL', 'EBADF', 'EINVAL', 'EINVAL', 'EINVAL', 'ok'],
        ['reset'],
      ]);
    });
  });
});
