import type { PlacedTable } from './acpi/place.ts';

export interface DumpFile {
  /** As acpixtract names them: the signature in lower case, `dmar.dat`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What `--dump-acpi DIR` writes, one file for each table; `iasl -d` reads them. */
export function dumpFiles(tables: readonly PlacedTable[]): DumpFile[] {
  return tables.map(({ signature, bytes }) => ({
    name: `${signature === 'RSD PTR ' ? 'rsdp' : signature.toLowerCase()}.dat`,
    bytes,
  }));
}
