import { describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { decode, encode, type UapiValues } from '../../../../vmm/host/kernel/struct.ts';
import { HW_INFO_VTD, HWPT_VTD_S1, VTD_S1_INVALIDATE } from '../../../../vmm/host/piommu/abi.ts';
import { errno } from '../../../kit/host-caller.ts';
import { DATA, type PhysicalHost, vtdHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const { NEST_PARENT, PASID } = abi.HWPT_FLAGS;
/** Guest-physical addresses of a first-stage table of the guest. */
const TOP = 0x20_0000;
const ADDRESS = 0x7000_1000;
const LAST = TOP + 0x3000;

/** The guest maps one page of its first stage. */
function guestMaps(host: PhysicalHost, to: number, bits = 7): void {
  host.store(TOP + Math.floor(ADDRESS / 2 ** 39) * 8, (TOP + 0x1000) | 7);
  host.store(TOP + 0x1000 + (Math.floor(ADDRESS / 2 ** 30) & 511) * 8, (TOP + 0x2000) | 7);
  host.store(TOP + 0x2000 + ((ADDRESS >>> 21) & 511) * 8, LAST | 7);
  host.store(LAST + ((ADDRESS >>> 12) & 511) * 8, to === 0 ? 0 : to | bits);
}

function world(config = {}, options = {}) {
  const host = vtdHost(config, options);
  host.mapGuest();
  const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true, pri: true });
  const device = host.bind(dev);
  const parent = host.hwpt(device, NEST_PARENT);
  const nest = (values: Partial<UapiValues<(typeof HWPT_VTD_S1)['fields']>> = {}, flags = 0, fault_id = 0) =>
    host.caller.ioctl(
      abi.NR.HWPT_ALLOC,
      abi.IOMMU_HWPT_ALLOC,
      host.nestedCall(
        device,
        parent,
        abi.HWPT_DATA.VTD_S1,
        HWPT_VTD_S1,
        { pgtbl_addr: BigInt(TOP), addr_width: 48, ...values },
        { flags, fault_id },
      ),
    );
  return { host, dev, device, parent, nest };
}

function invalidate(
  host: PhysicalHost,
  hwpt: number,
  ...entries: Partial<UapiValues<(typeof VTD_S1_INVALIDATE)['fields']>>[]
) {
  for (const [i, entry] of entries.entries())
    host.caller.put(encode(VTD_S1_INVALIDATE, entry), DATA + BigInt(i * VTD_S1_INVALIDATE.bytes));
  const { result, out } = host.caller.ioctl(abi.NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, {
    hwpt_id: hwpt,
    data_uptr: DATA,
    data_type: abi.INVALIDATE_DATA.VTD_S1,
    entry_len: VTD_S1_INVALIDATE.bytes,
    entry_num: entries.length,
  });
  return { error: errno(result), done: out.entry_num };
}

describe('nested translation', () => {
  test("the guest's table and the host's table are walked together: memory is found 2 GiB above guest addresses", () => {
    const { host, device, nest } = world();
    guestMaps(host, 0x5000);
    host.store(0x5010, 0xfeed);

    device.attach(0, nest().out.out_hwpt_id);

    expect(host.read(DEV, ADDRESS + 0x10)).toBe(0xfeed);
    expect(host.write(DEV, ADDRESS + 0x14, 7)).toBe(true);
    expect(host.load(0x5014)).toBe(7);
  });

  test('a change without HWPT_INVALIDATE is not seen; after it the new page is used, and the function is told', () => {
    const { host, device, nest } = world();
    guestMaps(host, 0x5000);
    host.store(0x5000, 1);
    host.store(0x6000, 2);
    const { out_hwpt_id } = nest().out;
    device.attach(0, out_hwpt_id);
    expect(host.read(DEV, ADDRESS)).toBe(1);

    guestMaps(host, 0x6000);
    expect(host.read(DEV, ADDRESS)).toBe(1);
    host.invalidated.length = 0;
    const other = invalidate(host, out_hwpt_id, { addr: BigInt(ADDRESS + 0x1000), npages: 1n, flags: 1 });
    expect(host.read(DEV, ADDRESS)).toBe(1);
    const own = invalidate(host, out_hwpt_id, { addr: BigInt(ADDRESS), npages: 1n, flags: 1 });

    expect([other, own]).toEqual([
      { error: 'ok', done: 1 },
      { error: 'ok', done: 1 },
    ]);
    expect(host.read(DEV, ADDRESS)).toBe(2);
    expect(host.invalidated.map(({ address }) => address)).toEqual([ADDRESS + 0x1000, ADDRESS]);
  });

  test('unmapping guest memory from the IOAS takes nested translations along', () => {
    const { host, device, nest } = world();
    guestMaps(host, 0x5000);
    device.attach(0, nest().out.out_hwpt_id);
    expect(host.read(DEV, ADDRESS)).toBe(0);
    host.invalidated.length = 0;

    host.unmap(0n, host.guest.size);

    expect(host.read(DEV, ADDRESS)).toBeUndefined();
    expect(host.invalidated.map(({ order }) => order)).toContain(52);
  });

  test('PASIDs have tables of their own beside that of the requester', () => {
    const { host, device, nest } = world();
    guestMaps(host, 0x5000);
    host.store(0x5000, 0x55);
    device.attach(0, nest({}, PASID).out.out_hwpt_id);
    const second = nest({}, PASID).out.out_hwpt_id;
    device.attach(7, second);

    expect(host.read(DEV, ADDRESS, 7)).toBe(0x55);
    expect(host.read(DEV, ADDRESS, 8)).toBeUndefined();
    device.detach(7);
    expect(host.read(DEV, ADDRESS, 7)).toBeUndefined();
    expect(host.read(DEV, ADDRESS)).toBe(0x55);
  });

  test('replacing a table uses the new one from the next access on', () => {
    const { host, device, nest } = world();
    guestMaps(host, 0x5000);
    host.store(0x5000, 1);
    host.store(0x9000, 2);
    device.attach(0, nest().out.out_hwpt_id);
    expect(host.read(DEV, ADDRESS)).toBe(1);
    // Another top table, whose entries lead to the page at 9000h.
    host.store(0x30_0000, (TOP + 0x1000) | 7);
    const other = nest({ pgtbl_addr: 0x30_0000n }).out.out_hwpt_id;
    host.store(LAST + ((ADDRESS >>> 12) & 511) * 8, 0x9007);

    device.replace(0, other);

    expect(host.read(DEV, ADDRESS)).toBe(2);
  });

  test('the parent can be attached instead: guest addresses as they are', () => {
    const { host, device, parent } = world();
    host.store(0x4000, 0x44);
    device.attach(0, parent);

    expect(host.read(DEV, 0x4000)).toBe(0x44);
  });

  test.each([
    ['the widths are 48 and 57', { addr_width: 39 }],
    ['57 bits need CAP.FS5LP', { addr_width: 57 }],
    ['supervisor requests need ECAP.SRS', { flags: 1n }],
    ['the extended accessed flag needs ECAP.EAFS', { flags: 2n }],
    ['write protection of supervisors needs ECAP.SRS', { flags: 4n }],
  ])('attaching: %s: EINVAL', (_, values) => {
    const { host, device, nest } = world({
      svm: false,
      'scalable-mode': true,
      nested: true,
      'device-iotlb': true,
    });

    const { result, out } = nest(values);

    expect(errno(result)).toBe('ok');
    expect(() => device.attach(0, out.out_hwpt_id)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
    expect(host.read(DEV, ADDRESS)).toBeUndefined();
  });

  test.each([
    ['flags that nobody knows', { flags: 8n }, 0, 'EOPNOTSUPP'],
    ['a reserved field', { reserved: 1 }, 0, 'EOPNOTSUPP'],
    ['a parent of a nested table', {}, NEST_PARENT, 'EOPNOTSUPP'],
    ['dirty tracking', {}, abi.HWPT_FLAGS.DIRTY_TRACKING, 'EOPNOTSUPP'],
  ] as const)('allocating with %s', (_, values, flags, error) => {
    expect(errno(world().nest(values, flags).result)).toBe(error);
  });

  test('data of another type, too short, too long, at a bad address', () => {
    const { host, device, parent } = world();
    const call = host.nestedCall(device, parent, abi.HWPT_DATA.VTD_S1, HWPT_VTD_S1, { addr_width: 48 });
    const refused = (change: object) =>
      host.caller.refused(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { ...call, ...change });

    expect(refused({ data_type: 2 })).toBe('EOPNOTSUPP');
    expect(refused({ data_len: 16 })).toBe('EINVAL');
    expect(refused({ data_len: 32 })).toBe('EINVAL');
    expect(refused({ data_uptr: 0x7000_0000n })).toBe('EFAULT');
    expect(refused({ pt_id: host.hwpt(device) })).toBe('EINVAL');
  });

  test.each([
    ['an address inside of a page', { addr: 0x10n, npages: 1n }, 'EINVAL'],
    ['everything, from an address on', { addr: 0x1000n, npages: 0xffff_ffff_ffff_ffffn }, 'EINVAL'],
    ['an unknown flag', { npages: 1n, flags: 2 }, 'EOPNOTSUPP'],
    ['the reserved field', { npages: 1n, reserved: 1 }, 'EOPNOTSUPP'],
    ['everything', { npages: 0xffff_ffff_ffff_ffffn }, 'ok'],
    ['more than there is', { addr: 0xffff_ffff_ffff_f000n, npages: 9n }, 'ok'],
    ['nothing', { npages: 0n }, 'ok'],
  ])('invalidating %s', (_, entry, error) => {
    const { host, device, nest } = world();
    const { out_hwpt_id } = nest().out;
    device.attach(0, out_hwpt_id);

    expect(invalidate(host, out_hwpt_id, { npages: 1n }, entry, { npages: 1n })).toEqual({
      error,
      done: error === 'ok' ? 3 : 1,
    });
  });
});

test('hardware information: the registers of the unit, and whether it has the erratum', () => {
  for (const [options, flags] of [
    [{}, 0],
    [{ readOnlyErratum: true }, 1],
  ] as const) {
    const { host, device } = world({}, options);
    const { out_capabilities, data_type, data_len, out_max_pasid_log2 } = host.caller.ok(
      abi.NR.GET_HW_INFO,
      abi.IOMMU_GET_HW_INFO,
      { dev_id: device.id, data_len: 24, data_uptr: DATA },
    );

    expect({ data_type, data_len, out_max_pasid_log2 }).toEqual({
      data_type: 1,
      data_len: 24,
      out_max_pasid_log2: 20,
    });
    expect(out_capabilities).toBe(1n);
    const info = decode(HW_INFO_VTD, host.caller.bytes(DATA, 24));
    expect(info.flags).toBe(flags);
    expect(info.cap_reg).toBe(host.unit.readWide(8));
    expect(info.ecap_reg).toBe(host.unit.readWide(16));
    // ECAP.NEST and SMTS.
    expect((info.ecap_reg >> 26n) & 1n).toBe(1n);
    expect((info.ecap_reg >> 43n) & 1n).toBe(1n);
  }
});

test('SPR17: a parent of nesting takes no read-only mappings, other tables do', () => {
  const { host, device } = world({}, { readOnlyErratum: true });
  const map = (iova: bigint) =>
    host.caller.refused(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: 5,
      ioas_id: host.ioas,
      user_va: 0n,
      length: 4096n,
      iova,
    });
  host.unmap(0n, host.guest.size);

  expect(map(0n)).toBe('EINVAL');
  expect(device.host.name).toBe('dev256');
  const plain = vtdHost({}, { readOnlyErratum: true });
  plain.bind(plain.plug({ requester: DEV })).attach(0, plain.ioas);
  plain.map(4096, 0n, false);
  expect(plain.read(DEV, 0)).toBe(0);
});

describe('what the unit cannot do is refused', () => {
  const units = {
    legacy: { svm: false },
    'first stage only': { svm: false, 'scalable-mode': true, fsts: true },
    'second stage only': { svm: false, 'scalable-mode': true },
  } as const;
  test.each([
    ['legacy', NEST_PARENT],
    ['legacy', abi.HWPT_FLAGS.DIRTY_TRACKING],
    ['legacy', PASID],
    ['first stage only', NEST_PARENT],
    ['first stage only', abi.HWPT_FLAGS.DIRTY_TRACKING],
    ['second stage only', NEST_PARENT],
  ] as const)('%s: flags %d', (unit, flags) => {
    const host = vtdHost(units[unit]);
    const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));

    expect(
      host.caller.refused(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
        flags,
        dev_id: device.id,
        pt_id: host.ioas,
      }),
    ).toBe('EOPNOTSUPP');
  });
});

test('a table that was made for another unit does not fit: EINVAL, and an IOAS gets a second table', () => {
  const { host, device } = world();
  const other = vtdHost();
  const foreign = other.driver.allocPaging(other.plug(), 0, undefined);

  expect(() => host.driver.attach(device.host, 0, foreign)).toThrow(
    expect.objectContaining({ errno: 'EINVAL' }),
  );
});
