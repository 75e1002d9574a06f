import { describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { BUFFER, type PhysicalHost, smmuHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const AT = Number(BUFFER);
const { NEST_PARENT, PASID, DIRTY_TRACKING } = abi.HWPT_FLAGS;
const MODES = [
  { name: 'stage 1', config: {} },
  { name: 'stage 2', config: { svm: false, stage: '2', oas: 40, ats: true } },
  { name: 'stage 2 of 36 bits', config: { svm: false, stage: '2', oas: 36 } },
  {
    name: 'linear tables, no ranges',
    config: { svm: false, 'two-level-streams': false, ril: false, ats: true },
  },
  { name: 'forced stalls', config: { svm: false, stall: 'forced', oas: 48 } },
] as const;

function attached(host: PhysicalHost, options = {}) {
  const device = host.bind(host.plug({ requester: DEV, ...options }));
  device.attach(0, host.ioas);
  return device;
}

describe.each(MODES)('SMMUv3 with $name', ({ config }) => {
  test('a function is aborted until its IOAS is attached, reaches what is mapped, and is aborted again', () => {
    const host = smmuHost(config);
    host.store(AT + 8, 0xcafe);
    host.map(0x10000);
    const device = host.bind(host.plug({ requester: DEV }));

    expect(host.read(DEV, AT + 8)).toBeUndefined();
    device.attach(0, host.ioas);
    expect(host.read(DEV, AT + 8)).toBe(0xcafe);
    expect(host.write(DEV, AT + 12, 0x1234)).toBe(true);
    expect(host.load(AT + 12)).toBe(0x1234);
    device.detach(0);
    expect(host.read(DEV, AT + 8)).toBeUndefined();
    // An aborted stream says nothing.
    expect(host.faults).toEqual([]);
  });

  test('what is unmapped is refused at once, and a read-only mapping is not written to', () => {
    const host = smmuHost(config);
    host.map(0x20_0000);
    host.map(0x4000, 0x4000_0000n, false);
    attached(host);

    expect(host.read(DEV, AT)).toBe(0);
    expect(host.read(DEV, AT + 0x1f_f000)).toBe(0);
    expect(host.write(DEV, 0x4000_0000, 1)).toBe(false);
    expect(host.read(DEV, 0x4000_0000)).toBe(0);
    host.unmap(BUFFER, 0x20_0000);
    expect(host.read(DEV, AT)).toBeUndefined();
    expect(host.read(DEV, AT + 0x1f_f000)).toBeUndefined();
  });

  test('unmapping reaches the cache of a function that has one', () => {
    const host = smmuHost(config);
    host.map(0x4000);
    attached(host, { ats: true });
    host.invalidated.length = 0;

    host.unmap(BUFFER, 0x4000);

    expect(host.invalidated).toEqual(
      host.driver.features.ats ? [{ requester: DEV, pasid: -1, address: AT, order: 2 }] : [],
    );
  });

  test('after everything is gone nothing is left of the pages of the host', () => {
    const host = smmuHost(config);
    const before = host.kernel.allocations.census();
    const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true });
    const device = host.bind(dev);
    host.map(0x10_0000);
    device.attach(0, host.ioas);
    host.unmap(BUFFER, 0x10_0000);
    device.detach(0);
    device.unbind();
    host.driver.release(dev);

    expect(host.kernel.allocations.census()).toEqual(before);
  });
});

describe('PASIDs', () => {
  function world(config = {}) {
    const host = smmuHost(config);
    host.map(0x4000);
    host.store(AT, 0x77);
    const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
    return { host, device };
  }

  test.each([{}, { 'two-level-cds': false }])(
    'have context descriptors beside the requester %j',
    (config) => {
      const { host, device } = world(config);
      device.attach(0, host.hwpt(device, PASID));
      device.attach(5, host.hwpt(device, PASID));
      device.attach(900, host.hwpt(device, PASID));

      expect([-1, 5, 900, 6].map((pasid) => host.read(DEV, AT, pasid))).toEqual([
        0x77,
        0x77,
        0x77,
        undefined,
      ]);
      device.replace(5, host.hwpt(device, PASID));
      expect(host.read(DEV, AT, 5)).toBe(0x77);
      device.detach(900);
      expect(host.read(DEV, AT, 900)).toBeUndefined();
      expect(host.read(DEV, AT)).toBe(0x77);
    },
  );

  test('may be there without the requester: what it does without a PASID is refused', () => {
    const { host, device } = world();
    device.attach(5, host.hwpt(device, PASID));

    expect(host.read(DEV, AT, 5)).toBe(0x77);
    expect(host.read(DEV, AT)).toBeUndefined();
    device.attach(0, host.hwpt(device, PASID));
    expect(host.read(DEV, AT)).toBe(0x77);
    device.detach(0);
    expect(host.read(DEV, AT)).toBeUndefined();
    expect(host.read(DEV, AT, 5)).toBe(0x77);
  });

  test('need stage 1, and so does the requester beside them', () => {
    const { host, device } = world();
    const parent = host.driver.allocPaging(device.host, NEST_PARENT, undefined);
    device.attach(5, host.hwpt(device, PASID));

    for (const pasid of [0, 6])
      expect(() => host.driver.attach(device.host, pasid, parent)).toThrow(
        expect.objectContaining({ errno: 'EINVAL' }),
      );
  });
});

describe('flags of page tables', () => {
  test.each([
    [{}, NEST_PARENT | PASID, 'EOPNOTSUPP'],
    [{}, NEST_PARENT | DIRTY_TRACKING, 'EOPNOTSUPP'],
    [{}, DIRTY_TRACKING | PASID, 'ok'],
    [{ svm: false, stage: '1' }, NEST_PARENT, 'EOPNOTSUPP'],
    [{ svm: false, stage: '2' }, NEST_PARENT, 'EOPNOTSUPP'],
    [{ svm: false, stage: '2' }, PASID, 'EOPNOTSUPP'],
    [{ httu: 'none' }, DIRTY_TRACKING, 'EOPNOTSUPP'],
  ] as const)('%j: flags %d: %s', (config, flags, error) => {
    const host = smmuHost(config);
    const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
    const call = { flags, dev_id: device.id, pt_id: host.ioas };

    expect(host.caller.refused(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, call)).toBe(error);
  });
});

test('dirty state of stage 1: pages that a function writes to are found, and again after they are written again', () => {
  const host = smmuHost();
  host.map(0x10_0000);
  const device = host.bind(host.plug({ requester: DEV }));
  const hwpt_id = host.hwpt(device, DIRTY_TRACKING);
  device.attach(0, hwpt_id);
  host.caller.ok(abi.NR.HWPT_SET_DIRTY_TRACKING, abi.IOMMU_HWPT_SET_DIRTY_TRACKING, { flags: 1, hwpt_id });
  const dirty = () => {
    host.caller.bytes(0x8000n, 32).fill(0);
    host.caller.ok(abi.NR.HWPT_GET_DIRTY_BITMAP, abi.IOMMU_HWPT_GET_DIRTY_BITMAP, {
      hwpt_id,
      iova: BUFFER,
      length: 0x10_0000n,
      page_size: 4096n,
      data: 0x8000n,
    });
    return [...host.caller.bytes(0x8000n, 2)];
  };

  expect(host.write(DEV, AT + 0x3000, 1)).toBe(true);
  host.read(DEV, AT + 0x5000);
  expect(dirty()).toEqual([8, 0]);
  expect(dirty()).toEqual([0, 0]);
  host.write(DEV, AT + 0x3000, 1);
  host.write(DEV, AT + 0x8000, 1);
  expect(dirty()).toEqual([8, 1]);
});
