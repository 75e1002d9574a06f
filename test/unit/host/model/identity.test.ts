import { describe, expect, test } from 'vitest';
import { hostJson, hostOf, SMMU_UNIT, VTD_UNIT } from '../../../kit/host-file.ts';
import { HW_INFO, hwInfo } from '../../../kit/hw-info.ts';
import { RunningHost, shippedHost } from '../../../kit/running-host.ts';

const unitsOf = (unit: object) => hostOf(hostJson(undefined, [unit as Record<string, unknown>])).units;
const withRegisters = (unit: Record<string, unknown>, registers: object, more: object = {}) => ({
  ...unit,
  registers: { ...(unit['registers'] as object), ...registers },
  ...more,
});

describe('what iommufd tells of a unit', () => {
  test.each([
    // As the files say, fields that the model does not follow included: MGAW, MAMV, PI, MTS and others.
    [
      'xeon-sapphire-rapids',
      '0000:2a:00.0',
      { flags: 1, cap_reg: 0x9ed008c40780466n, ecap_reg: 0x3ef9ea6f050dfn },
    ],
    ['xeon-westmere', '0000:02:00.0', { flags: 0, cap_reg: 0xc9008010e60262n, ecap_reg: 0xf0207an }],
  ])('VT-d of %s: CAP and ECAP of the file, and the erratum', (name, address, expected) => {
    const host = new RunningHost(shippedHost(name));

    expect(hwInfo(host, host.bound(address).id, HW_INFO.VTD)).toMatchObject(expected);
  });

  test('SMMUv3 of arm-mmu-700: the registers of the file, but for what it says that the model lacks', () => {
    const host = new RunningHost(shippedHost('arm-mmu-700'));

    // IDR0 80ff6bfh with TTF 2, TTENDIAN 2, TERM_MODEL 1; IDR5 ffff0475h without VAX.
    expect(hwInfo(host, host.bound('0000:05:00.0').id, HW_INFO.SMMUV3)).toMatchObject({
      flags: 0,
      idr0: 0xc4ff6bb,
      idr1: 0xe739d20,
      idr3: 0x1714,
      idr5: 0xffff0075,
      iidr: 0x4871043b,
      aidr: 2,
    });
  });
});

describe('registers that promise what the model does not have', () => {
  test.each([
    ['IDR0.TTF', { ...SMMU_UNIT, lacks: [] }, 'IDR0.TTF (3:2): is 3, and the model has 2'],
    [
      'IDR5.OAS',
      withRegisters(SMMU_UNIT, { IDR5: '0xffff0476' }),
      'IDR5.OAS (2:0): is 6, and the model has 5: Output address size',
    ],
    // Without SMPWCS, which the model has only together with EAFS and SSADS.
    [
      'ECAP.EAFS',
      withRegisters(VTD_UNIT, { ECAP: '0x2ef9ea6f050df' }),
      'ECAP.EAFS (34): is 1, and the model has 0: Extended accessed flag',
    ],
  ])('%s: the file is refused', (name, unit, message) => {
    expect(() => unitsOf(unit)).toThrow(message);
    expect(() => unitsOf(unit)).toThrow(`name '${name}' in lacks`);
  });

  test('unless it says so itself; then users are told what the model has', () => {
    const [unit] = unitsOf(
      withRegisters(VTD_UNIT, { ECAP: '0x2ef9ea6f050df' }, { lacks: ['ECAP.SSADS', 'ECAP.EAFS'] }),
    );

    const ecap = unit!.registers.find(({ layout }) => layout.name === 'ECAP')!;
    // Bits 45 and 34 are gone, and nothing else.
    expect([...ecap.told]).toEqual([0xa6f050df, 0x2ef9e & ~(1 << 13) & ~(1 << 2)].map((word) => word >>> 0));
  });

  test('what the model has is not to be named', () => {
    expect(() => unitsOf({ ...VTD_UNIT, lacks: ['ECAP.NEST'] })).toThrow(
      'the model has ECAP.NEST as the registers say it',
    );
  });
});
