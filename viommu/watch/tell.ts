import { bdfText } from '../../vmm/core/bdf.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import type { Emitter, EventDecl } from '../../vmm/trace/event.ts';
import { fieldChanges } from './field-changes.ts';

/** Requesters named for one entry. */
const MOST_NAMED = 4;

/** The trace events of watched structures: alike for every unit but for their names. */
export const TABLE_WRITE_ARGS = {
  structure: 'text',
  requesters: 'text',
  pasid: 'pasid',
  address: 'u32',
  changes: 'text',
  by: 'text',
} as const;
export const ANNOUNCED_ARGS = { invalidation: 'text', covers: 'text', entries: 'count' } as const;
const MISTAKE_ARGS = {
  structure: 'text',
  requesters: 'text',
  pasid: 'pasid',
  address: 'u32',
  stores: 'count',
} as const;

export const TORN = (doc: string) =>
  ({
    doc,
    args: { ...MISTAKE_ARGS, when: 'text' },
    ring: true,
    role: 'mistake',
  }) as const satisfies EventDecl;

export const USED_UNANNOUNCED = (doc: string) =>
  ({ doc, args: MISTAKE_ARGS, ring: true, role: 'mistake' }) as const satisfies EventDecl;

/** Of a page table: old and new value of an entry; and how many such stores an invalidation covers. */
export const PAGE_TABLE_WRITE_ARGS = {
  structure: 'text',
  address: 'u32',
  old: 'text',
  new: 'text',
  by: 'text',
} as const;
export const STORES_ANNOUNCED_ARGS = { invalidation: 'text', stores: 'count' } as const;

/** An entry as events name it: whose requests it serves, and its PASID or -1. */
export interface EntryName {
  readonly layout: Layout;
  readonly requesters: string;
  readonly pasid: number;
  readonly address: number;
}

/** One store: which fields it changed. */
export function tellStore(
  event: Emitter,
  { layout, requesters, pasid, address }: EntryName,
  old: Uint32Array,
  now: Uint32Array,
  by: string,
): void {
  event.emit(layout.name, requesters, pasid, address, fieldChanges(layout, old, now), by);
}

/** `00:02.0 00:03.0`; the first few of them. */
export function requestersText(sids: readonly number[]): string {
  const named = sids.slice(0, MOST_NAMED).map(bdfText);
  return sids.length > MOST_NAMED ? `${named.join(' ')} ...` : named.join(' ');
}
