/** The firmware room's edge: ACPI tables from a plain description, and PCI enumeration as boot code does it. */
export { type AcpiRegion, type PlacedTable, placeTables } from './acpi/place.ts';
export type { ConfigAccess } from './boot/config.ts';
export { enumeratePci } from './boot/enumerate.ts';
export type { Bar, BootFailure, BootFunction, BootOptions, BootResult, BridgeInfo } from './boot/types.ts';
export type * from './description.ts';
export { type DumpFile, dumpFiles } from './dump.ts';
