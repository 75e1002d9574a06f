import { describe, expect, test } from 'vitest';
import { AtsControls } from '../../../devices/pci/ats-controls.ts';
import { asVirtualOf, fleetOf } from '../../../devices/vconfig/fleet.ts';
import { planFleet } from '../../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY } from '../../../devices/vconfig/policy.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import { HostControls } from '../../../vmm/machine/host-controls.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';
import { hostOf } from '../../kit/host-file.ts';
import { RunningHost, shippedHost } from '../../kit/running-host.ts';

const HOST = 'xeon-sapphire-rapids';
const PF = '0000:49:00.0';
const VF1 = '0000:49:00.1';
const VF2 = '0000:49:00.2';
const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };

describe('an assigned virtual function, which has neither PASID nor page request capability of its own', () => {
  test.each([
    ['nested', false],
    ['software', true],
  ] as const)("has its physical function's PASIDs on path %s, and page requests: %s", (mode, pri) => {
    const machine = machineOn(HOST, [assigned(VF1, 'vf', undefined, mode)], { viommu: VIOMMU });

    const { fn } = machine.pciDevice('vf')!;

    const { layout } = fn.w;
    // Max PASID Width (12:8) 20.
    expect((fn.configRead(layout.pasid + 4, 2) >> 8) & 0x1f).toBe(20);
    expect([layout.ats !== 0, layout.pri !== 0]).toEqual([true, pri]);
  });
});

describe('page requests of virtual functions', () => {
  test('are on in the physical function for as long as requests of one of them are caught', () => {
    const { host } = new RunningHost(shippedHost(HOST));
    const controls = new HostControls(host.functions);
    const of = (address: string) => new AtsControls(host.functions.get(address)!.device!.fn);
    const seen = () => [of(PF).priEnabled, of(VF1).priEnabled];

    const steps = [
      () => controls.set(VF1, true),
      () => controls.set(VF2, true),
      () => controls.set(VF1, false),
      () => controls.set(VF2, false),
    ].map((step) => {
      step();
      return seen();
    });

    expect(steps).toEqual([
      [true, true],
      [true, true],
      [true, true],
      [false, false],
    ]);
    expect(of(VF1).credits).toBeGreaterThan(0);
    expect(of(VF1).allowsPasid(5)).toBe(true);
  });
});

describe('a plan that has page requests, for a virtual function, which the hardware serves without', () => {
  test('is served by software, and says why', () => {
    const host = hostOf(shippedHost(HOST));
    const space = (address: string) => host.functions.find((one) => one.address === address)!.space!;
    const told = new Map([
      [asVirtualOf(space(VF1), space(PF).bytes), host.functions.find((one) => one.address === VF1)!.facts],
    ]);
    const { plan } = planFleet(fleetOf([...told.keys()], [], told), DEFAULT_POLICY);
    const device = { ...assigned(VF1, 'vf'), vconfig: 'rack' };

    const machine = machineOn(HOST, [device], { viommu: VIOMMU, vconfigs: { rack: plan! } });

    const { fn } = machine.pciDevice('vf')!;
    // Vendor of the physical function, VF Device ID of its SR-IOV capability.
    expect([fn.configRead(0, 4), fn.w.layout.pri !== 0]).toEqual([0x53e11234, true]);
    expect(machine.host!.views[0]!.text()).toContain(
      'vf: 0000:49:00.1, software, channel iommufd\n  because its plan has PRI, which the host does not let users of the device have',
    );
  });
});
