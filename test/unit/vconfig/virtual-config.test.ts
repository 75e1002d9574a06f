import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fleetOf } from '../../../devices/vconfig/fleet.ts';
import type { Plan } from '../../../devices/vconfig/plan.ts';
import { dissect } from '../../../devices/vconfig/space.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { buildSpace, type DeviceRegisters, REAL } from '../../kit/config-spaces.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { PciRig, randomConfigAccess } from '../../kit/pci-rig.ts';
import { runs } from '../../kit/runs.ts';
import { planned, VconfigRig } from '../../kit/vconfig-rig.ts';

const chain = (rig: VconfigRig) =>
  dissect(rig.dump()).capabilities.map(({ key, offset }) => `${key}@${offset.toString(16)}`);
const DSA = planned([REAL.dsa]);
/** In the plan of the DSA alone. */
const ATS = 0x220;
const PASID = 0x230;
const PRI = 0x240;
const FAMILY = planned([REAL.fiji, REAL.navi10]);

const refusal = (act: () => unknown): TsvmmError => {
  try {
    act();
  } catch (error) {
    if (error instanceof TsvmmError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('what a guest reads', () => {
  test('both chains are as planned, with PASID that vfio-pci hides', () => {
    expect(chain(new VconfigRig(REAL.dsa, { plan: DSA }))).toEqual([
      'pcie@40',
      'msix@80',
      'pm@90',
      'aer@100',
      'ltr@150',
      'tph@160',
      'vc@170',
      'dvsec.8086.0005@200',
      'ats@220',
      'pasid@230',
      'pri@240',
    ]);
  });

  test('two layouts of one family are one', () => {
    const seen = [REAL.fiji, REAL.navi10].map((device) => chain(new VconfigRig(device, { plan: FAMILY })));

    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]).toContain('pcie@58');
  });

  test('PASID is as wide as planned, and begins disabled whatever the host has done with the real one', () => {
    const rig = new VconfigRig(REAL.dsa, { plan: DSA });

    // 20 bits and privileged mode; the fixture's control register is 5.
    expect(rig.read(PASID + 4)).toBe(0x1404);
    expect(rig.read(ATS + 4)).toBe(0x20);
    // Stopped, and responses have a PASID.
    expect(rig.read(PRI + 4) >>> 0).toBe(0x8100_0000);
  });

  test('bytes that the plan does not have read 0 and take no writes, though the device has registers there', () => {
    const rig = new VconfigRig(REAL.fiji, { plan: FAMILY });
    // Resizable BAR at 200h, Secondary PCI Express at 270h.
    rig.write(0x208, 4, 0xffff_ffff);

    expect([rig.read(0x200), rig.read(0x208), rig.read(0x270)]).toEqual([0, 0, 0]);
    expect(rig.device.writes).toEqual([]);
  });
});

describe('what reaches the device', () => {
  test('control of a moved capability goes where the device has it', () => {
    const rig = new VconfigRig(REAL.navi10, { plan: FAMILY });
    // Device Control: planned at 58h + 8, of Navi 10 at 64h + 8.
    rig.write(0x60, 2, 0x0010);
    rig.device.bytes[0x6e] = 0x09;

    expect(rig.device.writes).toEqual(['6c/2 10']);
    expect(rig.read(0x60)).toBe(0x0009_0010);
  });

  test('Initiate Function Level Reset is not passed on: a reset is asked of whoever holds the device', () => {
    const resets: string[] = [];
    const rig = new VconfigRig(REAL.dsa, { plan: DSA, behind: { reset: (kind) => resets.push(kind) } });

    rig.write(0x48, 2, 0x8010);

    expect([rig.device.writes, resets]).toEqual([['48/2 10'], ['flr']]);
  });

  test('a reset by Advanced Features is one like any other', () => {
    const resets: string[] = [];
    const withAf: DeviceRegisters = {
      ...REAL.fiji,
      standard: [...REAL.fiji.standard.slice(0, -1), [0xa0, 0x05, 0xb0, 0x0081], [0xb0, 0x13, 0, 0x0306, 0]],
    };
    const plan = planned([withAf]);
    const rig = new VconfigRig(withAf, { plan, behind: { reset: (kind) => resets.push(kind) } });

    rig.write(0xb4, 1, 1);

    expect([resets, rig.device.writes]).toEqual([['flr'], []]);
  });

  test('capabilities are as promised although the device could do more', () => {
    const rig = new VconfigRig(REAL.navi10, { plan: FAMILY });
    rig.device.bytes[0x64 + 0x0c] = 0xff;

    // Link Capabilities are the meet of both, no register of this device.
    expect(rig.read(0x58 + 0x0c) & 0xff).not.toBe(0xff);
  });

  test('Command is mirrored, BARs, MSI-X and the interrupt line are the VMM’s', () => {
    const rig = new VconfigRig(REAL.dsa, { plan: DSA });

    rig.write(4, 2, 6);
    rig.write(0x10, 4, 0xe000_0000);
    rig.write(0x3c, 1, 11);
    rig.write(0x82, 2, 0x8000);

    expect(rig.device.writes).toEqual(['4/2 6']);
    expect([rig.read(4, 2), rig.read(0x3c, 1), rig.read(0x82, 2)]).toEqual([6, 11, 0x8008]);
  });

  test('registers that no capability claims stay where drivers look for them', () => {
    const plan = planned([REAL.skylakeGpu]);
    const rig = new VconfigRig(REAL.skylakeGpu, { plan, quirks: '8086:191e 50-53,fc-ff # GGC, ASLS' });
    rig.device.bytes.set([0x11, 0x22, 0x33, 0x44], 0x50);

    rig.write(0xfc, 4, 0x1234_5678);

    expect(rig.read(0x50)).toBe(0x4433_2211);
    expect(rig.device.writes).toEqual(['fc/4 12345678']);
  });

  test('bits of a byte that the plan keeps stay as the device has them', () => {
    const rig = new VconfigRig(REAL.dsa, { plan: DSA });
    // AER control: the device has ECRC checking capability (bit 7); a guest sets its enable (bit 8) and bit 5.
    rig.device.bytes[0x118] = 0x80;

    rig.write(0x118, 2, 0x0120);

    expect(rig.device.writes).toEqual(['118/2 180']);
  });
});

describe('the physical control words never change', () => {
  const spaces: readonly [string, DeviceRegisters, readonly (readonly [number, number])[]][] = [
    [
      'Skylake',
      REAL.skylakeGpu,
      [
        [0x100, 8],
        [0x200, 8],
        [0x300, 16],
      ],
    ],
    [
      'DSA',
      REAL.dsa,
      [
        [0x220, 8],
        [0x230, 8],
        [0x240, 16],
      ],
    ],
    [
      'Fiji',
      REAL.fiji,
      [
        [0x2b0, 8],
        [0x2c0, 16],
        [0x2d0, 8],
      ],
    ],
    [
      'CXL',
      REAL.cxl,
      [
        [0xb40, 8],
        [0x6e0, 8],
        [0xb20, 16],
      ],
    ],
  ];

  test.each(spaces)('of %s, whatever is written where', (_, registers, physical) => {
    const plan = planned([registers]);
    const writes = fc.array(
      fc.record({
        offset: fc.oneof(fc.integer({ min: 0, max: 1023 }), fc.constantFrom(...placesOf(plan))),
        part: fc.constantFrom([0, 4], [0, 2], [2, 2], [0, 1], [1, 1], [2, 1], [3, 1]),
        value: fc.integer({ min: 0, max: 0xffff_ffff }),
      }),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(writes, (list) => {
        const rig = new VconfigRig(registers, { plan });
        const words = () => physical.map(([at, length]) => [...rig.device.bytes.subarray(at, at + length)]);
        const before = words();

        for (const { offset, part, value } of list)
          rig.write(
            offset * 4 + (part[0] as number),
            part[1] as number,
            value % 2 ** (8 * (part[1] as number)),
          );

        expect(words()).toEqual(before);
        expect(chain(rig)).toEqual(chain(new VconfigRig(registers, { plan })));
      }),
      { numRuns: runs(40) },
    );
  });

  /** Dwords of the planned PASID, ATS and PRI. */
  function placesOf(plan: Plan): number[] {
    return plan.capabilities
      .filter(({ key }) => ['pasid', 'ats', 'pri'].includes(key))
      .flatMap(({ offset, length }) => Array.from({ length: length / 4 }, (_, i) => offset / 4 + i));
  }
});

describe('order of enables', () => {
  const rig = () => new VconfigRig(REAL.dsa, { plan: DSA });
  const pasid = (r: VconfigRig) => r.read(PASID + 6, 2);

  test('PASID, then ATS, then PRI', () => {
    const r = rig();
    r.write(PASID + 6, 2, 5);
    r.write(ATS + 6, 2, 0x8001);
    r.write(PRI + 12, 4, 32);
    r.write(PRI + 4, 2, 1);

    expect([pasid(r), r.read(ATS + 6, 2), r.read(PRI + 12), r.read(PRI + 4) >>> 0]).toEqual([
      5, 0x8001, 32, 0x8000_0001,
    ]);
  });

  test('PASID cannot be switched on or off while ATS is on', () => {
    const on = rig();
    on.write(ATS + 6, 2, 0x8000);
    on.write(PASID + 6, 2, 1);
    const off = rig();
    off.write(PASID + 6, 2, 1);
    off.write(ATS + 6, 2, 0x8000);
    off.write(PASID + 6, 2, 0);

    expect([pasid(on), pasid(off)]).toEqual([0, 1]);
  });

  test('execute permission cannot be enabled where it is not planned', () => {
    const r = rig();
    r.write(PASID + 6, 2, 7);

    expect(pasid(r)).toBe(5);
  });

  test('the smallest translation unit holds while ATS is on', () => {
    const r = rig();
    r.write(ATS + 6, 2, 0x8002);
    r.write(ATS + 6, 2, 0x8004);

    expect(r.read(ATS + 6, 2)).toBe(0x8002);
  });

  test('the allocation holds while page requests are on', () => {
    const r = rig();
    r.write(PRI + 12, 4, 8);
    r.write(PRI + 4, 2, 1);
    r.write(PRI + 12, 4, 64);

    expect(r.read(PRI + 12)).toBe(8);
  });

  test.each(['flr', 'warm', 'cold'] as const)('a %s reset disables all, and nothing moves', (kind) => {
    const r = rig();
    const fresh = [...r.dump()];
    r.write(PASID + 6, 2, 1);
    r.write(ATS + 6, 2, 0x8000);
    r.write(PRI + 4, 2, 1);

    r.fn.resetWithBackend(kind);

    expect([...r.dump()]).toEqual(fresh);
  });
});

describe('a VF', () => {
  const vf: DeviceRegisters = {
    ...REAL.cxl,
    name: '6b:02.1',
    ids: [0xffff, 0xffff, 0xff0000, 0x8086, 0],
    extended: [[0x100, 0x0f, 1, 0, 0x80]],
  };

  test('has the plan of its PF with a PASID capability of its own, over what the host says it shares', () => {
    const pf = fleetOf([buildSpace(REAL.cxl)], [])[0]!.facts;
    const plan = planned([REAL.cxl], { missing: 'emulate', drop: ['sriov'] });
    const seen = [new VconfigRig(REAL.cxl, { plan }), new VconfigRig(vf, { plan, facts: pf })].map(chain);

    expect(seen[1]).toEqual(seen[0]);
    expect(seen[1]).toContain('pasid@b40');
  });
});

describe('the layout is state', () => {
  const save = ({ fn }: VconfigRig) => fn.stateDef().save(fn.s);

  test('what a guest has set is loaded into a device of the same plan', () => {
    const rig = new VconfigRig(REAL.fiji, { plan: FAMILY });
    const other = new VconfigRig(REAL.navi10, { plan: FAMILY });
    rig.write(0x2d6, 2, 1);

    other.fn.stateDef().load(other.fn.s, save(rig), 'nic0');

    expect(other.read(0x2d6, 2)).toBe(1);
  });

  test('a plan with another layout is refused, and so is none', () => {
    const saved = save(new VconfigRig(REAL.dsa, { plan: DSA }));
    const moved = new VconfigRig(REAL.dsa, { plan: planned([REAL.dsa], { offsets: { pasid: 'ff8' } }) });
    const plain = new PciRig().plugFunction({ capabilities: [{ id: 'pcie', type: 'endpoint' }] });

    const load = ({ fn }: VconfigRig) => fn.stateDef().load(fn.s, saved, 'nic0');
    expect(refusal(() => load(moved)).message).toBe(
      'nic0.plan: the guest has seen a virtual config space that is laid out otherwise; give the device the plan (vconfig=) that the snapshot was made with',
    );
    expect(refusal(() => plain.stateDef().load(plain.s, saved, 'nic0')).code).toBe('foreign-state');
  });

  test('a larger fleet with the same places is no other layout', () => {
    const saved = save(new VconfigRig(REAL.fiji, { plan: FAMILY }));
    const renamed = new VconfigRig(REAL.fiji, { plan: { ...FAMILY, devices: [] } });

    expect(() => renamed.fn.stateDef().load(renamed.fn.s, saved, 'nic0')).not.toThrow();
  });
});

describeDeviceRules('a function with a planned config space', () => {
  const rig = new VconfigRig(REAL.dsa, { plan: DSA });
  return { device: rig.fn, access: (rng) => randomConfigAccess(rig.fn, rng) };
});

describe('a device that does not fit', () => {
  test('is refused with every reason', () => {
    const { code, message } = refusal(() => new VconfigRig(REAL.fiji, { plan: DSA }));

    expect(code).toBe('vconfig-misfit');
    expect(message).toContain('pasid: the plan has PASIDs of 20 bits, the device of 16');
    expect(message).toContain('msix: the device does not have it');
  });

  test('is served by emulation of the bytes it lacks, if the policy says so', () => {
    const plan = planned([REAL.fiji, REAL.navi10], { missing: 'emulate' });
    const [has, lacks] = [REAL.navi10, REAL.fiji].map((device) => new VconfigRig(device, { plan }));

    expect(chain(lacks!)).toEqual(chain(has!));
    expect(chain(lacks!).some((one) => one.startsWith('ltr@'))).toBe(true);
  });
});
