import { describe, expect, test } from 'vitest';
import { BUFFER, type PhysicalHost, smmuHost, vtdHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const AT = Number(BUFFER);
const VTD_MODES = [
  { name: 'first stage', config: {} },
  { name: 'second stage', config: { svm: false, 'scalable-mode': true, 'device-iotlb': true } },
  { name: 'legacy mode', config: { svm: false, 'device-iotlb': true } },
  { name: '3 levels, no large pages', config: { svm: false, 'aw-bits': 39, 'large-pages': 'none' } },
] as const;

const SMMU_MODES = [
  { name: 'stage 1', config: {} },
  { name: 'stage 2', config: { svm: false, stage: '2', oas: 40, ats: true } },
  { name: 'stage 2 of 36 bits', config: { svm: false, stage: '2', oas: 36 } },
  {
    name: 'linear tables, no ranges',
    config: { svm: false, 'two-level-streams': false, ril: false, ats: true },
  },
  { name: 'forced stalls', config: { svm: false, stall: 'forced', oas: 48 } },
] as const;
const MODES = [
  ...VTD_MODES.map(({ name, config }) => ({
    name: `VT-d, ${name}`,
    make: () => vtdHost(config),
    // VT-d: a request to an entry that is not present is a fault.
    blocked: 2,
  })),
  ...SMMU_MODES.map(({ name, config }) => ({
    name: `SMMUv3, ${name}`,
    make: () => smmuHost(config),
    // SMMUv3: an aborted stream says nothing.
    blocked: 0,
  })),
];

function attached(host: PhysicalHost, options = {}) {
  const device = host.bind(host.plug({ requester: DEV, ...options }));
  device.attach(0, host.ioas);
  return device;
}

describe.each(MODES)('$name', ({ make, blocked }) => {
  test('a function is blocked until its IOAS is attached, reaches what is mapped, and is blocked again', () => {
    const host = make();
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
    expect(host.faults).toHaveLength(blocked);
  });

  test('what is unmapped is refused at once, and a read-only mapping is not written to', () => {
    const host = make();
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
    const host = make();
    host.map(0x4000);
    attached(host, { ats: true });
    host.invalidated.length = 0;

    host.unmap(BUFFER, 0x4000);

    expect(host.invalidated).toEqual(
      host.driver.features.ats ? [{ requester: DEV, pasid: -1, address: AT, order: 2 }] : [],
    );
  });

  test('after everything is gone nothing is left of the pages of the host', () => {
    const host = make();
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
