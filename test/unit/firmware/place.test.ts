import { describe, expect, test } from 'vitest';
import { placeTables } from '../../../firmware/acpi/place.ts';
import type { AcpiTable } from '../../../firmware/description.ts';
import { dumpFiles } from '../../../firmware/dump.ts';
import { SAMPLE_TABLES } from '../../kit/sample-acpi.ts';

const REGION = { rsdp: 0xf0000, base: 0x7fe0_0008, end: 0x7fe0_2000 };
const MINIMAL: readonly AcpiTable[] = [{ kind: 'DSDT', hostBridges: [] }, { kind: 'FADT' }];

const u64At = (bytes: Uint8Array, offset: number) =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset, true));

describe('tables placed in a region', () => {
  test('lie on 16-byte boundaries, one after the other, behind the XSDT', () => {
    const placed = placeTables(MINIMAL, REGION);
    expect(placed.map(({ signature, address }) => [signature, address])).toEqual([
      ['RSD PTR ', 0xf0000],
      ['XSDT', 0x7fe0_0010], // 36 + 8 bytes
      ['DSDT', 0x7fe0_0040], // 36 bytes of header, 6 of an empty scope
      ['FACP', 0x7fe0_0070],
    ]);
  });

  test('pointers lead from the RSDP to every table', () => {
    const placed = placeTables(MINIMAL, REGION);
    const [rsdp, xsdt, , fadt] = placed.map(({ bytes }) => bytes);
    expect(u64At(rsdp!, 24)).toBe(0x7fe0_0010);
    expect(xsdt!.length).toBe(44);
    expect(u64At(xsdt!, 36)).toBe(0x7fe0_0070);
    expect(u64At(fadt!, 140)).toBe(0x7fe0_0040);
  });

  test('every table of a full machine sums to zero and is found through the XSDT, the DSDT excepted', () => {
    const placed = placeTables(SAMPLE_TABLES, REGION);
    const xsdt = placed[1]!.bytes;
    const listed = [36, 44, 52, 60].map((offset) => u64At(xsdt, offset));
    expect(placed.map(({ bytes }) => bytes.reduce((a, b) => (a + b) & 0xff, 0))).toEqual([
      0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(listed.map((address) => placed.find((table) => table.address === address)?.signature)).toEqual([
      'FACP',
      'MCFG',
      'APIC',
      'DMAR',
    ]);
  });

  test('the RSDP may lie at any address outside of the BIOS area', () => {
    expect(placeTables(MINIMAL, { ...REGION, rsdp: 0x7fe0_1ffc })[0]!.address).toBe(0x7fe0_1ffc);
  });

  test.each([
    [
      'FADT: 276 bytes at 0x7fe00070 do not fit in the ACPI region, which ends at 0x7fe00100',
      { end: 0x7fe0_0100 },
    ],
    ['RSDP: 0x7fe00040 lies inside the other ACPI tables', { rsdp: 0x7fe0_0040 }],
    ['RSDP: 0xf0008 is not a 16-byte boundary', { rsdp: 0xf0008 }],
    ['RSDP: 0xffff0 is not a 16-byte boundary with room', { rsdp: 0xffff0 }],
  ])('%s', (message, change) => {
    expect(() => placeTables(MINIMAL, { ...REGION, ...change })).toThrow(message);
  });

  test.each<[string, readonly AcpiTable[]]>([
    ['FADT: is missing', [{ kind: 'DSDT', hostBridges: [] }]],
    ['DSDT: is missing', [{ kind: 'FADT' }]],
    ['FADT: is listed twice', [...MINIMAL, { kind: 'FADT' }]],
  ])('%s', (message, tables) => {
    expect(() => placeTables(tables, REGION)).toThrow(message);
  });
});

test('dump files are named after the signatures', () => {
  const placed = placeTables(SAMPLE_TABLES, REGION);
  const files = dumpFiles(placed);
  expect(files.map(({ name }) => name)).toEqual([
    'rsdp.dat',
    'xsdt.dat',
    'facp.dat',
    'dsdt.dat',
    'mcfg.dat',
    'apic.dat',
    'dmar.dat',
  ]);
  expect(files[6]!.bytes).toBe(placed[6]!.bytes);
});
