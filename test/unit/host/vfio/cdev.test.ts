import { beforeEach, describe, expect, test } from 'vitest';
import * as iommufd from '../../../../vmm/host/iommufd/abi.ts';
import type { HostDevice } from '../../../../vmm/host/iommufd/driver.ts';
import { MOCK } from '../../../../vmm/host/iommufd/mock-driver.ts';
import { faultsOf } from '../../../../vmm/host/kernel/struct.ts';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import { BUFFER, errno } from '../../../kit/host-caller.ts';
import { DATA, VfioRig } from '../../../kit/vfio-rig.ts';

const { VFIO } = abi;
let rig: VfioRig;
beforeEach(() => {
  rig = new VfioRig();
});

const structs = Object.values(abi).filter((one) => typeof one === 'object' && 'least' in one);

test('structures do not overlap, and have the lengths of the kernel', () => {
  const lengths = structs.map(({ name, bytes, least }) => `${name.slice(7)} ${bytes}/${least}`);

  expect(structs.flatMap(faultsOf)).toEqual([]);
  expect(lengths).toEqual([
    'vfio_device_info 24/16',
    'vfio_region_info 32/32',
    'vfio_irq_info 16/16',
    'vfio_irq_set 20/20',
    'vfio_pci_hot_reset_info 12/12',
    'vfio_pci_dependent_device 8/8',
    'vfio_pci_hot_reset 12/12',
    'vfio_device_feature 8/8',
    'vfio_device_bind_iommufd 24/16',
    'vfio_device_attach_iommufd_pt 16/12',
    'vfio_device_detach_iommufd_pt 12/8',
    'vfio_group_status 8/8',
    'vfio_device_feature_migration 8/8',
    'vfio_device_feature_mig_state 8/8',
    'vfio_device_feature_mig_data_size 8/8',
    'vfio_precopy_info 24/24',
    'vfio_device_low_power_entry_with_wakeup 8/8',
    'vfio_device_feature_dma_logging_control 24/24',
    'vfio_device_feature_dma_logging_range 16/16',
    'vfio_device_feature_dma_logging_report 32/32',
  ]);
});

describe('BIND_IOMMUFD', () => {
  const CASES: readonly (readonly [string, Partial<HostDevice>, Record<string, number>, string])[] = [
    ['a device', {}, {}, 'ok'],
    ['argsz below the least', {}, { argsz: 15 }, 'EINVAL'],
    ['an unknown flag', {}, { flags: 2 }, 'EINVAL'],
    ['a negative descriptor', {}, { iommufd: -1 }, 'EINVAL'],
    ['a descriptor that is not open', {}, { iommufd: 99 }, 'EBADF'],
    ['a device that is not coherent', { coherent: false }, {}, 'EINVAL'],
    ['a device whose interrupts are not isolated', { isolatedMsi: false }, {}, 'EPERM'],
    ['a device of a group that the kernel has', { group: { number: 9, owner: {} } }, {}, 'EBUSY'],
    ['a token where there are no virtual functions', {}, { flags: 1 }, 'EINVAL'],
  ];
  test.each(CASES)('%s: %#', (_, host, values, expected) => {
    const { device } = rig.add({ host });
    const fd = rig.open(device);
    const given = { argsz: 24, iommufd: rig.caller.fd, token_uuid_ptr: DATA, ...values };
    const { result } = rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, given);

    expect(result).toBe(expected);
  });

  test('another file than an iommufd is EBADFD', () => {
    const { device } = rig.add();
    const fd = rig.open(device);

    expect(rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.calls.eventfd(0) }).result).toBe(
      'EBADFD',
    );
  });

  test('a second time is EINVAL, by this file and by another', () => {
    const { fd, device } = rig.bound();
    const other = rig.open(device);
    const bind = (one: number) =>
      rig.ioctl(one, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd }).result;

    expect([bind(fd), bind(other)]).toEqual(['EINVAL', 'EINVAL']);
  });

  test('the second device of a group goes to the same iommufd only', () => {
    const group = { number: 5, owner: undefined };
    rig.bound({ host: { group } });
    const { device } = rig.add({ host: { group } });
    const fd = rig.open(device);
    const another = rig.calls.open('/dev/iommu');
    const bind = (iommufd: number) => rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd }).result;

    expect([bind(another), bind(rig.caller.fd)]).toEqual(['EPERM', 'ok']);
  });

  test('a structure that is longer must be zero behind its end', () => {
    const { device } = rig.add();
    const fd = rig.open(device);
    const given = { iommufd: rig.caller.fd };

    expect(rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, given, Uint8Array.of(0, 1)).result).toBe('E2BIG');
    expect(rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, given, Uint8Array.of(0, 0)).result).toBe('ok');
  });

  test('bad pointers are EFAULT', () => {
    const { device } = rig.add();
    const fd = rig.open(device);

    expect([0n, 0xfff0n, 1n << 63n].map((at) => errno(rig.calls.ioctl(fd, VFIO.BIND_IOMMUFD, at)))).toEqual([
      'EFAULT',
      'EINVAL',
      'EFAULT',
    ]);
  });

  test('before it everything is EINVAL', () => {
    const { device } = rig.add();
    const fd = rig.open(device);
    const words = Object.values(VFIO).filter((word) => word !== VFIO.BIND_IOMMUFD);
    const request = { address: BUFFER, length: 0x1000n, prot: 3, flags: 1, offset: 0n };
    const results = [
      ...words.map((word) => rig.calls.ioctl(fd, word, 0n)),
      rig.calls.read(fd, DATA, 4),
      rig.calls.write(fd, DATA, 4),
      rig.calls.pread(fd, DATA, 4, 7n << 40n),
      rig.calls.pwrite(fd, DATA, 4, 7n << 40n),
      rig.calls.mmap(fd, request),
    ];

    expect(new Set(results.map(errno))).toEqual(new Set(['EINVAL']));
  });

  test('binding resets the device, ends bus mastering, and takes its interrupts', () => {
    const { device, fn } = rig.add();
    fn.put(4, 2, 7);
    const fd = rig.open(device);
    rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd });

    expect([fn.log.includes('reset flr'), fn.get(4, 2), fn.sink !== undefined]).toEqual([true, 3, true]);
  });
});

describe('virtual functions', () => {
  const TOKEN = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
  const SRIOV = { extended: [{ at: 0x100, id: 0x10, words: [0] }] };
  const pair = () => {
    const physical = rig.add({ fn: SRIOV });
    const more = { virtual: { of: physical.fn, vendor: 0x8086, device: 0x10ca } };
    return { physical, virtual: rig.add({ fn: { more } }) };
  };
  const bind = (fd: number, flags: number) =>
    rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd, flags, token_uuid_ptr: DATA })
      .result;

  test('need the token that the user of the physical function set', () => {
    const { physical, virtual } = pair();
    const pf = rig.open(physical.device);
    const vf = rig.open(virtual.device);
    const before = bind(vf, 0);
    rig.caller.put(TOKEN, DATA);
    bind(pf, 1);
    rig.caller.put(Uint8Array.of(9), DATA);
    const wrong = bind(vf, 1);
    rig.caller.put(TOKEN, DATA);

    expect([before, wrong, bind(vf, 1)]).toEqual(['EACCES', 'EACCES', 'ok']);
  });

  test('in use, they ask the token of whoever opens the physical function', () => {
    const { physical, virtual } = pair();
    const pf = rig.open(physical.device);
    rig.caller.put(TOKEN, DATA);
    bind(pf, 1);
    bind(rig.open(virtual.device), 1);
    rig.calls.close(pf);
    const again = rig.open(physical.device);

    expect([bind(again, 0), bind(again, 1)]).toEqual(['EACCES', 'ok']);
  });

  test('that the host enabled need no token, and its driver keeps the physical function', () => {
    const physical = rig.add({ fn: { ...SRIOV, more: { enabledVirtual: 2 } } });
    const more = { virtual: { of: physical.fn, vendor: 0x8086, device: 0x10ca } };
    const virtual = rig.add({ fn: { more } });

    expect([bind(rig.open(physical.device), 0), bind(rig.open(virtual.device), 0)]).toEqual(['EBUSY', 'ok']);
  });

  test('a bad pointer to a token is EFAULT', () => {
    const { physical } = pair();
    const fd = rig.open(physical.device);
    const given = { iommufd: rig.caller.fd, flags: 1, token_uuid_ptr: 0n };

    expect(rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, given).result).toBe('EFAULT');
  });
});

describe('ATTACH_IOMMUFD_PT and DETACH_IOMMUFD_PT', () => {
  const ioas = () => rig.caller.ok(iommufd.NR.IOAS_ALLOC, iommufd.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  const hwpt = (dev_id: number, pt_id: number, flags: number, more: object = {}) =>
    rig.caller.ok(iommufd.NR.HWPT_ALLOC, iommufd.IOMMU_HWPT_ALLOC, { dev_id, pt_id, flags, ...more })
      .out_hwpt_id;
  const attach = (fd: number, values: Partial<Record<'argsz' | 'flags' | 'pt_id' | 'pasid', number>>) =>
    rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, values);
  const detach = (fd: number, values: Partial<Record<'argsz' | 'flags' | 'pasid', number>>) =>
    rig.ioctl(fd, VFIO.DETACH_IOMMUFD_PT, abi.DETACH, values).result;

  test('an IOAS gets a page table, whose id comes back; another one replaces it', () => {
    const { fd } = rig.bound();
    const [first, second] = [ioas(), ioas()];
    const one = attach(fd, { pt_id: first });
    const other = attach(fd, { pt_id: second });

    expect([one.result, other.result]).toEqual(['ok', 'ok']);
    expect(other.out.pt_id).not.toBe(one.out.pt_id);
  });

  const CASES: readonly (readonly [
    string,
    Partial<Record<'argsz' | 'flags' | 'pt_id' | 'pasid', number>>,
    string,
  ])[] = [
    ['argsz below the least', { argsz: 11 }, 'EINVAL'],
    ['an unknown flag', { flags: 2 }, 'EINVAL'],
    ['a PASID behind argsz', { argsz: 12, flags: 1 }, 'EINVAL'],
    ['an id that is not there', { pt_id: 77 }, 'ENOENT'],
    ['a PASID to an IOAS, whose page table was not made for PASIDs', { flags: 1, pasid: 5 }, 'EINVAL'],
  ];
  test.each(CASES)('%s', (_, values, expected) => {
    const { fd } = rig.bound();

    expect(attach(fd, { pt_id: ioas(), ...values }).result).toBe(expected);
  });

  test('the id of a device is no page table', () => {
    const { fd, id } = rig.bound();

    expect(attach(fd, { pt_id: id }).result).toBe('EINVAL');
  });

  test('a PASID is attached, replaced and detached', () => {
    const { fd, id, host } = rig.bound();
    const space = ioas();
    const [first, second] = [hwpt(id, space, 8), hwpt(id, space, 8)];
    const results = [
      attach(fd, { pt_id: first }).result,
      attach(fd, { flags: 1, pasid: 5, pt_id: first }).result,
      attach(fd, { flags: 1, pasid: 5, pt_id: second }).result,
      detach(fd, { flags: 1, pasid: 5 }),
      detach(fd, { flags: 1, pasid: 5 }),
      detach(fd, {}),
    ];
    const { domains } = host as unknown as { readonly domains: ReadonlyMap<number, unknown> };

    expect([results, domains.size]).toEqual([['ok', 'ok', 'ok', 'ok', 'ok', 'ok'], 0]);
  });

  test('PASID 0 is the device itself, whoever attaches it first', () => {
    const { fd, id } = rig.bound();
    const table = hwpt(id, ioas(), 8);
    const results = [
      attach(fd, { flags: 1, pasid: 0, pt_id: table }).result,
      attach(fd, { pt_id: table }).result,
      detach(fd, {}),
      detach(fd, { flags: 1, pasid: 0 }),
      attach(fd, { pt_id: table }).result,
    ];

    expect(results).toEqual(['ok', 'EBUSY', 'ok', 'ok', 'ok']);
  });

  test.each([
    ['wider than the device has', 1 << 20, 'EINVAL'],
    ['no number that the host can note', 0x8000_0000, 'ENOSPC'],
  ])('a PASID that is %s', (_, pasid, expected) => {
    const { fd, id } = rig.bound();

    expect(attach(fd, { flags: 1, pasid, pt_id: hwpt(id, ioas(), 8) }).result).toBe(expected);
  });

  test.each([
    ['argsz below the least', { argsz: 7 }, 'EINVAL'],
    ['an unknown flag', { flags: 4 }, 'EINVAL'],
    ['a PASID behind argsz', { argsz: 8, flags: 1 }, 'EINVAL'],
  ])('detach: %s', (_, values, expected) => {
    expect(detach(rig.bound().fd, values)).toBe(expected);
  });

  test('a device whose driver declared no PASIDs refuses them', () => {
    const { fd, id } = rig.bound({ intents: { intents: ['requester'] } });
    const table = hwpt(id, ioas(), 8);

    expect([
      attach(fd, { flags: 1, pasid: 5, pt_id: table }).result,
      detach(fd, { flags: 1, pasid: 5 }),
      attach(fd, { pt_id: table }).result,
    ]).toEqual(['EOPNOTSUPP', 'EOPNOTSUPP', 'ok']);
  });

  test('a device with a PASID of its own is attached by that', () => {
    const { fd, id, host } = rig.bound({ intents: { intents: ['pasid-address-space'], linkedPasid: 9 } });
    const result = attach(fd, { pt_id: hwpt(id, ioas(), 8) }).result;
    const { domains } = host as unknown as { readonly domains: ReadonlyMap<number, unknown> };

    expect([result, [...domains.keys()]]).toEqual(['ok', [9]]);
  });

  test('a device in software has an IOAS, through which its driver moves data', () => {
    const seen: (object | undefined)[] = [];
    const software = { bound: (access: object | undefined) => seen.push(access), unmap: () => {} };
    const { fd } = rig.bound({ intents: { intents: ['software-table'], software } });
    const space = ioas();
    const table = attach(fd, { pt_id: 77 }).result;
    const results = [
      attach(fd, { pt_id: space }).result,
      attach(fd, { pt_id: ioas() }).result,
      attach(fd, { flags: 1, pasid: 1, pt_id: space }).result,
      detach(fd, {}),
    ];
    rig.calls.close(fd);

    expect([table, results, seen.length, seen[1]]).toEqual([
      'ENOENT',
      ['ok', 'ok', 'EOPNOTSUPP', 'ok'],
      2,
      undefined,
    ]);
  });

  describe('behind a switch without ACS', () => {
    const path = {
      verdict: 'reserve' as const,
      windows: [{ start: 0x200_0000n, last: 0x2ff_ffffn }],
      why: 'd0 has no ACS capability',
    };
    const map = (ioas_id: number, iova: bigint) =>
      rig.caller.refused(iommufd.NR.IOAS_MAP, iommufd.IOMMU_IOAS_MAP, {
        flags: 7,
        ioas_id,
        user_va: BUFFER,
        length: 0x1000n,
        iova,
      });

    test('addresses of peers are kept out of a PASID’s address space while it is attached', () => {
      const { fd, id } = rig.bound({ path });
      const space = ioas();
      const attached = attach(fd, { flags: 1, pasid: 5, pt_id: hwpt(id, space, 8) }).result;
      const [inside, outside] = [map(space, 0x200_0000n), map(space, 0x300_0000n)];
      detach(fd, { flags: 1, pasid: 5 });

      expect([attached, inside, outside, map(space, 0x200_0000n)]).toEqual(['ok', 'EINVAL', 'ok', 'ok']);
    });

    test('a space that uses them already is refused', () => {
      const { fd, id } = rig.bound({ path });
      const space = ioas();
      const table = hwpt(id, space, 8);
      map(space, 0x200_0000n);

      expect(attach(fd, { flags: 1, pasid: 5, pt_id: table }).result).toBe('EADDRINUSE');
    });

    test('a table that the user fills is refused, with the reason', () => {
      const { fd, id } = rig.bound({ path });
      const parent = hwpt(id, ioas(), 9);
      rig.caller.put(new Uint8Array(16), DATA);
      const nested = hwpt(id, parent, 8, { data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: DATA });

      expect([attach(fd, { flags: 1, pasid: 5, pt_id: nested }).result, rig.why]).toEqual([
        'EOPNOTSUPP',
        'a table that the user fills may name addresses of peers: d0 has no ACS capability',
      ]);
    });

    test('the device itself is not concerned', () => {
      const { fd } = rig.bound({ path });
      const space = ioas();
      attach(fd, { pt_id: space });

      expect(map(space, 0x200_0000n)).toBe('ok');
    });
  });
});

describe('closing', () => {
  test('PASIDs, the device and the iommufd go in any order, and nothing stays', () => {
    const { fd, id, host, fn } = rig.bound();
    const space = rig.caller.ok(iommufd.NR.IOAS_ALLOC, iommufd.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    const made = rig.caller.ok(iommufd.NR.HWPT_ALLOC, iommufd.IOMMU_HWPT_ALLOC, {
      dev_id: id,
      pt_id: space,
      flags: 8,
    }).out_hwpt_id;
    rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, { pt_id: made });
    rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, { pt_id: made, flags: 1, pasid: 7 });
    rig.calls.close(rig.caller.fd);
    rig.calls.close(fd);

    expect([rig.census(), host.group.owner, fn.sink]).toEqual([{}, undefined, undefined]);
  });

  test('the device in the iommufd cannot be destroyed while it is bound', () => {
    const { id } = rig.bound();

    expect(rig.caller.refused(iommufd.NR.DESTROY, iommufd.IOMMU_DESTROY, { id })).toBe('EBUSY');
  });

  test('a closed file is EBADF', () => {
    const { fd } = rig.bound();
    rig.calls.close(fd);

    expect(errno(rig.calls.ioctl(fd, VFIO.GET_INFO, 0x1000n))).toBe('EBADF');
  });

  test('after it the device can be bound again', () => {
    const { fd, device } = rig.bound();
    rig.calls.close(fd);
    const again = rig.open(device);

    expect(rig.ioctl(again, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd }).result).toBe('ok');
  });
});
