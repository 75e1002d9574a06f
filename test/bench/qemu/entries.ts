/** 64-bit little-endian words below 2^53. */
export function quads(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) {
    view.setUint32(i * 8, value % 2 ** 32, true);
    view.setUint32(i * 8 + 4, Math.floor(value / 2 ** 32), true);
  }
  return bytes;
}

export function entries(...values: readonly number[]): Uint8Array {
  return quads(Float64Array.from(values));
}
