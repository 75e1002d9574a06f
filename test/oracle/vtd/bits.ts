/** Bits high..low of a value, as the specification writes them. */
export function bits(value: bigint, high: number, low: number): bigint {
  return (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
}

export function bit(value: bigint, at: number): boolean {
  return bits(value, at, at) === 1n;
}

export function number(value: bigint, high: number, low: number): number {
  return Number(bits(value, high, low));
}

/** True when any of bits high..low is 1; an empty range has none. */
export function any(value: bigint, high: number, low: number): boolean {
  return high >= low && bits(value, high, low) !== 0n;
}
