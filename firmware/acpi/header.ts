import { ByteWriter } from './bytes.ts';

/** ACPI 6.3: System Description Table Header. */
export const HEADER_LENGTH = 36;
const CHECKSUM_OFFSET = 9;
export const OEM_ID = 'TSVMM ';
const CREATOR_ID = 'TSVM';
const OEM_REVISION = 1;
const CREATOR_REVISION = 1;

/** The byte that makes the sum of bytes 0..length-1 zero modulo 256. */
export function checksumOf(bytes: Uint8Array, length = bytes.length): number {
  let sum = 0;
  let i = 0;
  // Four in a step: the DSDT has thousands, and each start adds them up in the interpreter.
  for (; i + 4 <= length; i += 4) sum += bytes[i]! + bytes[i + 1]! + bytes[i + 2]! + bytes[i + 3]!;
  for (; i < length; i++) sum += bytes[i]!;
  return -sum & 0xff;
}

/** Header, body, length and checksum of every table but the RSDP. The OEM table id is TSVM and the signature. */
export function buildTable(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const table = new ByteWriter(signature)
    .ascii(signature)
    .u32(HEADER_LENGTH + body.length)
    .u8(revision)
    .u8(0)
    .ascii(OEM_ID)
    .ascii(`TSVM${signature}`)
    .u32(OEM_REVISION)
    .ascii(CREATOR_ID)
    .u32(CREATOR_REVISION)
    .bytes(body)
    .done();
  table[CHECKSUM_OFFSET] = checksumOf(table);
  return table;
}
