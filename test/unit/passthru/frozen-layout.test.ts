import { describe, expect, test } from 'vitest';
import type { Plan } from '../../../devices/vconfig/plan.ts';
import { DEFAULT_POLICY, type Policy } from '../../../devices/vconfig/policy.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };
const PORT = { kind: 'pcie-root-port', id: 'rp0', options: {} };
/** Behind the unit with everything, and behind one that knows nothing of PASIDs. */
const ENGINE = '0000:16:00.0';
const ENGINE_BEHIND_LESS = '0000:81:00.0';

const machine = (host: string, address: string, policy?: Policy | 'refuse') =>
  machineOn(host, [PORT, assigned(address, 'nic0', 'rp0')], {
    viommu: VIOMMU,
    ...(policy === undefined ? {} : { vconfigPolicy: policy }),
  });

const layoutOf = (m: Machine) => {
  const { pasid, ats, pri, msix, planned } = m.pciDevice('nic0')!.fn.w.layout;
  return { places: [pasid, ats, pri, msix], frozen: planned!.frozen };
};

/** Every byte that the guest reads, but for what firmware and the guest write. */
function seen(m: Machine): number[] {
  const { fn } = m.pciDevice('nic0')!;
  return Array.from({ length: 1024 - 16 }, (_, i) => fn.configRead(64 + 4 * i, 4));
}

describe('a device of the host that is given without a plan', () => {
  test('has one of its own, which is part of the machine from then on', () => {
    const m = machine('xeon-mixed', ENGINE);

    const { 'seen:nic0': plan } = m.config.vconfigs!;

    expect(plan).toMatchObject({ format: 'tsvmm-vconfig-plan', bytes: 4096 });
    expect(plan!.capabilities.map(({ key, offset }) => [key, offset])).toContainEqual(['pasid', 0x108]);
  });

  test('is laid out by the policy of the machine', () => {
    const policy = { ...DEFAULT_POLICY, offsets: { pasid: 'f00' }, want: ['pasid', 'ats'] } as const;

    const { places } = layoutOf(machine('xeon-mixed', ENGINE, policy));

    expect(places).toEqual([0xf00, 0x110, 0, 0x84]);
  });

  test('is refused where the policy says so', () => {
    expect(() => machine('xeon-mixed', ENGINE, 'refuse')).toThrow(
      'nic0: is a device of the host without a plan for its config space, and such devices are refused; give it one',
    );
  });

  test('looks the same after resets, and where another device of the host is plugged in under its name', () => {
    const m = machine('xeon-mixed', ENGINE);
    const [before, bytes] = [layoutOf(m), seen(m)];

    m.reset('cold');
    const afterReset = [layoutOf(m), seen(m)];
    m.unplug('nic0');
    m.plug(assigned(ENGINE_BEHIND_LESS, 'nic0', 'rp0'));
    const afterPlug = [layoutOf(m), seen(m)];

    expect(afterReset).toEqual([before, bytes]);
    expect(afterPlug).toEqual([before, bytes]);
  });
});

describe('another device of the host that does not have all that guests have seen', () => {
  const HOST = 'xeon-sapphire-rapids';
  const EDU = '0000:2a:00.0';
  const plain = (missing: Policy['missing']): Policy => ({ ...DEFAULT_POLICY, want: [], missing });

  test('is refused with every reason before a guest can see it, and the place is free for one that fits', () => {
    const m = machine(HOST, ENGINE, plain('drop'));
    const before = layoutOf(m);
    m.unplug('nic0');
    const { config } = m;

    expect(() => m.plug(assigned(EDU, 'nic0', 'rp0'))).toThrow(
      'nic0: the device does not fit its plan: space: it has 256 bytes, and the plan 4096; bar 2: the device does not have it; pcie: the',
    );

    expect([m.config === config, m.pciDevice('nic0')]).toEqual([true, undefined]);
    m.plug(assigned(ENGINE, 'nic0', 'rp0'));
    expect(layoutOf(m)).toEqual(before);
  });

  test('is served by emulation of the missing bytes where the policy says so', () => {
    const m = machine(HOST, ENGINE, plain('emulate'));
    const before = layoutOf(m);
    const acs = m.pciDevice('nic0')!.fn.configRead(0x100, 4);
    m.unplug('nic0');

    m.plug(assigned(EDU, 'nic0', 'rp0'));

    const { fn } = m.pciDevice('nic0')!;
    expect(layoutOf(m)).toEqual(before);
    expect(fn.configRead(0x100, 4)).toBe(acs);
    expect(fn.configRead(0, 4)).toBe(0x53e01234);
    const bar2 = fn.barHandler(fn.w.layout.bars.find(({ index }) => index === 2)!) as MmioHandler;
    expect(bar2.read(0, 4, m.mmio)).toBe(0);
  });

  test('can be given a plan of another device by name', () => {
    const m = machine(HOST, ENGINE);
    const before = layoutOf(m);
    m.unplug('nic0');

    m.plug({ ...assigned('0000:29:00.0', 'other', 'rp0'), vconfig: 'seen:nic0' });

    const { pasid, ats, pri, msix, planned } = m.pciDevice('other')!.fn.w.layout;
    expect({ places: [pasid, ats, pri, msix], frozen: planned!.frozen }).toEqual(before);
    expect((m.config.vconfigs as Record<string, Plan>)['seen:other']).toBeUndefined();
  });
});
