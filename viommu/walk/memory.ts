/** Memory as a table walk sees it: little-endian words, index = address / 4, valid for base <= address < end. */
export interface WalkMemory {
  readonly u32: Uint32Array;
  readonly base: number;
  readonly end: number;
}

/** True when the `bytes` at (lo, hi) can be read; structures are naturally aligned by construction. */
export function readable(memory: WalkMemory, lo: number, hi: number, bytes: number): boolean {
  const a = lo >>> 0;
  return hi === 0 && a >= memory.base && a + bytes <= memory.end;
}
