/**
 * CRC-32C (polynomial 1EDC6F41h) with the switches of the CRC operations. The register is kept unreflected, most
 * significant bit first, so that both reflections are matters of the edges.
 */
const POLYNOMIAL = 0x1edc6f41;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let i = 0; i < 8; i++) crc = crc & 0x80000000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let out = 0;
  for (let i = 0; i < 8; i++) if ((byte & (1 << i)) !== 0) out |= 0x80 >> i;
  return out;
});

function reverse32(value: number): number {
  return (
    (REVERSED[value & 0xff]! << 24) |
    (REVERSED[(value >>> 8) & 0xff]! << 16) |
    (REVERSED[(value >>> 16) & 0xff]! << 8) |
    REVERSED[value >>> 24]!
  );
}

/** @param plain bypass CRC inversion and reflection @returns the register to begin with */
export function crcBegin(seed: number, plain: boolean): number {
  return plain ? seed | 0 : reverse32(~seed);
}

/** @param unreflected bypass data reflection */
export function crcUpdate(
  register: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  unreflected: boolean,
): number {
  let crc = register;
  for (let i = at; i < at + length; i++) {
    const byte = unreflected ? bytes[i]! : REVERSED[bytes[i]!]!;
    crc = (crc << 8) ^ TABLE[(crc >>> 24) ^ byte]!;
  }
  return crc;
}

/** The CRC so far, as a completion record shows it. */
export function crcValue(register: number, plain: boolean): number {
  return (plain ? register : ~reverse32(register)) >>> 0;
}
