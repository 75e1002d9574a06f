import { describe, expect, test } from 'vitest';
import { buffer, hardwareId, integer, packageLength } from '../../../firmware/acpi/aml.ts';
import { dmar } from '../../../firmware/acpi/dmar.ts';
import { dsdt } from '../../../firmware/acpi/dsdt.ts';
import { fadt } from '../../../firmware/acpi/fadt.ts';
import { buildTable } from '../../../firmware/acpi/header.ts';
import { iort } from '../../../firmware/acpi/iort.ts';
import { madt } from '../../../firmware/acpi/madt.ts';
import { mcfg } from '../../../firmware/acpi/mcfg.ts';
import { rsdp } from '../../../firmware/acpi/rsdp.ts';
import { xsdt } from '../../../firmware/acpi/xsdt.ts';
import type { DmarStructure, HostBridgeDescription, IortDescription } from '../../../firmware/description.ts';

const hex = (bytes: Uint8Array | readonly number[], from = 0, to = bytes.length) =>
  Array.from(bytes.slice(from, to), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

describe('the common header', () => {
  test('has signature, length, revision, checksum, OEM and creator ids', () => {
    const table = buildTable('TEST', 3, Uint8Array.of(0xaa, 0xbb));
    expect(hex(table, 0, 9)).toBe('54 45 53 54 26 00 00 00 03');
    expect(hex(table, 10, 38)).toBe(
      '54 53 56 4d 4d 20 54 53 56 4d 54 45 53 54 01 00 00 00 54 53 56 4d 01 00 00 00 aa bb',
    );
    expect(sum(table)).toBe(0);
  });
});

describe('RSDP and XSDT', () => {
  test('the RSDP has revision 2, the XSDT address and both checksums', () => {
    const bytes = rsdp(0x1_7fe0_0000);
    expect(hex(bytes, 0, 8)).toBe('52 53 44 20 50 54 52 20');
    expect(hex(bytes, 9, 32)).toBe('54 53 56 4d 4d 20 02 00 00 00 00 24 00 00 00 00 00 e0 7f 01 00 00 00');
    expect(bytes.length).toBe(36);
    expect([sum(bytes.subarray(0, 20)), sum(bytes)]).toEqual([0, 0]);
  });

  test('the XSDT lists 64-bit addresses', () => {
    const bytes = xsdt([0x7fe0_0100, 0x1_0000_0000]);
    expect(hex(bytes, 0, 9)).toBe('58 53 44 54 34 00 00 00 01');
    expect(hex(bytes, 36)).toBe('00 01 e0 7f 00 00 00 00 00 00 00 00 01 00 00 00');
    expect(sum(bytes)).toBe(0);
  });
});

describe('FADT', () => {
  test('is hardware-reduced, version 6.3, and points at the DSDT twice', () => {
    const bytes = fadt({ kind: 'FADT' }, 0x7fe0_0100);
    expect(hex(bytes, 0, 9)).toBe('46 41 43 50 14 01 00 00 06');
    // FIRMWARE_CTRL, DSDT.
    expect(hex(bytes, 36, 44)).toBe('00 00 00 00 00 01 e0 7f');
    // Flags: WBINVD, PWR_BUTTON, SLP_BUTTON, HW_REDUCED_ACPI.
    expect(hex(bytes, 112, 116)).toBe('31 00 10 00');
    // RESET_REG and RESET_VALUE, ARM_BOOT_ARCH, minor version, X_FIRMWARE_CTRL, X_DSDT.
    expect(hex(bytes, 116, 148)).toBe(
      '00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 00 00 01 e0 7f 00 00 00 00',
    );
    expect(sum(bytes)).toBe(0);
  });

  test('a reset register is described and announced', () => {
    const bytes = fadt({ kind: 'FADT', resetRegister: { space: 'io', address: 0xcf9, value: 6 } }, 0);
    expect(hex(bytes, 112, 129)).toBe('31 04 10 00 01 08 00 01 f9 0c 00 00 00 00 00 00 06');
  });

  test('a DSDT above 4 GiB is in X_DSDT only', () => {
    const bytes = fadt({ kind: 'FADT' }, 0x1_0000_0000);
    expect(hex(bytes, 40, 44)).toBe('00 00 00 00');
    expect(hex(bytes, 140, 148)).toBe('00 00 00 00 01 00 00 00');
  });

  test.each([
    ['legacyDevices', '01 00'],
    ['i8042', '02 00'],
    ['vgaAbsent', '04 00'],
    ['msiUnsupported', '08 00'],
    ['cmosRtcAbsent', '20 00'],
  ])('boot architecture flag %s', (flag, expected) => {
    expect(hex(fadt({ kind: 'FADT', bootArchitecture: { [flag]: true } }, 0), 109, 111)).toBe(expected);
  });
});

describe('MCFG and MADT', () => {
  test('an ECAM allocation', () => {
    const bytes = mcfg({
      kind: 'MCFG',
      allocations: [{ base: 0xb000_0000, segment: 1, firstBus: 2, lastBus: 255 }],
    });
    expect(hex(bytes, 0, 9)).toBe('4d 43 46 47 3c 00 00 00 01');
    expect(hex(bytes, 36)).toBe('00 00 00 00 00 00 00 00 00 00 00 b0 00 00 00 00 01 00 02 ff 00 00 00 00');
    expect(sum(bytes)).toBe(0);
  });

  test('processors, IOAPIC and overrides', () => {
    const bytes = madt({
      kind: 'MADT',
      localApicAddress: 0xfee0_0000,
      has8259: true,
      processors: [
        { uid: 1, apicId: 0 },
        { uid: 2, apicId: 255 },
      ],
      ioApics: [{ id: 4, address: 0xfec0_0000, gsiBase: 24 }],
      interruptOverrides: [{ source: 9, gsi: 20, polarity: 'low', trigger: 'level' }],
    });
    expect(hex(bytes, 0, 9)).toBe('41 50 49 43 5a 00 00 00 05');
    expect(hex(bytes, 36, 44)).toBe('00 00 e0 fe 01 00 00 00');
    expect(hex(bytes, 44, 52)).toBe('00 08 01 00 01 00 00 00');
    expect(hex(bytes, 52, 68)).toBe('09 10 00 00 ff 00 00 00 01 00 00 00 02 00 00 00');
    expect(hex(bytes, 68, 80)).toBe('01 0c 04 00 00 00 c0 fe 18 00 00 00');
    expect(hex(bytes, 80, 90)).toBe('02 0a 00 09 14 00 00 00 0f 00');
    expect(sum(bytes)).toBe(0);
  });
});

describe('DMAR', () => {
  const endpoint = { type: 'endpoint', startBus: 0, path: [{ device: 3, fn: 1 }] } as const;
  const table = (...structures: DmarStructure[]) =>
    dmar({
      kind: 'DMAR',
      hostAddressWidth: 39,
      interruptRemapping: true,
      x2apicOptOut: true,
      dmaControlOptIn: true,
      structures,
    });
  const body = (structure: DmarStructure) => hex(table(structure), 48);

  test('the header has the width minus 1, the flags and ten reserved bytes', () => {
    const bytes = table();
    expect(hex(bytes, 0, 9)).toBe('44 4d 41 52 30 00 00 00 01');
    expect(hex(bytes, 36)).toBe('26 07 00 00 00 00 00 00 00 00 00 00');
    expect(sum(bytes)).toBe(0);
  });

  test.each([
    [{ interruptRemapping: true, x2apicOptOut: false, dmaControlOptIn: false }, 1],
    [{ interruptRemapping: true, x2apicOptOut: true, dmaControlOptIn: false }, 3],
    [{ interruptRemapping: false, x2apicOptOut: false, dmaControlOptIn: true }, 4],
  ])('flags %j are %i', (flags, expected) => {
    expect(dmar({ kind: 'DMAR', hostAddressWidth: 48, structures: [], ...flags })[37]).toBe(expected);
  });

  test('DRHD with an IOAPIC scope', () => {
    expect(
      body({
        type: 'DRHD',
        segment: 0,
        base: 0xfed9_0000,
        windowOrder: 1,
        includePciAll: true,
        scopes: [{ type: 'ioapic', enumerationId: 2, startBus: 0xff, path: [{ device: 0, fn: 0 }] }],
      }),
    ).toBe('00 00 18 00 01 01 00 00 00 00 d9 fe 00 00 00 00 03 08 00 00 02 ff 00 00');
  });

  test('RMRR with an endpoint behind a bridge', () => {
    const path = [
      { device: 0x1c, fn: 4 },
      { device: 0, fn: 1 },
    ];
    expect(
      body({
        type: 'RMRR',
        segment: 2,
        base: 0x1000,
        limit: 0x2fff,
        scopes: [{ type: 'endpoint', startBus: 0, path }],
      }),
    ).toBe(
      '01 00 22 00 00 00 02 00 00 10 00 00 00 00 00 00 ff 2f 00 00 00 00 00 00 01 0a 00 00 00 00 1c 04 00 01',
    );
  });

  test('ATSR for all ports, and for one root port', () => {
    expect(body({ type: 'ATSR', segment: 1, allPorts: true, scopes: [] })).toBe('02 00 08 00 01 00 01 00');
    expect(
      body({
        type: 'ATSR',
        segment: 0,
        allPorts: false,
        scopes: [{ type: 'bridge', startBus: 0, path: [{ device: 1, fn: 0 }] }],
      }),
    ).toBe('02 00 10 00 00 00 00 00 02 08 00 00 00 00 01 00');
  });

  test('RHSA', () => {
    expect(body({ type: 'RHSA', drhdBase: 0xfed9_0000, proximityDomain: 3 })).toBe(
      '03 00 14 00 00 00 00 00 00 00 d9 fe 00 00 00 00 03 00 00 00',
    );
  });

  test('ANDD', () => {
    expect(body({ type: 'ANDD', deviceNumber: 1, name: '\\_SB.D' })).toBe(
      '04 00 0f 00 00 00 00 01 5c 5f 53 42 2e 44 00',
    );
  });

  test('SATC', () => {
    expect(body({ type: 'SATC', segment: 0, atcRequired: true, scopes: [endpoint] })).toBe(
      '05 00 10 00 01 00 00 00 01 08 00 00 00 00 03 01',
    );
  });

  test.each([
    [{ noNested: true }, '01'],
    [{ noPwsnp: true }, '02'],
    [{ noPgsnp: true }, '04'],
    [{ atcHardened: true }, '08'],
    [{ atcRequired: true }, '10'],
  ])('SIDP scope with %j', (properties, flags) => {
    expect(body({ type: 'SIDP', segment: 0, scopes: [{ ...endpoint, properties }] })).toBe(
      `06 00 10 00 00 00 00 00 01 08 ${flags} 00 00 00 03 01`,
    );
  });

  test.each([
    ['hpet', '04 08 00 00 07 00 03 01'],
    ['namespace', '05 08 00 00 07 00 03 01'],
  ] as const)('a scope of type %s', (type, expected) => {
    const scopes = [{ ...endpoint, type, enumerationId: 7 }];
    expect(body({ type: 'SATC', segment: 0, atcRequired: false, scopes }).slice(24)).toBe(expected);
  });

  test("types ascend and a segment's catch-all unit is its last", () => {
    const unit = (base: number, segment: number, includePciAll: boolean) =>
      ({ type: 'DRHD', base, segment, includePciAll, scopes: [endpoint] }) as const;
    const bytes = table(
      { type: 'ATSR', segment: 0, allPorts: true, scopes: [] },
      unit(0x1000, 0, true),
      unit(0x2000, 0, false),
      unit(0x3000, 1, true),
      { type: 'RMRR', segment: 0, base: 0, limit: 0xfff, scopes: [endpoint] },
      unit(0x4000, 1, false),
    );
    // Second byte of the base of each DRHD (24 bytes each), then the types of RMRR and ATSR.
    expect([0, 24, 48, 72].map((at) => bytes[48 + at + 9])).toEqual([0x20, 0x40, 0x10, 0x30]);
    expect([bytes[48 + 96], bytes[48 + 96 + 32]]).toEqual([1, 2]);
  });

  test.each<[string, DmarStructure]>([
    [
      'DRHD: base 0x1800 is not aligned to the register window',
      { type: 'DRHD', segment: 0, base: 0x1800, includePciAll: true, scopes: [] },
    ],
    [
      'DRHD: needs includePciAll or at least one device scope',
      { type: 'DRHD', segment: 0, base: 0, includePciAll: false, scopes: [] },
    ],
    [
      'RMRR: 0x1000..0x1ffe is not a range of whole pages',
      { type: 'RMRR', segment: 0, base: 0x1000, limit: 0x1ffe, scopes: [endpoint] },
    ],
    [
      'RMRR: needs at least one device scope',
      { type: 'RMRR', segment: 0, base: 0, limit: 0xfff, scopes: [] },
    ],
    [
      'ATSR: needs either allPorts or a list of root ports',
      { type: 'ATSR', segment: 0, allPorts: true, scopes: [endpoint] },
    ],
    ['ANDD: 256 does not fit in 8 bits', { type: 'ANDD', deviceNumber: 256, name: 'X' }],
    [
      'Device scope: its path is empty',
      { type: 'SATC', segment: 0, atcRequired: true, scopes: [{ ...endpoint, path: [] }] },
    ],
    [
      'Device scope: there is no PCI function 32.0',
      {
        type: 'SATC',
        segment: 0,
        atcRequired: true,
        scopes: [{ ...endpoint, path: [{ device: 32, fn: 0 }] }],
      },
    ],
  ])('%s', (message, structure) => {
    expect(() => table(structure)).toThrow(message);
  });

  test('two catch-all units of one segment are refused', () => {
    const unit = { type: 'DRHD', segment: 0, base: 0, includePciAll: true, scopes: [] } as const;
    expect(() => table(unit, unit)).toThrow('DMAR: segment 0 has two units with includePciAll');
  });
});

describe('AML', () => {
  test('constants take their shortest form', () => {
    expect([0, 1, 2, 0xff, 0x100, 0xffff, 0x1ffff].map((value) => hex(integer(value)))).toEqual([
      '00',
      '01',
      '0a 02',
      '0a ff',
      '0b 00 01',
      '0b ff ff',
      '0c ff ff 01 00',
    ]);
  });

  test('package lengths count their own bytes', () => {
    expect([0, 62, 63, 4093, 4094].map((length) => hex(packageLength(length)))).toEqual([
      '01',
      '3f',
      '41 04',
      '4f ff',
      '81 00 01',
    ]);
  });

  test('EISA ids are compressed and ACPI ids are strings', () => {
    expect(hex(hardwareId('PNP0A08'))).toBe('0c 41 d0 0a 08');
    expect(hex(hardwareId('ACPI0007'))).toBe('0d 41 43 50 49 30 30 30 37 00');
  });

  test('a buffer holds its length', () => {
    expect(hex(buffer(Uint8Array.of(0x79, 0)))).toBe('11 05 0a 02 79 00');
  });
});

describe('DSDT', () => {
  const bridge: HostBridgeDescription = {
    name: 'PCI0',
    uid: 0,
    segment: 0,
    firstBus: 0,
    lastBus: 255,
    ioWindows: [],
    memoryWindows: [],
  };
  const table = (parts: Partial<HostBridgeDescription>) =>
    hex(dsdt({ kind: 'DSDT', hostBridges: [{ ...bridge, ...parts }] }), 36);

  test('a host bridge with its buses', () => {
    expect(table({})).toBe(
      [
        '10 4f 04 5f 53 42 5f', // Scope (_SB)
        '5b 82 47 04 50 43 49 30', // Device (PCI0)
        '08 5f 48 49 44 0c 41 d0 0a 08', // _HID PNP0A08
        '08 5f 43 49 44 0c 41 d0 0a 03', // _CID PNP0A03
        '08 5f 55 49 44 00', // _UID
        '08 5f 53 45 47 00', // _SEG
        '08 5f 42 42 4e 00', // _BBN
        '08 5f 43 52 53 11 15 0a 12', // _CRS
        '88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01', // WordBusNumber
        '79 00', // EndTag
      ].join(' '),
    );
  });

  test('its windows', () => {
    const bytes = table({
      ownPorts: [{ base: 0xcf8, length: 8 }],
      ioWindows: [{ base: 0xd00, length: 0xf300 }],
      memoryWindows: [
        { base: 0xc000_0000, length: 0x3ec0_0000 },
        { base: 0x8_0000_0000, length: 0x1_0000_0000, prefetchable: true },
      ],
    });
    expect(bytes).toContain('47 01 f8 0c f8 0c 01 08');
    expect(bytes).toContain('88 0d 00 01 0c 03 00 00 00 0d ff ff 00 00 00 f3');
    expect(bytes).toContain('87 17 00 00 0c 01 00 00 00 00 00 00 00 c0 ff ff bf fe 00 00 00 00 00 00 c0 3e');
    expect(bytes).toContain(
      '8a 2b 00 00 0c 07 00 00 00 00 00 00 00 00 00 00 00 00 08 00 00 00 ff ff ff ff 08 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00',
    );
  });

  test('its interrupt routing: any function of device 2, INTB, GSI 17', () => {
    const interruptRouting = [{ device: 2, pin: 2, gsi: 17 }];
    expect(table({ interruptRouting })).toContain(
      '08 5f 50 52 54 12 0e 01 12 0b 04 0c ff ff 02 00 01 00 0a 11',
    );
  });

  test('a motherboard resource', () => {
    const devices = [
      { name: 'ECAM', hid: 'PNP0C02', uid: 1, memory: [{ base: 0xb000_0000, length: 0x1000_0000 }] },
    ];
    expect(hex(dsdt({ kind: 'DSDT', hostBridges: [], devices }), 36)).toBe(
      '10 33 5f 53 42 5f 5b 82 2c 45 43 41 4d 08 5f 48 49 44 0c 41 d0 0c 02 08 5f 55 49 44 01 08 5f 43 52 53 11 11 0a 0e 86 09 00 01 00 00 00 b0 00 00 00 10 79 00',
    );
  });

  test.each<[string, Partial<HostBridgeDescription>]>([
    ['"pci" is not an ACPI name segment', { name: 'pci' }],
    ['bus range 0..256 is not one', { lastBus: 256 }],
    ['there is no interrupt pin 5 of PCI device 1', { interruptRouting: [{ device: 1, pin: 5, gsi: 1 }] }],
    ['range 0xff00 + 0x200 is empty or ends above 0x10000', { ioWindows: [{ base: 0xff00, length: 0x200 }] }],
  ])('%s', (message, parts) => {
    expect(() => table(parts)).toThrow(`DSDT: ${message}`);
  });
});

describe('IORT', () => {
  const described: IortDescription = {
    kind: 'IORT',
    smmu: {
      base: 0x09050000,
      coherent: true,
      httu: 0,
      gsi: { event: 106, pri: 107, sync: 108, gerror: 109 },
    },
    rootComplex: { segment: 0, ats: false, pri: false, pasid: false, addressBits: 44 },
    reserved: [],
  };
  const withRoot = (change: Partial<IortDescription['rootComplex']>) =>
    iort({ ...described, rootComplex: { ...described.rootComplex, ...change } });
  /** The root complex follows the header, the number of nodes and the SMMU: 36, 12 and 68 bytes. */
  const ROOT = 36 + 12 + 68;

  test('without page requests and PASIDs it is of issue D', () => {
    const bytes = withRoot({ ats: true });
    // Table and node revisions.
    expect([bytes[8], bytes[48 + 3], bytes[ROOT + 3]]).toEqual([0, 2, 1]);
    expect(hex(bytes, ROOT)).toBe(
      '02 38 00 01 00 00 00 00 01 00 00 00 24 00 00 00 01 00 00 00 00 00 00 03 ' +
        '01 00 00 00 00 00 00 00 2c 00 00 00 00 00 00 00 ff ff 00 00 00 00 00 00 30 00 00 00 00 00 00 00',
    );
    expect(sum(bytes)).toBe(0);
  });

  test.each([
    [{ ats: false }, 0],
    [{ ats: true }, 1],
    [{ ats: true, pri: true }, 3],
    [{ pasid: true }, 4],
    [{ ats: true, pri: true, pasid: true }, 7],
  ])('a root complex with %o has ATS attribute %d', (root, attribute) => {
    expect(hex(withRoot(root), ROOT + 24, ROOT + 28)).toBe(hex([attribute, 0, 0, 0]));
  });

  test.each([{ pri: true }, { pasid: true }])(
    'with %o it is of issue E.d, and nodes have identifiers',
    (root) => {
      const bytes = withRoot(root);
      expect([bytes[8], bytes[48 + 3], bytes[ROOT + 3]]).toEqual([5, 4, 3]);
      expect([hex(bytes, 48 + 4, 48 + 8), hex(bytes, ROOT + 4, ROOT + 8)]).toEqual([
        '00 00 00 00',
        '01 00 00 00',
      ]);
      expect(sum(bytes)).toBe(0);
    },
  );
});
