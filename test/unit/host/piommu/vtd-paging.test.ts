import { describe, expect, test } from 'vitest';
import { BUFFER, type PhysicalHost, vtdHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const AT = Number(BUFFER);
const MODES = [
  { name: 'first stage', config: {} },
  { name: 'second stage', config: { svm: false, 'scalable-mode': true, 'device-iotlb': true } },
  { name: 'legacy mode', config: { svm: false, 'device-iotlb': true } },
  { name: '3 levels, no large pages', config: { svm: false, 'aw-bits': 39, 'large-pages': 'none' } },
] as const;

function attached(host: PhysicalHost, options = {}) {
  const device = host.bind(host.plug({ requester: DEV, ...options }));
  device.attach(0, host.ioas);
  return device;
}

describe.each(MODES)('VT-d with $name', ({ config }) => {
  test('a function is blocked until its IOAS is attached, reaches what is mapped, and is blocked again', () => {
    const host = vtdHost(config);
    host.store(AT + 8, 0xcafe);
    host.map(0x10000);
    const device = host.bind(host.plug({ requester: DEV }));

    expect(host.read(DEV, AT + 8)).toBeUndefined();
    device.attach(0, host.ioas);
    expect(host.read(DEV, AT + 8)).toBe(0xcafe);
    expect(host.write(DEV, AT + 12, 0x1234)).toBe(true);
    expect(host.load(AT + 12)).toBe(0x1234);
    expect(host.read(DEV, AT + 0x10000)).toBeUndefined();
    device.detach(0);
    expect(host.read(DEV, AT + 8)).toBeUndefined();
  });

  test('what is unmapped is refused at once, and a read-only mapping is not written to', () => {
    const host = vtdHost(config);
    host.map(0x4000);
    host.map(0x4000, 0x4000_0000n, false);
    attached(host);

    expect(host.read(DEV, AT)).toBe(0);
    expect(host.write(DEV, 0x4000_0000, 1)).toBe(false);
    expect(host.read(DEV, 0x4000_0000)).toBe(0);
    host.unmap(BUFFER, 0x4000);
    expect(host.read(DEV, AT)).toBeUndefined();
  });

  test('unmapping reaches the cache of a function that has one', () => {
    const host = vtdHost(config);
    host.map(0x4000);
    attached(host, { ats: true });
    host.invalidated.length = 0;

    host.unmap(BUFFER, 0x4000);

    if (host.driver.features.ats)
      expect(host.invalidated).toEqual([{ requester: DEV, pasid: -1, address: AT, order: 2 }]);
    else expect(host.invalidated).toEqual([]);
  });

  test('after everything is gone nothing is left of the pages of the host', () => {
    const host = vtdHost(config);
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
