/** 64-bit values travel as two unsigned 32-bit halves (lo, hi); these are the few shared operations on them. */

/** lo and hi as one bigint: for texts, snapshots and tests, never on a hot path. */
export function u64(lo: number, hi: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

export function lo32(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

export function hi32(value: bigint): number {
  return Number((value >> 32n) & 0xffff_ffffn);
}

/** `0x` and 16 digits, without a bigint. */
export function hex64(lo: number, hi: number): string {
  return `0x${(hi >>> 0).toString(16).padStart(8, '0')}${(lo >>> 0).toString(16).padStart(8, '0')}`;
}

export function hex32(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}

/** Shortest form: `0x2a`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** Low half of an address given as a Number below 2^53. */
export function loOf(address: number): number {
  return address >>> 0;
}

/** High half of an address given as a Number below 2^53. */
export function hiOf(address: number): number {
  return (address / 4294967296) >>> 0;
}

/** (lo, hi) as a Number; exact below 2^53. */
export function numberOf(lo: number, hi: number): number {
  return (hi >>> 0) * 4294967296 + (lo >>> 0);
}
