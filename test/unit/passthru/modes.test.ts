import { describe, expect, test } from 'vitest';
import { type DeviceFacts, NO_FACTS } from '../../../devices/vconfig/facts.ts';
import type { SmmuPort } from '../../../viommu/port/smmuv3.ts';
import type { VtdPort } from '../../../viommu/port/vtd.ts';
import type { HardwareInfo } from '../../../vmm/passthru/assigned-device.ts';
import { choose } from '../../../vmm/passthru/modes.ts';

const NOTHING: HardwareInfo = {
  type: 0,
  cap: 0n,
  ecap: 0n,
  flags: 0,
  idr: [],
  pasidBits: 0,
  pasidExec: false,
  pasidPriv: false,
  ats: false,
};
/** NEST 26, PASID 40, SMTS 43, FSTS 47. */
const VTD: HardwareInfo = { ...NOTHING, type: 1, ecap: 0x8900_0400_0000n, pasidBits: 20 };
/** S2P and S1P. */
const SMMU: HardwareInfo = { ...NOTHING, type: 2, idr: [3, 0, 0, 0, 0, 0] };
const INTEL = {
  architecture: 'vtd',
  firstStage: true,
  pasidBits: 20,
  deviceTlb: true,
  pageRequests: true,
} as VtdPort;
const OWN: DeviceFacts = { ...NO_FACTS, pasidWidth: 20 };
const ARM = { architecture: 'smmuv3', stage1: true, identity: [3, 0, 0, 0, 0, 0] } as unknown as SmmuPort;
/** What tables and commands of a guest count on, each with its least value that the host above lacks. */
const promising = (register: number, value: number) =>
  ({ ...ARM, identity: ARM.identity.with(register, value) }) as SmmuPort;

describe('the best path', () => {
  test.each([
    ['VT-d in front of VT-d', VTD, INTEL],
    ['SMMUv3 in front of SMMUv3', SMMU, ARM],
    ['no vIOMMU', NOTHING, undefined],
  ])('of %s is nested', (_, info, port) => {
    expect(choose(info, port, 'auto')).toEqual({ mode: 'nested', reasons: [], lacks: [] });
  });

  test.each([
    ['without nesting', { ...VTD, ecap: 0x8900_0000_0000n }, INTEL, 'ECAP.NEST (bit 26)'],
    ['without PASIDs', { ...VTD, ecap: 0x8800_0400_0000n }, INTEL, 'ECAP.PASID (bit 40)'],
    ['of the other architecture', { ...SMMU, pasidBits: 20 }, INTEL, 'is no VT-d (ARM_SMMUV3)'],
    ['of the other architecture, the reverse', VTD, ARM, 'is no SMMUv3 (INTEL_VTD)'],
    ['with stage 1 only', { ...SMMU, idr: [2, 0, 0, 0, 0, 0] }, ARM, 'IDR0.S2P (bit 0)'],
    [
      'without dirty state',
      SMMU,
      promising(0, 0x83),
      "IDR0.HTTU (bits 7:6) of the host's unit is 0, the vIOMMU's is 2",
    ],
    ['without 16-bit ASIDs', SMMU, promising(0, 0x1003), 'IDR0.ASID16 (bit 12)'],
    ['without two-level CD tables', SMMU, promising(0, 0x8_0003), 'IDR0.CD2L (bit 19)'],
    [
      'with fewer SubstreamIDs',
      { ...SMMU, idr: [3, 0x200, 0, 0, 0, 0] },
      promising(1, 0x500),
      "IDR1.SSIDSIZE (bits 10:6) of the host's unit is 8, the vIOMMU's is 20",
    ],
    ['without range invalidation', SMMU, promising(3, 0x400), 'IDR3.RIL (bit 10)'],
    ['without the granule of 4 KiB', SMMU, promising(5, 0x10), 'IDR5.GRAN4K (bit 4)'],
    ['without the granule of 16 KiB', SMMU, promising(5, 0x20), 'IDR5.GRAN16K (bit 5)'],
    ['without the granule of 64 KiB', SMMU, promising(5, 0x40), 'IDR5.GRAN64K (bit 6)'],
    ['with narrower addresses', SMMU, promising(5, 0x400), 'IDR5.VAX (bits 11:10)'],
    ['under a vIOMMU of second stages', VTD, { ...INTEL, firstStage: false }, 'second-stage tables only'],
  ])('on a host %s is not nested, and says why', (_, info, port, why) => {
    const { mode, reasons } = choose(info, port, 'auto');

    expect(mode).toBe('shadow');
    expect(reasons.join('\n')).toContain(why);
  });

  test.each([
    ['PASIDs', { ...VTD, pasidBits: 0 }, OWN, 'the device has no PASIDs on this host'],
    ['ATS', { ...VTD, ecap: 0n }, { ...OWN, ats: true }, 'the device has no ATS on this host'],
    ['page requests', { ...VTD, ecap: 0n }, { ...OWN, pri: true }, 'the device has no page requests'],
  ])('of a device that the host does not let use its %s is software', (_, info, own, why) => {
    const { mode, reasons } = choose(info, INTEL, 'auto', { own, shown: NO_FACTS });

    expect(mode).toBe('software');
    expect(reasons.join('\n')).toContain(why);
  });

  test.each([
    ['ATS', { ...OWN, ats: true }, 'the device uses ATS of the host'],
    ['page requests', { ...OWN, pri: true }, 'answers to page requests (PRI)'],
  ])(
    'of a device whose %s would show a shadow is software, unless the user wants the shadow',
    (_, own, why) => {
      const host = { ...VTD, ecap: 0n };
      const all = { own, shown: own };
      const { mode, reasons } = choose(host, INTEL, 'auto', all);

      expect(mode).toBe('software');
      expect(reasons.join('\n')).toContain(why);
      expect(choose(host, INTEL, 'shadow', all).lacks).toEqual([]);
    },
  );

  test('of a device without PASIDs of its own is nested, although the vIOMMU has PASIDs', () => {
    const abilities = { own: NO_FACTS, shown: NO_FACTS };

    expect(choose({ ...VTD, pasidBits: 0 }, INTEL, 'auto', abilities).mode).toBe('nested');
  });

  test('of an unlike host is no better than the shadow that the user wants', () => {
    const { mode, reasons, lacks } = choose({ ...VTD, pasidBits: 0 }, INTEL, 'shadow', {
      own: OWN,
      shown: NO_FACTS,
    });

    expect(mode).toBe('shadow');
    expect(reasons).toEqual(['the device has no PASIDs on this host, and the vIOMMU has']);
    expect(lacks).toEqual(reasons);
  });

  test('is nested where the host has more than the vIOMMU promises', () => {
    const host = { ...SMMU, idr: [0x8_1083 | 0, 0x500, 0, 0x400, 0, 0x70] };

    expect(choose(host, promising(1, 0x200), 'auto').mode).toBe('nested');
  });

  test('is what the user says, with what is against it', () => {
    expect(choose(VTD, INTEL, 'software')).toEqual({ mode: 'software', reasons: [], lacks: [] });
  });
});
