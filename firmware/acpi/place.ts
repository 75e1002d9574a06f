import { hex } from '../../vmm/core/u64.ts';
import type { AcpiTable } from '../description.ts';
import { badDescription } from './bytes.ts';
import { dmar } from './dmar.ts';
import { dsdt } from './dsdt.ts';
import { fadt } from './fadt.ts';
import { gtdt } from './gtdt.ts';
import { HEADER_LENGTH } from './header.ts';
import { iort } from './iort.ts';
import { madt } from './madt.ts';
import { mcfg } from './mcfg.ts';
import { RSDP_LENGTH, rsdp } from './rsdp.ts';
import { xsdt } from './xsdt.ts';

const ALIGNMENT = 16;
/** ACPI 6.3: Finding the RSDP on IA-PC Systems: searched on 16-byte boundaries here. */
const BIOS_AREA = { base: 0xe0000, end: 0x100000 } as const;

export interface AcpiRegion {
  /** Where the RSDP goes: a 16-byte boundary in 0xE0000..0xFFFFF, or anywhere outside of it. */
  readonly rsdp: number;
  /** The other tables: from `base` (rounded up to 16) to below `end`. */
  readonly base: number;
  readonly end: number;
}

export interface PlacedTable {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** As in the table, `RSD PTR ` included. */
  readonly signature: string;
}

/**
 * All tables with their addresses, RSDP first, XSDT next, then the list's own order.
 *
 * @throws TsvmmError when they do not fit, when a kind is listed twice, or when the FADT and the DSDT are not both there.
 */
export function placeTables(tables: readonly AcpiTable[], region: AcpiRegion): PlacedTable[] {
  checkList(tables);
  const cursor = new Cursor(region);
  const xsdtAddress = cursor.take('XSDT', HEADER_LENGTH + 8 * (tables.length - 1));
  const laidOut = tables.map((table) => {
    const bytes = build(table);
    return { table, bytes, address: cursor.take(table.kind, bytes.length) };
  });
  checkRsdp(region, xsdtAddress, cursor.next);
  const dsdtAddress = laidOut.find(({ table }) => table.kind === 'DSDT')!.address;
  const listed = laidOut.filter(({ table }) => table.kind !== 'DSDT').map(({ address }) => address);
  return [
    placed(region.rsdp, rsdp(xsdtAddress), 8),
    placed(xsdtAddress, xsdt(listed), 4),
    ...laidOut.map(({ table, bytes, address }) =>
      // The only table with a pointer in it, and its length does not depend on the pointer.
      placed(address, table.kind === 'FADT' ? fadt(table, dsdtAddress) : bytes, 4),
    ),
  ];
}

function build(table: AcpiTable): Uint8Array {
  switch (table.kind) {
    case 'FADT':
      return fadt(table, 0);
    case 'DSDT':
      return dsdt(table);
    case 'MCFG':
      return mcfg(table);
    case 'MADT':
      return madt(table);
    case 'GTDT':
      return gtdt(table);
    case 'DMAR':
      return dmar(table);
    case 'IORT':
      return iort(table);
  }
}

/** Hands out 16-byte aligned places of the region. */
class Cursor {
  next: number;
  readonly #end: number;

  constructor({ base, end }: AcpiRegion) {
    this.next = base;
    this.#end = end;
  }

  take(kind: string, length: number): number {
    const address = Math.ceil(this.next / ALIGNMENT) * ALIGNMENT;
    if (address + length > this.#end)
      throw badDescription(
        kind,
        `${length} bytes at ${hex(address)} do not fit in the ACPI region, which ends at ${hex(this.#end)}`,
      );
    this.next = address + length;
    return address;
  }
}

function checkList(tables: readonly AcpiTable[]): void {
  const kinds = new Set<string>();
  for (const { kind } of tables) {
    if (kinds.has(kind)) throw badDescription(kind, 'is listed twice');
    kinds.add(kind);
  }
  for (const kind of ['FADT', 'DSDT'])
    if (!kinds.has(kind)) throw badDescription(kind, 'is missing from the ACPI tables');
}

function checkRsdp({ rsdp: start }: AcpiRegion, tablesStart: number, tablesEnd: number): void {
  const end = start + RSDP_LENGTH;
  if (start < tablesEnd && tablesStart < end)
    throw badDescription('RSDP', `${hex(start)} lies inside the other ACPI tables`);
  if (start >= BIOS_AREA.base && start < BIOS_AREA.end && (start % ALIGNMENT !== 0 || end > BIOS_AREA.end))
    throw badDescription(
      'RSDP',
      `${hex(start)} is not a 16-byte boundary with room for the RSDP below 0x100000`,
    );
}

function placed(address: number, bytes: Uint8Array, signatureLength: number): PlacedTable {
  const signature = String.fromCharCode(...bytes.subarray(0, signatureLength));
  return { address, bytes, signature };
}
