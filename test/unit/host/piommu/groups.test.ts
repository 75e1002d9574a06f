import { describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { HWPT_VTD_S1 } from '../../../../vmm/host/piommu/abi.ts';
import { PhysicalDevice, PhysicalGroup } from '../../../../vmm/host/piommu/device.ts';
import { BUFFER, type PhysicalHost, smmuHost, vtdHost } from '../../../kit/physical-host.ts';

const AT = Number(BUFFER);
const HOSTS: readonly (readonly [string, () => PhysicalHost])[] = [
  ['VT-d', vtdHost],
  ['SMMUv3', smmuHost],
];

describe.each(HOSTS)('%s', (_, make) => {
  test('what is attached to one device of a group is attached to all of it', () => {
    const host = make();
    const group = new PhysicalGroup(7);
    host.map(0x4000);
    host.store(AT, 5);
    const first = host.bind(host.plug({ requester: 0x100, group }));
    const second = host.bind(host.plug({ requester: 0x101, group }));

    first.attach(0, host.ioas);
    expect([host.read(0x100, AT), host.read(0x101, AT)]).toEqual([5, 5]);
    second.attach(0, host.ioas);
    first.detach(0);
    expect([host.read(0x100, AT), host.read(0x101, AT)]).toEqual([5, 5]);
    second.detach(0);
    expect([host.read(0x100, AT), host.read(0x101, AT)]).toEqual([undefined, undefined]);
  });

  test('a PASID concerns those of a group that have PASIDs: the tables of another have no place for it', () => {
    const host = make();
    const group = new PhysicalGroup(7);
    host.map(0x4000);
    host.store(AT, 5);
    const first = host.bind(host.plug({ requester: 0x100, group, pasidWidth: 20 }));
    const other = host.bind(host.plug({ requester: 0x101, group }));
    const hwpt = host.hwpt(first, abi.HWPT_FLAGS.PASID);
    first.attach(0, hwpt);
    other.attach(0, hwpt);
    const before = host.kernel.allocations.census();

    first.attach(0x1_2345, hwpt);
    const seen = [0x100, 0x101].map((requester) => host.read(requester, AT, 0x1_2345));
    first.detach(0x1_2345);

    expect(seen).toEqual([5, undefined]);
    expect(host.kernel.allocations.census()).toEqual(before);
    expect([host.read(0x100, AT), host.read(0x101, AT)]).toEqual([5, 5]);
  });

  test('devices with one table share what it maps; when one goes the other stays', () => {
    const host = make();
    host.map(0x4000);
    host.store(AT, 5);
    const first = host.bind(host.plug({ requester: 0x100 }));
    const second = host.bind(host.plug({ requester: 0x208 }));
    const hwpt = host.hwpt(first);
    first.attach(0, hwpt);
    second.attach(0, hwpt);

    expect([host.read(0x100, AT), host.read(0x208, AT)]).toEqual([5, 5]);
    first.detach(0);
    expect([host.read(0x100, AT), host.read(0x208, AT)]).toEqual([undefined, 5]);
    host.unmap(BUFFER, 0x4000);
    expect(host.read(0x208, AT)).toBeUndefined();
  });

  test('a device that is taken away is blocked, and those beside it are not', () => {
    const host = make();
    host.map(0x4000);
    const gone = host.plug({ requester: 0x100 });
    const device = host.bind(gone);
    const stays = host.bind(host.plug({ requester: 0x101 }));
    device.attach(0, host.ioas);
    stays.attach(0, host.ioas);
    device.unbind();

    host.driver.release(gone);

    expect(host.read(0x100, AT)).toBeUndefined();
    expect(host.read(0x101, AT)).toBe(0);
  });

  test('a device that has left its group is not attached with it', () => {
    const host = make();
    const group = new PhysicalGroup(7);
    host.map(0x4000);
    const first = host.bind(host.plug({ requester: 0x100, group }));
    const second = host.plug({ requester: 0x101, group });
    host.driver.release(second);

    first.attach(0, host.ioas);

    expect([host.read(0x100, AT), host.read(0x101, AT)]).toEqual([0, undefined]);
  });

  test('by VFIO: bound, attached, replaced and detached by system calls, and by closing the file', () => {
    const host = make();
    host.map(0x4000);
    const { fd } = host.open(host.plug({ requester: 0x100, pasidWidth: 20 }));
    const { calls } = host.caller;
    const attach = (pt_id: number) => {
      host.caller.put(new Uint8Array(Uint32Array.of(12, 0, pt_id).buffer), 0x9000n);
      return calls.ioctl(fd, 0x3b77, 0x9000n);
    };

    expect(attach(host.ioas)).toBe(0);
    expect(host.read(0x100, AT)).toBe(0);
    host.caller.put(new Uint8Array(Uint32Array.of(8, 0).buffer), 0x9000n);
    expect(calls.ioctl(fd, 0x3b78, 0x9000n)).toBe(0);
    expect(host.read(0x100, AT)).toBeUndefined();
    attach(host.ioas);
    calls.close(fd);
    expect(host.read(0x100, AT)).toBeUndefined();
  });

  test('a group of devices behind two units is a mistake of the topology', () => {
    const group = new PhysicalGroup(1);
    make().plug({ requester: 0x100, group });
    const { driver } = make();

    expect(() => new PhysicalDevice({ name: 'other', requester: 0x101, driver, group })).toThrow(/one IOMMU/);
  });

  test('memory that hardware does not reach cannot be mapped: EFAULT, and nothing stays', () => {
    const host = make();
    const other = new ArrayBuffer(0x4000);
    const stranger = host.kernel.process({
      backing: { buffer: () => other },
      ranges: [{ start: 0n, last: 0x3fffn, writable: true }],
    });
    const fd = host.caller.calls.pass(host.caller.fd, stranger);
    const device = host.bind(host.plug({ requester: 0x100 }));
    device.attach(0, host.ioas);
    const bytes = new DataView(other);
    [40, 7, host.ioas, 0, 0x1000, 0, 0x1000, 0, 0x1000, 0].forEach((word, i) => {
      bytes.setUint32(i * 4, word, true);
    });

    expect(stranger.ioctl(fd, 0x3b00 | abi.NR.IOAS_MAP, 0n)).toBe(-14);
    expect(host.kernel.memory.pinned).toBe(0);
  });
});

test('dirty pages of a parent: what a device writes by a nested table shows under guest-physical addresses', () => {
  const host = vtdHost();
  host.mapGuest();
  const device = host.bind(host.plug({ requester: 0x100 }));
  const { NEST_PARENT, DIRTY_TRACKING } = abi.HWPT_FLAGS;
  const parent = host.hwpt(device, NEST_PARENT | DIRTY_TRACKING);
  // One first-stage table for all levels: an entry of each leads back to it, the last one to the page at 5000h.
  host.store(0x20_0000, 0x20_0007);
  host.store(0x20_0008, 0x5007);
  const call = host.nestedCall(device, parent, abi.HWPT_DATA.VTD_S1, HWPT_VTD_S1, {
    pgtbl_addr: 0x20_0000n,
    addr_width: 48,
  });
  device.attach(0, host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, call).out_hwpt_id);
  host.caller.ok(abi.NR.HWPT_SET_DIRTY_TRACKING, abi.IOMMU_HWPT_SET_DIRTY_TRACKING, {
    flags: 1,
    hwpt_id: parent,
  });

  expect(host.write(0x100, 0x1000, 1)).toBe(true);

  host.caller.bytes(0x9000n, 128).fill(0);
  host.caller.ok(abi.NR.HWPT_GET_DIRTY_BITMAP, abi.IOMMU_HWPT_GET_DIRTY_BITMAP, {
    hwpt_id: parent,
    iova: 0n,
    length: 0x40_0000n,
    page_size: 0x20_0000n,
    data: 0x9000n,
  });
  // Stage 2 has pages of 2 MiB: that of the data, and that of the guest's table, whose accessed and dirty bits were set.
  expect(host.caller.bytes(0x9000n, 1)[0]).toBe(3);
});
