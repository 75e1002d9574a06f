/** Deepest walk: five levels; six entries leave room for a look that begins elsewhere. */
export const MOST_ENTRIES = 6;

/** Pages of an address space that its tables can translate: the first one and the last one, by number. */
export interface PageRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The tables of one address space of a guest, looked at one address after the other: in memory, not in caches. A look does what a
 * request would do to the tables themselves: accessed and dirty flags are set where the unit sets them, as for a write.
 * One object is one look at a time, its result lies in its fields.
 */
export interface GuestTables {
  /** What there is to look at, ascending. */
  readonly ranges: readonly PageRange[];
  /** Looks at (lo, hi), halves signed. True: it is mapped. */
  look(lo: number, hi: number): boolean;
  /** Where to; halves signed. */
  readonly outLo: number;
  readonly outHi: number;
  /** What the tables allow: READ, WRITE. */
  readonly access: number;
  /** log2 of the naturally aligned bytes around the address that the answer is about: the page, or what is not mapped. */
  readonly shift: number;
  /** Entries that were read. */
  readonly entries: number;
  /** Of each, its address; -1 where it does not lie in memory below 4 GiB. */
  readonly entryAt: Float64Array;
  /** And log2 of the bytes that it stands for. */
  readonly entryShift: Uint8Array;
}
