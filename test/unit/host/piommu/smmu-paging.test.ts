import { describe, expect, test } from 'vitest';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { BUFFER, smmuHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const AT = Number(BUFFER);
const CMDQ_PROD = 0x98;
const { NEST_PARENT, PASID, DIRTY_TRACKING } = abi.HWPT_FLAGS;
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
  host.trackDirty(hwpt_id, 1);

  expect(host.write(DEV, AT + 0x3000, 1)).toBe(true);
  host.read(DEV, AT + 0x5000);
  expect(host.dirtyPages(hwpt_id)).toEqual([3]);
  expect(host.dirtyPages(hwpt_id)).toEqual([]);
  host.write(DEV, AT + 0x3000, 1);
  host.write(DEV, AT + 0x8000, 1);
  expect(host.dirtyPages(hwpt_id)).toEqual([3, 8]);
});

test.each([
  [false, 2],
  [true, 3],
])(
  'erratum of double commands %j: unmapping a page puts %d commands into the queue',
  (commandsTwice, commands) => {
    const host = smmuHost({}, { commandsTwice });
    host.map(0x4000);
    host.bind(host.plug({ requester: DEV })).attach(0, host.ioas);
    const prod = () => host.unit.read(CMDQ_PROD);
    const before = prod();

    host.unmap(BUFFER, 0x4000);

    // TLBI, once or twice, and CMD_SYNC.
    expect(prod() - before).toBe(commands);
  },
);

test.each([
  [false, 0],
  [true, undefined],
])(
  'a unit with that erratum, whose driver knows it: %j: after unmapping a function reads %j',
  (commandsTwice, read) => {
    const host = smmuHost({ 'repeat-invalidations': true }, { commandsTwice });
    host.map(0x4000);
    host.bind(host.plug({ requester: DEV })).attach(0, host.ioas);
    host.read(DEV, AT);

    host.unmap(BUFFER, 0x4000);

    expect(host.read(DEV, AT)).toBe(read);
  },
);
