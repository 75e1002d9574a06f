/** Memory as a table walk sees it: little-endian words, index = address / 4, valid for base <= address < end. */
export interface WalkMemory {
  readonly u32: Uint32Array;
  readonly base: number;
  readonly end: number;
  /** Index of the bytes at (lo, hi) in the linear memory, or -1 when they are not memory. */
  locate(lo: number, hi: number, bytes: number): number;
  /** Told after accessed or dirty bits were set in the bytes at `address` of the linear memory. */
  wrote(address: number, bytes: number): void;
  /** Pages below 4 GiB that lie elsewhere: the first one, how many, and the page of `u32` that the first one is. None if absent. */
  readonly window?: { readonly first: number; readonly pages: number; readonly at: number };
}
