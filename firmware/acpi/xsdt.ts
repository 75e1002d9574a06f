import { ByteWriter } from './bytes.ts';
import { buildTable } from './header.ts';

/** ACPI 6.3: Extended System Description Table (XSDT). */
export function xsdt(tableAddresses: readonly number[]): Uint8Array {
  const body = new ByteWriter('XSDT');
  for (const address of tableAddresses) body.u64(address);
  return buildTable('XSDT', 1, body.done());
}
