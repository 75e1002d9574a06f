import type { Protection } from '../iommufd/driver.ts';

/** How the host writes the entries of one kind of page table: tables of 512 entries of 8 bytes. */
export interface TableFormat {
  readonly name: string;
  /** Bits of an entry that points to a table. */
  readonly table: number;
  /** Bits any of which says that an entry is in use. */
  readonly present: number;
  /** Lower bits of a leaf; `large`: not in the last table. */
  leaf(large: boolean, protection: Protection): number;
  /** Upper bits of a leaf. */
  leafHi(protection: Protection): number;
  /** Of an entry that is in use and not in the last table. */
  isLarge(lo: number): boolean;
  /** The device wrote to the page of a leaf. */
  isDirty(lo: number, hi: number): boolean;
  /** The lower bits of a leaf that nobody wrote to. */
  clean(lo: number): number;
}

const R = 1;
const W = 2;
const USER = 4;
const ACCESSED = 0x20;
const FIRST_DIRTY = 0x40;
const LARGE = 0x80;
const SECOND_DIRTY = 0x200;

/** VT-d: Second-Stage Paging Entries. A and D are the unit's to set, where the PASID entry says so. */
export const VTD_SECOND: TableFormat = {
  name: 'VT-d second stage',
  table: R | W,
  present: R | W,
  leaf: (large, { read, write }) => (read ? R : 0) | (write ? W : 0) | (large ? LARGE : 0),
  leafHi: () => 0,
  isLarge: (lo) => (lo & LARGE) !== 0,
  isDirty: (lo) => (lo & SECOND_DIRTY) !== 0,
  clean: (lo) => lo & ~SECOND_DIRTY,
};

/** VT-d: First-Stage Paging Entries. What is present is readable. A and D are set from the start: nobody asks for them. */
export const VTD_FIRST: TableFormat = {
  name: 'VT-d first stage',
  table: R | W | USER,
  present: R,
  leaf: (large, { write }) => R | USER | ACCESSED | (write ? W | FIRST_DIRTY : 0) | (large ? LARGE : 0),
  leafHi: () => 0,
  isLarge: (lo) => (lo & LARGE) !== 0,
  isDirty: (lo) => (lo & FIRST_DIRTY) !== 0,
  clean: (lo) => lo & ~FIRST_DIRTY,
};

const VALID = 1;
/** With VALID: a table, or a page in the last one; without it a block. */
const TABLE = 2;
const AF = 1 << 10;
const INNER_SHAREABLE = 3 << 8;
const S1_USER = 1 << 6;
const S1_READ_ONLY = 1 << 7;
const NOT_GLOBAL = 1 << 11;
const S2_READ = 1 << 6;
const S2_WRITE = 1 << 7;
const S2_WRITE_BACK = 0xf << 2;
/** Dirty bit modifier, bit 51. */
const DBM_HI = 1 << 19;

const kindOf = (large: boolean) => (large ? VALID : VALID | TABLE);

/**
 * VMSAv8-64: stage 1 block and page descriptors. With hardware dirty state a writable page is DBM with AP[2] = 0; clean is AP[2] = 1,
 * which the unit changes.
 *
 * @param tracks hardware keeps dirty state
 */
export function vmsaFirst(tracks: boolean): TableFormat {
  return {
    name: 'VMSAv8-64 stage 1',
    table: VALID | TABLE,
    present: VALID,
    leaf: (large, { write }) =>
      kindOf(large) | AF | INNER_SHAREABLE | NOT_GLOBAL | S1_USER | (write ? 0 : S1_READ_ONLY),
    leafHi: ({ write }) => (tracks && write ? DBM_HI : 0),
    isLarge: (lo) => (lo & TABLE) === 0,
    isDirty: (lo, hi) => (hi & DBM_HI) !== 0 && (lo & S1_READ_ONLY) === 0,
    clean: (lo) => lo | S1_READ_ONLY,
  };
}

/** VMSAv8-64: stage 2 block and page descriptors. */
export const VMSA_SECOND: TableFormat = {
  name: 'VMSAv8-64 stage 2',
  table: VALID | TABLE,
  present: VALID,
  leaf: (large, { read, write }) =>
    kindOf(large) | AF | INNER_SHAREABLE | S2_WRITE_BACK | (read ? S2_READ : 0) | (write ? S2_WRITE : 0),
  leafHi: () => 0,
  isLarge: (lo) => (lo & TABLE) === 0,
  isDirty: () => false,
  clean: (lo) => lo,
};
