import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DSA } from '../../../devices/ep/dsa/kind.ts';
import { SVM_ENGINE } from '../../../devices/ep/svm-engine-kind.ts';
import { lspciDump } from '../../../devices/pci/lspci.ts';
import { checkDevice } from '../../../devices/vconfig/check.ts';
import { type FleetDevice, fleetOf } from '../../../devices/vconfig/fleet.ts';
import { parseDump } from '../../../devices/vconfig/parse.ts';
import type { Plan } from '../../../devices/vconfig/plan.ts';
import { planFleet } from '../../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY, type Policy } from '../../../devices/vconfig/policy.ts';
import { lspciText } from '../../../devices/vconfig/render.ts';
import type { Bar } from '../../../devices/vconfig/space.ts';
import { buildSpace, type DeviceRegisters, REAL } from '../../kit/config-spaces.ts';
import { PciRig } from '../../kit/pci-rig.ts';
import { runs } from '../../kit/runs.ts';
import { RecordedDevice, VconfigRig } from '../../kit/vconfig-rig.ts';

const K = 1024;
const memory = (index: number, size: number, kind: Bar['kind'] = 'memory32'): Bar => ({
  index,
  kind,
  prefetchable: false,
  size,
});

const withBars = (registers: DeviceRegisters, bars: readonly Bar[] | undefined): FleetDevice =>
  fleetOf([{ ...buildSpace(registers), ...(bars === undefined ? {} : { bars }) }], [])[0]!;

/** The DSA with table and pending bits elsewhere. */
const otherDsa = (table: number, pending: number): DeviceRegisters => ({
  ...REAL.dsa,
  name: '6b:01.0',
  standard: REAL.dsa.standard.map((one) =>
    one[1] === 0x11 ? [0x80, 0x11, 0x90, 0x8008, table, pending] : one,
  ) as DeviceRegisters['standard'],
});

function plan(devices: readonly FleetDevice[], policy: Partial<Policy> = {}) {
  const result = planFleet(devices, { ...DEFAULT_POLICY, ...policy });
  if (result.plan === undefined) throw new Error('no plan');
  return result;
}
const bars = (made: Plan) =>
  made.bars?.map(({ index, kind, size, served }) => `${index} ${kind} ${size} ${served}`);
const table = (made: Plan) => made.capabilities.find(({ key }) => key === 'msix')?.contents.slice(8);

describe('sizes of BARs', () => {
  test('are read from what lspci -vv prints beside the bytes', () => {
    const { bytes } = buildSpace(REAL.dsa);
    const [head, ...rows] = lspciText('6a:01.0', 'System peripheral: Intel', bytes).split('\n');
    const regions = [
      '\tControl: I/O- Mem+ BusMaster+',
      '\tRegion 0: Memory at 206ffff70000 (64-bit, prefetchable) [size=64K]',
      '\tRegion 2: Memory at <unassigned> (32-bit, non-prefetchable) [disabled] [size=128M]',
      '\tRegion 4: I/O ports at 3000 [size=32]',
      '\tExpansion ROM at e0000000 [disabled] [size=1M]',
    ];
    const [device] = parseDump('x', new TextEncoder().encode([head, ...regions, ...rows].join('\n')));

    expect(device?.bars).toEqual([
      { index: 0, kind: 'memory64', prefetchable: true, size: 64 * K },
      { index: 2, kind: 'memory32', prefetchable: false, size: 128 * K * K },
      { index: 4, kind: 'io', prefetchable: false, size: 32 },
    ]);
  });

  test('tsvmm’s own dump has them', () => {
    const pci = new PciRig();
    pci.plug(SVM_ENGINE, { device: 3 });
    const [device] = parseDump('x', new TextEncoder().encode(lspciDump(pci.root)));

    expect(device?.bars).toEqual([memory(0, 128 * K), memory(2, 16 * K)]);
  });

  test('where one device’s are not known, each shows its own', () => {
    expect(bars(plan([withBars(REAL.dsa, [memory(0, K)]), withBars(REAL.cxl, undefined)]).plan)).toBe(
      undefined,
    );
  });
});

describe('BARs of a fleet', () => {
  const first = withBars(REAL.cxl, [memory(0, 64 * K, 'memory64'), memory(2, 4 * K)]);

  test('guests see what all devices have from the start of each, 64-bit where all are', () => {
    const other = withBars(REAL.fiji, [memory(0, 16 * K), memory(2, 8 * K)]);

    expect(bars(plan([first, other]).plan)).toEqual(['0 memory32 16384 device', '2 memory32 4096 device']);
  });

  test('one that a device lacks is left out, or its bytes are emulated, as the policy says', () => {
    const other = withBars(REAL.fiji, [memory(0, 64 * K, 'memory64')]);
    const { plan: dropped, changes } = plan([first, other]);

    expect(bars(dropped)).toEqual(['0 memory64 65536 device']);
    expect(changes[0]?.loses).toContainEqual({ key: 'bar 2', why: '09:00.0 does not have it' });
    expect(bars(plan([first, other], { missing: 'emulate' }).plan)).toEqual([
      '0 memory64 65536 device',
      '2 memory32 4096 device',
    ]);
  });

  test('memory and I/O ports are never one BAR', () => {
    const other = withBars(REAL.fiji, [memory(0, 256, 'io'), memory(2, 4 * K)]);

    expect(bars(plan([first, other]).plan)).toEqual(['2 memory32 4096 device']);
  });
});

describe('a device behind the BARs of a plan', () => {
  const made = plan([withBars(REAL.cxl, [memory(0, 64 * K)])]).plan;
  const misfits = (own: readonly Bar[] | undefined, missing: Policy['missing'] = 'drop') =>
    checkDevice({ ...made, policy: { ...made.policy, missing } }, withBars(REAL.cxl, own)).misfits;

  test('a larger BAR fits, and so does one that nobody knows', () => {
    expect([misfits([memory(0, 128 * K)]), misfits(undefined)]).toEqual([[], []]);
  });

  test('a smaller one, none, and ports do not', () => {
    expect(
      [misfits([memory(0, 4 * K)]), misfits([]), misfits([memory(0, 256, 'io')])].map(([one]) => one),
    ).toEqual([
      { key: 'bar 0', why: 'the plan has 65536 bytes, the device 4096' },
      { key: 'bar 0', why: 'the device does not have it' },
      { key: 'bar 0', why: 'the plan has memory, the device I/O ports' },
    ]);
  });

  test('a smaller one does where the policy has missing bytes emulated: they read 0', () => {
    expect(misfits([memory(0, 4 * K)], 'emulate')).toEqual([]);
  });

  test('guests find the planned size, the device’s registers, and 0 behind them', () => {
    const device = new RecordedDevice(new Uint8Array(4 * K).fill(0x5a));
    const rig = new VconfigRig(REAL.cxl, {
      plan: { ...made, policy: { ...made.policy, missing: 'emulate' } },
      bars: [memory(0, 4 * K)],
      behind: { bars: { 0: { read: (at: number, size: number) => device.read(at, size), write: () => {} } } },
    });
    rig.write(0x10, 4, 0xffff_ffff);
    const size = rig.read(0x10);
    rig.write(0x10, 4, 0xe000_0000);
    rig.write(4, 2, 2);

    expect([size, rig.pci.mmio.read(0xe000_0ffc, 4), rig.pci.mmio.read(0xe000_1000, 4)]).toEqual([
      0xffff_0000, 0x5a5a5a5a, 0,
    ]);
  });
});

describe('the table of MSI-X', () => {
  const bar0 = [memory(0, 64 * K)];
  const here = withBars(REAL.dsa, bar0);

  test('stays where all devices have it', () => {
    expect(table(plan([here, withBars(otherDsa(0x2000, 0x3000), bar0)]).plan)).toBe('0020000000300000');
  });

  test('goes to a BAR of the VMM’s where devices have it at different places', () => {
    const { plan: made } = plan([here, withBars(otherDsa(0x4000, 0x5000), bar0)]);

    expect(bars(made)).toEqual(['0 memory32 65536 device', '1 memory32 4096 vmm']);
    expect(table(made)).toBe('0100000001080000');
    expect(checkDevice(made, withBars(otherDsa(0x4000, 0x5000), bar0)).misfits).toEqual([]);
  });

  test('is lost where nobody knows which BAR is free', () => {
    const { plan: made, changes } = plan([
      withBars(REAL.dsa, undefined),
      withBars(otherDsa(0x4000, 0x5000), bar0),
    ]);

    expect(table(made)).toBe(undefined);
    expect(changes[0]?.loses).toContainEqual({
      key: 'msix',
      why: 'its table is elsewhere on 6b:01.0, and the BARs of 6a:01.0 are not known',
    });
  });

  test('of a device that has it elsewhere does not fit a plan that keeps it', () => {
    expect(checkDevice(plan([here]).plan, withBars(otherDsa(0x4000, 0x5000), bar0)).misfits).toEqual([
      { key: 'msix', why: 'its table is elsewhere in the BARs of the device' },
    ]);
  });

  test('two devices of tsvmm share a layout that way', () => {
    const pci = new PciRig();
    pci.plug(SVM_ENGINE, { device: 3 });
    pci.plug(DSA, { device: 4 });
    const fleet = fleetOf(parseDump('x', new TextEncoder().encode(lspciDump(pci.root))), []);

    expect(bars(plan(fleet).plan)).toEqual([
      '0 memory32 65536 device',
      '2 memory32 16384 device',
      '4 memory32 4096 vmm',
    ]);
  });

  test('in the BAR of the VMM takes vectors, and messages are sent by it', () => {
    const other = otherDsa(0x4000, 0x5000);
    const rig = new VconfigRig(other, { plan: plan([here, withBars(other, bar0)]).plan, bars: bar0 });
    const TABLE = 0xe001_0000;
    rig.write(0x14, 4, TABLE);
    rig.write(4, 2, 6);
    for (const [i, word] of [0xfee0_0000, 0, 0x51, 0].entries())
      rig.pci.mmio.write(TABLE + 4 * i, 4, word, 0);
    rig.write(0x82, 2, 0x8000);

    rig.fn.notify(0);

    expect(rig.pci.takeInterrupts()).toEqual([0x51]);
    expect(rig.device.writes).toEqual(['4/2 6']);
  });
});

test('whatever BARs devices have: every device fits its plan, and planned BARs never overlap', () => {
  const bar = fc.record({
    index: fc.nat(5),
    kind: fc.constantFrom('memory32' as const, 'memory64' as const, 'io' as const),
    prefetchable: fc.boolean(),
    size: fc.constantFrom(16, 256, 4 * K, 64 * K),
  });
  /** No BAR takes the register of another. */
  const apart = fc.array(bar, { maxLength: 4 }).map((list) => {
    const taken = new Set<number>();
    return list.filter(({ index, kind, size }) => {
      const slots = kind === 'memory64' ? [index, index + 1] : [index];
      if (slots.some((slot) => slot > 5 || taken.has(slot)) || (kind === 'io' && size > 256)) return false;
      for (const slot of slots) taken.add(slot);
      return true;
    });
  });
  const device = fc
    .tuple(apart, fc.constantFrom(0x2000, 0x2002, 0x4000), fc.constantFrom(0x3000, 0x3004))
    .map(([list, at, pending]) => withBars(otherDsa(at, pending), list));

  fc.assert(
    fc.property(
      fc.array(device, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('drop' as const, 'emulate' as const),
      (fleet, missing) => {
        const { plan: made } = plan(fleet, { missing });
        const slots = (made.bars ?? []).flatMap(({ index, kind }) =>
          kind === 'memory64' ? [index, index + 1] : [index],
        );

        expect(fleet.flatMap((one) => checkDevice(made, one).misfits)).toEqual([]);
        expect([new Set(slots).size, slots.every((slot) => slot <= 5)]).toEqual([slots.length, true]);
      },
    ),
    { numRuns: runs(300) },
  );
});
