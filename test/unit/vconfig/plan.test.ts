import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkDevice } from '../../../devices/vconfig/check.ts';
import type { DeviceFacts } from '../../../devices/vconfig/facts.ts';
import { type FleetDevice, fleetOf } from '../../../devices/vconfig/fleet.ts';
import { bytesOf, type Plan } from '../../../devices/vconfig/plan.ts';
import { planFleet } from '../../../devices/vconfig/plan-fleet.ts';
import { DEFAULT_POLICY, type Policy } from '../../../devices/vconfig/policy.ts';
import { parseQuirks, quirksOf } from '../../../devices/vconfig/quirks.ts';
import { dissect, ownership } from '../../../devices/vconfig/space.ts';
import { declaredSpace, SPACE_DVSEC, spaceDvsec } from '../../../devices/vconfig/space-dvsec.ts';
import { synthesise } from '../../../devices/vconfig/synthesise.ts';
import { buildSpace, type DeviceRegisters, REAL } from '../../kit/config-spaces.ts';
import { runs } from '../../kit/runs.ts';

const fleet = (devices: readonly DeviceRegisters[], quirks = ''): readonly FleetDevice[] =>
  fleetOf(devices.map(buildSpace), parseQuirks('quirks', quirks));

function plan(devices: readonly FleetDevice[], policy: Partial<Policy> = {}, base?: Plan): Plan {
  const result = planFleet(devices, { ...DEFAULT_POLICY, ...policy }, base);
  if (result.plan === undefined) throw new Error(`no plan: ${result.conflict.key}`);
  return result.plan;
}

const places = (made: Plan) => made.capabilities.map(({ key, offset }) => `${key}@${offset.toString(16)}`);
const svm = ['pasid', 'ats', 'pri'];
const read16 = (bytes: Uint8Array, at: number) => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

describe('one layout for a fleet', () => {
  test('a single device keeps its places, and hidden PASID comes back where it is', () => {
    expect(places(plan(fleet([REAL.dsa])))).toEqual([
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

  test('two layouts of one family: what both have, where the first or most have it', () => {
    const made = plan(fleet([REAL.fiji, REAL.navi10]));

    expect(places(made)).toEqual([
      'vendor@48',
      'pm@50',
      'pcie@58',
      'msi@a0',
      'vsec.0001@100',
      'aer@150',
      'ats@2b0',
      'pri@2c0',
      'pasid@2d0',
    ]);
  });

  test('unlike vendors: PASIDs as wide as the narrowest, with what all of them allow', () => {
    const made = plan(fleet([REAL.skylakeGpu, REAL.dsa, REAL.fiji]));
    const pasid = made.capabilities.find(({ key }) => key === 'pasid');

    // Width 16 (Fiji); execute is missing on DSA, privilege on Skylake.
    expect(read16(bytesOf(pasid?.contents ?? ''), 4)).toBe(0x1000);
  });

  test('what one device cannot serve is not promised, with the reason', () => {
    const result = planFleet(fleet([REAL.dsa, REAL.nic82576]), DEFAULT_POLICY);

    expect(result.plan?.capabilities.filter(({ key }) => svm.includes(key))).toEqual([]);
    expect(result.changes?.[0]?.loses.find(({ key }) => key === 'pasid')).toEqual({
      key: 'pasid',
      why: '01:00.0 cannot serve it',
    });
  });

  test('the operator may want less, decide places and keep bytes free', () => {
    const made = plan(fleet([REAL.dsa]), {
      want: ['pasid'],
      offsets: { pasid: 'ff8' },
      drop: ['tph', 'vc'],
      reserve: ['150-157'],
    });

    expect(places(made).slice(3)).toEqual(['aer@100', 'ltr@148', 'dvsec.8086.0005@200', 'pasid@ff8']);
  });

  test('a capability that only one device has is dropped, or emulated if the policy says so', () => {
    const keys = (missing: 'drop' | 'emulate') =>
      plan(fleet([REAL.fiji, REAL.navi10]), { missing }).capabilities.map(
        ({ key, served }) => `${key} ${served}`,
      );

    expect(keys('drop').includes('ltr vmm')).toBe(false);
    expect(keys('emulate').includes('ltr vmm')).toBe(true);
  });

  test('a function with PASID says that it has End-End TLP prefixes, another does not', () => {
    const prefixes = (want: Policy['want']) => {
      const pcie = plan(fleet([REAL.dsa]), { want }).capabilities.find(({ key }) => key === 'pcie');
      return (bytesOf(pcie?.contents ?? '')[0x26] as number) & 0xe0;
    };

    expect([prefixes(['pasid']), prefixes(['ats'])]).toEqual([0x60, 0]);
  });
});

describe('a VF has what its PF has', () => {
  const pf: DeviceRegisters = {
    ...REAL.cxl,
    extended: REAL.cxl.extended.map((one) =>
      one[0] === 0xb80 ? [0xb80, 0x10, 1, 0xd00, 2, 1, 0x0006_0006, 2, 0x0001_0010] : one,
    ) as DeviceRegisters['extended'],
  };
  const vf: DeviceRegisters = {
    ...REAL.cxl,
    name: '6b:02.1',
    ids: [0xffff, 0xffff, 0xff0000, 0x8086, 0],
    extended: [
      [0x100, 0x0f, 1, 0xe00, 0x80],
      [0xe00, 0x23, 1, 0, 0x0380_1e98, 0x001e_0000, 2],
    ],
  };

  test('its PASID width and page requests are those of the PF in the same dump', () => {
    const spaces = [pf, vf].map((one) => ({ ...buildSpace(one), source: 'rack' }));
    const [, function1] = fleetOf(spaces, []);

    expect(function1?.facts).toEqual({
      pasidWidth: 20,
      pasidExec: true,
      pasidPriv: true,
      ats: true,
      pri: true,
    });
    expect(svm.every((key) => plan(fleetOf(spaces, [])).capabilities.some((one) => one.key === key))).toBe(
      true,
    );
  });

  test('without its PF nothing is known of it', () => {
    expect(fleet([vf])[0]?.facts).toEqual({
      pasidWidth: 0,
      pasidExec: false,
      pasidPriv: false,
      ats: true,
      pri: false,
    });
  });
});

describe('bytes that hide registers', () => {
  const quirk = (range: string) => `8086:0b25 ${range}  # a test`;

  test('nothing is put there', () => {
    const made = plan(fleet([REAL.dsa, REAL.skylakeGpu], quirk('100-23f')));

    expect(places(made).filter((one) => /pasid|ats|pri/.test(one))).toEqual([
      'pri@240',
      'ats@250',
      'pasid@258',
    ]);
  });

  test('where they leave no place, the fewest devices that do are named', () => {
    const devices = fleet(
      [REAL.dsa, REAL.skylakeGpu, REAL.fiji],
      `${quirk('100-7ff')}\n1002:7300 800-fff # other\n8086:191e 100-1ff # in vain`,
    );
    const { conflict } = planFleet(devices, { ...DEFAULT_POLICY, want: ['pasid'] });

    expect(conflict?.devices.map(({ device }) => device.space.name)).toEqual(['6a:01.0', '09:00.0']);
    expect(conflict?.devices[0]?.ranges).toEqual([{ start: 0x100, end: 0x800 }]);
  });

  test('a full space is a conflict of no device', () => {
    const { conflict } = planFleet(fleet([REAL.dsa]), { ...DEFAULT_POLICY, reserve: ['100-fff'] });

    expect([conflict?.devices, conflict?.key]).toEqual([[], 'aer']);
  });

  test.each([
    ['no id', 'x 50  # y', "quirks:1: 'x' is no vendor:device"],
    ['no ranges', '8086:1234  # y', 'quirks:1: there is no list of ranges'],
    ['a bad range', '8086:1234 50-4f  # y', "quirks:1: '50-4f' is no range of bytes"],
    ['no reason', '8086:1234 50', 'quirks:1: the line does not say why'],
    ['a bad subsystem', '8086:1234 x 50 # y', "quirks:1: 'x' is no subsystem"],
  ])('a list with %s', (_, text, message) => {
    expect(() => parseQuirks('quirks', text)).toThrow(message);
  });

  test('lines apply by vendor, device and subsystem', () => {
    const list = parseQuirks(
      'q',
      '8086:* 50 # all\n8086:0b25 51 # it\n8086:191e 52 # other\n8086:0b25 8086:0000 53-54,60 # sub\n8086:0b25 8086:0001 55 # not\n',
    );
    const { bytes } = buildSpace(REAL.dsa);

    expect(quirksOf(bytes, list).map(({ why }) => why)).toEqual(['all', 'it', 'sub']);
  });
});

describe('a device that declares its space', () => {
  const withList = (id: number, ranges: readonly { start: number; end: number }[]) => {
    const space = buildSpace(REAL.dsa);
    const body = spaceDvsec(id, ranges);
    space.bytes.set(body, 0x300);
    new DataView(space.bytes.buffer).setUint16(0x242, 0x3001, true);
    return space;
  };

  test('free space: everything else unclaimed is not free, whatever a list says', () => {
    const space = withList(SPACE_DVSEC.free, [{ start: 0x400, end: 0x500 }]);
    const [device] = fleetOf([space], parseQuirks('q', '8086:0b25 400-4ff # wrong'));

    expect(declaredSpace(space.bytes).free).toEqual([{ start: 0x400, end: 0x500 }]);
    expect([
      device?.blockedBy,
      device?.blocked.some(({ start, end }) => start < 0x500 && end > 0x400),
    ]).toEqual(['DVSEC', false]);
  });

  test('wrapped registers replace the list', () => {
    const [device] = fleetOf(
      [withList(SPACE_DVSEC.wrapped, [{ start: 0x800, end: 0x810 }])],
      parseQuirks('q', '8086:0b25 400-4ff # wrong'),
    );

    expect([device?.blockedBy, device?.blocked]).toEqual(['DVSEC', [{ start: 0x800, end: 0x810 }]]);
  });

  test('a plan can declare what it leaves free, and the declaration is read back', () => {
    const devices = fleet([REAL.dsa]);
    const bytes = synthesise(plan(devices, { declareFree: true }), devices[0]);
    const free = declaredSpace(bytes).free ?? [];
    const unclaimed = ownership(bytes).filter((owner) => owner.class === 'unclaimed');

    expect(free.filter(({ start }) => start >= 0x100)).toEqual(
      unclaimed.filter(({ start }) => start >= 0x100).map(({ start, end }) => ({ start, end })),
    );
  });
});

describe('a synthesised space', () => {
  test("has the plan's chains, disabled controls, and the bytes that are a device's own", () => {
    const devices = fleet([
      REAL.cxl,
      {
        ...REAL.cxl,
        name: '6c:00.0',
        extended: REAL.cxl.extended.map((one) =>
          one[0] === 0xe38 ? [0xe38, 0x03, 1, 0, 0x1111_1111, 0x2222_2222] : one,
        ) as DeviceRegisters['extended'],
      },
    ]);
    const made = plan(devices);
    const [first, second] = devices.map((device) => synthesise(made, device)) as [Uint8Array, Uint8Array];
    const dsn = made.capabilities.find(({ key }) => key === 'dsn')?.offset ?? 0;

    expect(dissect(first).diagnoses).toEqual([]);
    expect(dissect(first).capabilities.map(({ key }) => key)).toEqual(
      made.capabilities.map(({ key }) => key),
    );
    expect([first[dsn + 7], second[dsn + 7]]).toEqual([0x11, 0x11]);
    expect([read16(first, dsn + 4), read16(second, dsn + 4)]).toEqual([0, 0x1111]);
    expect(first.findIndex((byte, at) => byte !== second[at])).toBe(dsn + 4);
  });

  test('begins its extended chain with an anchor where 100h is not used', () => {
    const bytes = synthesise(plan(fleet([REAL.dsa]), { reserve: ['100-13f'] }));

    expect([...bytes.subarray(0x100, 0x104)]).toEqual([0, 0, 0, 0x14]);
  });
});

describe('a plan that guests have seen', () => {
  const base = plan(fleet([REAL.fiji]));

  test('keeps every place and every byte when devices are added', () => {
    const larger = plan(fleet([REAL.fiji, REAL.navi10]), {}, base);

    expect(larger.capabilities).toEqual(base.capabilities);
    expect(larger.devices.map(({ name }) => name)).toEqual(['09:00.0', '2f:00.0']);
  });

  test.each([
    [
      'a device that promises less PASIDs',
      { pasidWidth: 10 },
      'pasid',
      'the plan has PASIDs of 16 bits, the device of 10',
    ],
    ['one without page requests', { pri: false }, 'pri', 'the host reports no PRI for it'],
    [
      'one without execute',
      { pasidExec: false },
      'pasid',
      'the plan allows execute requests, the device has none',
    ],
  ])('%s does not fit', (_, change: Partial<DeviceFacts>, key, why) => {
    const [device] = fleet([REAL.fiji]);
    const worse = { ...(device as FleetDevice), facts: { ...(device as FleetDevice).facts, ...change } };

    expect(checkDevice(base, worse).misfits).toEqual([{ key, why }]);
  });

  test('a device with hidden registers in a planned place does not fit', () => {
    const [device] = fleet([REAL.fiji], '1002:7300 2d4-2d5 # x');

    expect(checkDevice(base, device as FleetDevice).misfits).toEqual([
      { key: 'pasid', why: 'bytes 2d4-2d5 hold registers of the device (quirk list)' },
    ]);
  });

  test('says where each capability comes from', () => {
    const [device] = fleet([REAL.navi10]);

    expect(checkDevice(base, device as FleetDevice).served.find(({ key }) => key === 'pcie')).toEqual({
      key: 'pcie',
      by: 'the device, from 64h',
    });
  });
});

// Rules.

const capability = fc.record({
  id: fc.constantFrom(0x01, 0x03, 0x0b, 0x0e, 0x0f, 0x13, 0x18, 0x1b, 0x23),
  at: fc.integer({ min: 0x41, max: 0x3f0 }),
  word: fc.integer({ min: 0, max: 0xffff }),
});
const device = fc
  .record({ capabilities: fc.array(capability, { maxLength: 8 }), vendor: fc.constantFrom(0x8086, 0x1002) })
  .map(({ capabilities, vendor }) => {
    const sorted = [...new Map(capabilities.map((one) => [one.at & ~15, one])).entries()].sort(
      (a, b) => a[0] - b[0],
    );
    const extended = sorted.map(([slot, { id, word }], index) => {
      const length = id === 0x0b || id === 0x23 ? (0x30 << 20) >>> 0 : 0;
      return [
        slot * 4,
        id,
        1,
        (sorted[index + 1]?.[0] ?? 0) * 4,
        (length | (id === 0x1b ? 0x1000 | (word & 6) : word)) >>> 0,
      ] as const;
    });
    const anchored =
      extended.length === 0 ? [] : [[0x100, 0x04, 1, extended[0]?.[0] ?? 0] as const, ...extended];
    return {
      name: '00:01.0',
      title: '',
      ids: [vendor, 1, 0, 0, 0],
      first: 0x40,
      standard: [[0x40, 0x10, 0, 0x02]],
      extended: anchored,
    } as DeviceRegisters;
  });
const quirkText = fc
  .array(
    fc.tuple(
      fc.constantFrom('8086', '1002'),
      fc.integer({ min: 0x110, max: 0xf00 }),
      fc.integer({ min: 1, max: 255 }),
    ),
    { maxLength: 4 },
  )
  .map((list) =>
    list
      .map(
        ([vendor, start, length]) =>
          `${vendor}:0001 ${start.toString(16)}-${Math.min(0xfff, start + length).toString(16)} # r`,
      )
      .join('\n'),
  );
const policy = fc.record({
  want: fc.subarray(['pasid', 'ats', 'pri'] as const),
  missing: fc.constantFrom('drop', 'emulate'),
  declareFree: fc.boolean(),
}) as fc.Arbitrary<Partial<Policy>>;
const many = fc.tuple(fc.array(device, { minLength: 1, maxLength: 5 }), quirkText, policy);

describe('for any fleet', () => {
  test('no two capabilities of a plan share a byte, none lies on hidden registers, and it decodes as planned', () => {
    let plans = 0;
    let withSvm = 0;
    fc.assert(
      fc.property(many, ([list, quirks, wish]) => {
        const devices = fleet(list, quirks);
        const result = planFleet(devices, { ...DEFAULT_POLICY, ...wish });
        if (result.plan === undefined) return;
        plans++;
        if (result.plan.capabilities.some(({ key }) => svm.includes(key))) withSvm++;
        const bytes = synthesise(result.plan, devices[0]);
        const taken = new Set<number>();
        for (const { offset, length } of result.plan.capabilities) {
          for (let at = offset; at < offset + length; at++) {
            expect([
              at,
              taken.has(at),
              devices.some(({ blocked }) => blocked.some(({ start, end }) => start <= at && at < end)),
            ]).toEqual([at, false, false]);
            taken.add(at);
          }
        }
        const seen = dissect(bytes);
        expect([seen.diagnoses, seen.capabilities.map(({ key }) => key)]).toEqual([
          [],
          result.plan.capabilities.map(({ key }) => key),
        ]);
      }),
      { numRuns: runs(300, 60) },
    );
    // Most fleets have a plan, and some promise shared virtual memory: else nothing was looked at.
    expect([plans > runs(200, 30), withSvm > runs(20, 1)]).toEqual([true, true]);
  });

  test('every device of a plan passes its check, and planning again with it as base changes nothing', () => {
    fc.assert(
      fc.property(many, ([list, quirks, wish]) => {
        const devices = fleet(list, quirks);
        const result = planFleet(devices, { ...DEFAULT_POLICY, ...wish });
        if (result.plan === undefined) return;
        const made = result.plan;
        expect(devices.flatMap((one) => checkDevice(made, one).misfits)).toEqual([]);
        expect(planFleet(devices, made.policy, made).plan?.capabilities).toEqual(made.capabilities);
        expect(planFleet(devices, made.policy).plan).toEqual(made);
      }),
      { numRuns: runs(300) },
    );
  });

  test('adding a device to a plan that guests have seen moves nothing', () => {
    fc.assert(
      fc.property(many, device, ([list, quirks, wish], more) => {
        const before = planFleet(fleet(list, quirks), { ...DEFAULT_POLICY, ...wish }).plan;
        if (before === undefined) return;
        const after = planFleet(fleet([...list, more], quirks), before.policy, before).plan;
        if (after !== undefined) expect(places(after)).toEqual(places(before));
      }),
      { numRuns: runs(200) },
    );
  });
});
