import { WHOLE } from '../../viommu/port/vtd.ts';
import { INVALIDATE_DATA } from '../host/iommufd/abi.ts';
import type { AddressSpace } from './address-space.ts';
import type { Channel } from './channel.ts';
import { InvalidationArray, MOST_INVALIDATIONS } from './invalidation-array.ts';
import type { PassthroughLog } from './log.ts';

/** struct iommu_hwpt_vtd_s1_invalidate: addr, npages, flags. */
const ENTRY_BYTES = 24;
const PAGES = 8;
const FLAGS = 16;
const ALL = 0xffffffff;
/** What is kept of an entry: which of the open page tables it is about, its address, and order with the flag (1: leaf). */
const KEPT_WORDS = 4;
const LEAF_SHIFT = 8;

/**
 * Invalidations of first-stage page tables that wait for the end of their batch: then there is one call for each page table, with
 * all that is about it, in their order. Between those of different tables there is none to keep.
 */
export class VtdInvalidations {
  readonly #array: InvalidationArray;
  readonly #space: AddressSpace;
  readonly #log: PassthroughLog;
  readonly #kept = new Int32Array(MOST_INVALIDATIONS * KEPT_WORDS);
  /** Page tables that entries are about, how many of each, and where the next one goes. */
  readonly #tables = new Int32Array(MOST_INVALIDATIONS);
  readonly #channels: Channel[] = [];
  readonly #counts = new Int32Array(MOST_INVALIDATIONS);
  readonly #places = new Int32Array(MOST_INVALIDATIONS);
  #count = 0;
  #open = 0;
  #latest = 0;

  constructor(space: AddressSpace, log: PassthroughLog) {
    this.#space = space;
    this.#log = log;
    this.#array = new InvalidationArray(space.calls, space.fd, INVALIDATE_DATA.VTD_S1, ENTRY_BYTES);
  }

  /** 2^order pages at (lo, hi), or everything (WHOLE), of a page table. */
  add(channel: Channel, hwpt: number, lo: number, hi: number, order: number, leaf: boolean): void {
    if (this.#count === MOST_INVALIDATIONS) this.flush();
    const table = this.#tableOf(channel, hwpt);
    const kept = this.#kept;
    const i = this.#count++ * KEPT_WORDS;
    kept[i] = table;
    kept[i + 1] = lo;
    kept[i + 2] = hi;
    kept[i + 3] = order | (leaf ? 1 << LEAF_SHIFT : 0);
    this.#counts[table]!++;
  }

  /** Returns when the host has done all that was added. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    const open = this.#open;
    const counts = this.#counts;
    const places = this.#places;
    for (let table = 0, at = 0; table < open; table++) {
      places[table] = at;
      at += counts[table]!;
    }
    const kept = this.#kept;
    for (let i = 0; i < count * KEPT_WORDS; i += KEPT_WORDS)
      this.#write(places[kept[i]!]!++, kept[i + 1]!, kept[i + 2]!, kept[i + 3]!);
    this.#count = 0;
    this.#open = 0;
    this.#latest = 0;
    for (let table = 0; table < open; table++)
      this.#send(
        this.#channels[table]!,
        this.#tables[table]!,
        places[table]! - counts[table]!,
        counts[table]!,
      );
  }

  #tableOf(channel: Channel, hwpt: number): number {
    const tables = this.#tables;
    const open = this.#open;
    if (this.#latest < open && tables[this.#latest] === hwpt) return this.#latest;
    let table = 0;
    while (table < open && tables[table] !== hwpt) table++;
    if (table === open) {
      tables[table] = hwpt;
      this.#channels[table] = channel;
      this.#counts[table] = 0;
      this.#open = open + 1;
    }
    this.#latest = table;
    return table;
  }

  #write(place: number, lo: number, hi: number, how: number): void {
    const { view } = this.#array;
    const at = this.#array.at + place * ENTRY_BYTES;
    const order = how & ((1 << LEAF_SHIFT) - 1);
    const whole = order >= WHOLE;
    const few = order < 32;
    view.setInt32(at, whole ? 0 : lo, true);
    view.setInt32(at + 4, whole ? 0 : hi, true);
    view.setUint32(at + PAGES, whole ? ALL : few ? (1 << order) >>> 0 : 0, true);
    view.setUint32(at + PAGES + 4, whole ? ALL : few ? 0 : (1 << (order - 32)) >>> 0, true);
    view.setUint32(at + FLAGS, whole ? 0 : how >>> LEAF_SHIFT, true);
    view.setUint32(at + FLAGS + 4, 0, true);
  }

  /** One that the host refuses is told, and does not keep it from those behind it. */
  #send(channel: Channel, hwpt: number, first: number, count: number): void {
    let at = first;
    let left = count;
    while (left > 0) {
      const result = channel.send(hwpt, this.#array, at, left);
      if (result >= 0) return;
      this.#log.refused(this.#space.calls.refusal('IOMMU_HWPT_INVALIDATE', result));
      const past = this.#array.done + 1;
      at += past;
      left -= past;
    }
  }
}
