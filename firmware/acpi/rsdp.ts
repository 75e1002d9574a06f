import { ByteWriter } from './bytes.ts';
import { checksumOf, OEM_ID } from './header.ts';

export const RSDP_LENGTH = 36;
/** The first checksum covers the ACPI 1.0 part of the structure. */
const ACPI1_LENGTH = 20;

/** ACPI 6.3: Root System Description Pointer (RSDP) Structure, revision 2. There is no RSDT: RsdtAddress is 0. */
export function rsdp(xsdtAddress: number): Uint8Array {
  const bytes = new ByteWriter('RSDP')
    .ascii('RSD PTR ')
    .u8(0)
    .ascii(OEM_ID)
    .u8(2)
    .u32(0)
    .u32(RSDP_LENGTH)
    .u64(xsdtAddress)
    .u8(0)
    .zeros(3)
    .done();
  bytes[8] = checksumOf(bytes, ACPI1_LENGTH);
  bytes[32] = checksumOf(bytes);
  return bytes;
}
