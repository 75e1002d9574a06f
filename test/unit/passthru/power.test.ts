import { describe, expect, test } from 'vitest';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import type { Host } from '../../../vmm/host/model/create.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

const ENGINE = '0000:16:00.0';
const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };
/** Power states of PMCSR. */
const [D0, D1, D3_HOT] = [0, 1, 3];

describe.each(['nested', 'software'] as const)('the power state of an assigned device on path %s', (mode) => {
  const start = () => {
    const machine = machineOn('xeon-sapphire-rapids', [assigned(ENGINE, 'nic0', undefined, mode)], {
      viommu: VIOMMU,
    });
    const { fn } = machine.pciDevice('nic0')!;
    const physical = (machine.host!.running as Host).functions.get(ENGINE)!.device!.fn;
    const { pm, pasid, ats, pri } = physical.w.layout;
    fn.configWrite(4, 2, 6);
    const enter = (state: number | undefined) => {
      fn.configWrite(fn.w.layout.pm + 4, 2, state!);
      return {
        guest: fn.configRead(fn.w.layout.pm + 4, 2) & 3,
        device: physical.configRead(pm + 4, 2) & 3,
        master: fn.w.dma.enabled,
      };
    };
    const controls = () => [pasid + 6, ats + 6, pri + 4].map((at) => physical.configRead(at, 2));
    return { fn, enter, controls };
  };

  test('D3hot is entered by the device, too, and left with a reset: the controls of the host come back', () => {
    const { fn, enter, controls } = start();
    fn.configWrite(fn.w.layout.pasid + 6, 2, 1);
    fn.configWrite(fn.w.layout.ats + 6, 2, 0x8000);
    const before = controls();

    const asleep = enter(D3_HOT);
    const awake = enter(D0);

    expect(asleep).toEqual({ guest: 3, device: 3, master: false });
    expect(awake).toEqual({ guest: 0, device: 0, master: false });
    // PASID and ATS: on for the host, off for the guest, which has seen a reset.
    expect([before[0]! & 1, before[1]]).toEqual([1, 0x8000]);
    expect(controls()).toEqual(before);
    const { pasid, ats } = fn.w.layout;
    expect([fn.configRead(pasid + 6, 2), fn.configRead(ats + 6, 2), fn.configRead(4, 2)]).toEqual([0, 0, 0]);
  });

  test('a state that its plan does not have reaches the device as little as the guest', () => {
    const { enter } = start();

    expect(enter(D1)).toEqual({ guest: 0, device: 0, master: true });
  });
});
