import type { Layout } from '../../vmm/regs/layout.ts';
import { FS_ENTRY, FS_LEVEL_NAMES } from '../spec/paging/first-stage.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import {
  CONTEXT_ENTRY,
  IRTE,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_ENTRY,
  TT_PASS_THROUGH,
} from '../spec/vtd/structures.ts';
import type { TableFormats } from '../watch/watched-pages.ts';
import type { WatchedTable } from './state.ts';

/** What a watched page holds: part of the state, so numbers stay as they are. */
export const ROOT_TABLE = 0;
export const CONTEXT_TABLE = 1;
export const PAGE_TABLE = 2;
export const INTERRUPT_TABLE = 3;
export const SCALABLE_ROOT_TABLE = 4;
export const SCALABLE_CONTEXT_TABLE = 5;
export const PASID_DIRECTORY = 6;
export const PASID_TABLE = 7;
export const FIRST_STAGE_TABLE = 8;

const LAYOUTS = [
  ROOT_ENTRY,
  CONTEXT_ENTRY,
  SS_ENTRY,
  IRTE,
  SCALABLE_ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  FS_ENTRY,
] as unknown as readonly Layout[];

/** By kind: bytes of an entry, and words of it that have fields. The end of a PASID table entry is reserved, and 2^20 are kept. */
const BYTES = Uint8Array.from(LAYOUTS, (layout) => layout.bytes);
const KEPT = Uint8Array.from(LAYOUTS, (layout, kind) => (kind === PASID_TABLE ? 6 : layout.bytes / 4));

/** PASIDs that one directory entry, and one page of a directory, stands for. */
export const PASIDS_OF_TABLE = 64;
export const PASIDS_OF_DIRECTORY_PAGE = 512 * PASIDS_OF_TABLE;

const PS = 0x80;
const PRESENT = 1;

/** Tables of VT-d fill pages. */
export const VTD_FORMATS: TableFormats<WatchedTable> = {
  entryBytes,
  keptWords,
  isPaging,
  isHead: (kind) => kind === SCALABLE_CONTEXT_TABLE,
  first: () => 0,
  bytes: () => 4096,
};

export function layoutOf(kind: number): Layout {
  return LAYOUTS[kind]!;
}

export function entryBytes(kind: number): number {
  return BYTES[kind]!;
}

export function keptWords(kind: number): number {
  return KEPT[kind]!;
}

/** Root and context entries, PASID directories and tables of scalable mode. */
export function isPasidStructure(kind: number): boolean {
  return kind >= SCALABLE_ROOT_TABLE && kind <= PASID_TABLE;
}

export function isPaging(kind: number): boolean {
  return kind === PAGE_TABLE || kind === FIRST_STAGE_TABLE;
}

export function nameOf(kind: number, level: number): string {
  if (kind === PAGE_TABLE) return SS_LEVEL_NAMES[level]!;
  return kind === FIRST_STAGE_TABLE ? FS_LEVEL_NAMES[level]! : LAYOUTS[kind]!.name;
}

/** A table that an entry points to. */
export interface Child {
  readonly page: number;
  readonly kind: number;
  readonly level: number;
}

/** The table that a present entry of legacy mode, or of a page table, points to. */
export function childOf(kind: number, level: number, entry: Uint32Array): Child | undefined {
  const [e0, e1] = entry as unknown as [number, number];
  if (kind === FIRST_STAGE_TABLE) {
    if (level === 1 || (e0 & PRESENT) === 0 || (e0 & PS) !== 0 || (e1 & 0xfffff) !== 0) return undefined;
    return { page: e0 >>> 12, kind, level: level - 1 };
  }
  if (e1 !== 0) return undefined;
  const page = e0 >>> 12;
  switch (kind) {
    case ROOT_TABLE:
      return (e0 & PRESENT) === 0 ? undefined : { page, kind: CONTEXT_TABLE, level: 0 };
    case CONTEXT_TABLE: {
      const walks = (e0 & PRESENT) !== 0 && ((e0 >>> 2) & 3) !== TT_PASS_THROUGH;
      return walks ? { page, kind: PAGE_TABLE, level: (entry[2]! & 3) + 2 } : undefined;
    }
    case PAGE_TABLE:
      if (level === 1 || (e0 & 3) === 0 || (e0 & PS) !== 0) return undefined;
      return { page, kind, level: level - 1 };
    default:
      return undefined;
  }
}
