import { describe, expect, test } from 'vitest';
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
const INTEL = { architecture: 'vtd', firstStage: true, pasidBits: 20 } as VtdPort;
const ARM = { architecture: 'smmuv3', stage1: true } as SmmuPort;

describe('the best path', () => {
  test.each([
    ['VT-d in front of VT-d', VTD, INTEL],
    ['SMMUv3 in front of SMMUv3', SMMU, ARM],
    ['no vIOMMU', NOTHING, undefined],
  ])('of %s is nested', (_, info, port) => {
    expect(choose(info, port, 'auto')).toEqual({ mode: 'nested', reasons: [] });
  });

  test.each([
    ['without nesting', { ...VTD, ecap: 0x8900_0000_0000n }, INTEL, 'ECAP.NEST (bit 26)'],
    ['without PASIDs', { ...VTD, ecap: 0x8800_0400_0000n }, INTEL, 'ECAP.PASID (bit 40)'],
    [
      'where the device has no PASIDs',
      { ...VTD, pasidBits: 0 },
      INTEL,
      'the device has no PASIDs on this host',
    ],
    ['of the other architecture', SMMU, INTEL, 'is no VT-d (ARM_SMMUV3)'],
    ['of the other architecture, the reverse', VTD, ARM, 'is no SMMUv3 (INTEL_VTD)'],
    ['with stage 1 only', { ...SMMU, idr: [2, 0, 0, 0, 0, 0] }, ARM, 'IDR0.S2P (bit 0)'],
    ['under a vIOMMU of second stages', VTD, { ...INTEL, firstStage: false }, 'second-stage tables only'],
  ])('on a host %s is software, and says why', (_, info, port, why) => {
    const { mode, reasons } = choose(info, port, 'auto');

    expect(mode).toBe('software');
    expect(reasons.join('\n')).toContain(why);
  });

  test('is what the user says, with what is against it', () => {
    expect(choose(VTD, INTEL, 'software')).toEqual({ mode: 'software', reasons: [] });
  });
});
