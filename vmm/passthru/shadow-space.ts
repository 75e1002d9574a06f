import type { GuestTables } from '../../viommu/port/tables.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { AssignedDevice } from './assigned-device.ts';
import type { HostRefused } from './host-calls.ts';
import type { IoMappings } from './io-mappings.ts';
import { BLOCK_PAGES, type ShadowArea, ShadowAreas } from './shadow-areas.ts';
import { MOST_WAYS, WatchedTables } from './watched-tables.ts';

/** Pages of 4 GiB. */
const PAGES_OF_LO = 2 ** 20;
const PAGE_BITS = 12;
/** Looks at tables in one go: those that lead into each other have no end. */
const MOST_LOOKS = 2 ** 19;
/** Mappings of one address space: as many as VFIO's containers have (Linux: vfio_iommu_type1.dma_entry_limit). */
const MOST_AREAS = 65535;
/** Stores that wait; more of them count as all. */
const MOST_WAITING = 64;

/** Whom tables of the guest belong to, as its invalidations name them. */
export interface ShadowTag {
  /** Domain-id or VMID. */
  readonly domain: number;
  /** PASID or ASID; -1: none, a second stage. */
  readonly inner: number;
  /** A second stage of the guest is under the first one. */
  readonly nested: boolean;
}

export interface ShadowParts {
  readonly space: AddressSpace;
  readonly mappings: IoMappings;
  readonly ram: GuestRam;
  readonly tables: GuestTables;
  readonly tag: ShadowTag;
  /** Equal texts are equal address spaces. */
  readonly key: string;
  /** Entries that become present are not announced: the pages of the tables are watched. */
  readonly watched: boolean;
  /** The host cannot follow what the guest has mapped, and why. */
  readonly failed: (why: string) => void;
}

/**
 * An address space of the guest in an IOAS of its own: what its tables map is mapped there, page by page, and follows them when the
 * guest announces a change. What it does not announce stays as it was.
 */
export class ShadowSpace {
  readonly tag: ShadowTag;
  readonly key: string;
  readonly ioas: number;
  /** Bindings that lead here. */
  users = 0;
  readonly #p: ShadowParts;
  readonly #areas = new ShadowAreas();
  readonly #watch: WatchedTables | undefined;
  /** Page tables of the host: each for devices behind one unit, with page requests or without. */
  readonly #hwpts: { readonly id: number; readonly unit: number; readonly faults: boolean }[] = [];
  readonly #waiting: { readonly address: number; readonly bytes: number }[] = [];
  /** Pages that a device asked for, or was refused. */
  readonly #asked: number[] = [];
  #looks = 0;
  #busy = false;
  #failure: string | undefined;
  /** What a block is to hold: runs of pages. */
  #runs = 0;
  readonly #runPage = new Float64Array(BLOCK_PAGES);
  readonly #runPages = new Int32Array(BLOCK_PAGES);
  readonly #runTo = new Float64Array(BLOCK_PAGES);
  readonly #runAccess = new Int32Array(BLOCK_PAGES);
  readonly #runLeaf = new Int32Array(BLOCK_PAGES);

  /** @throws HostRefused */
  constructor(parts: ShadowParts) {
    this.#p = parts;
    this.tag = parts.tag;
    this.key = parts.key;
    this.ioas = parts.space.newIoas();
    if (parts.watched)
      this.#watch = new WatchedTables(parts.ram, (address, bytes, byCpu) =>
        this.#stored(address, bytes, byCpu),
      );
  }

  /** How many mappings there are. */
  get mappings(): number {
    return this.#areas.count;
  }

  /** Why the host cannot follow what is mapped. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The page table for a device. @param unit names the unit that it is behind @throws HostRefused */
  hwptFor(device: AssignedDevice, unit: number, flags: number, faults: boolean): number {
    const known = this.#hwpts.find((one) => one.unit === unit && one.faults === faults);
    if (known !== undefined) return known.id;
    const id = this.#p.space.paging(device, this.ioas, flags, faults);
    this.#hwpts.push({ id, unit, faults });
    return id;
  }

  /** Nobody uses it any more. */
  close(): void {
    this.#watch?.close();
    const { space } = this.#p;
    for (const { id } of this.#hwpts) space.destroy(id);
    space.destroy(this.ioas);
  }

  /** Everything anew. */
  replay(): void {
    for (const { first, last } of this.#p.tables.ranges) this.#follow(first, last, false);
    this.#end();
  }

  /** 2^order pages at the aligned (lo, hi) may be others now. */
  invalidate(lo: number, hi: number, order: number): void {
    const first = (hi >>> 0) * PAGES_OF_LO + (lo >>> PAGE_BITS);
    this.invalidatePages(first, first + 2 ** order - 1);
  }

  /** Of a large page all goes that any of it is named. */
  invalidatePages(begin: number, end: number): void {
    const first = begin - (begin % this.#areas.leafAt(begin));
    const leaf = this.#areas.leafAt(end);
    const last = end - (end % leaf) + leaf - 1;
    for (const range of this.#p.tables.ranges) {
      const from = Math.max(first, range.first);
      const to = Math.min(last, range.last);
      if (from <= to) this.#follow(from, to, false);
    }
    this.#end();
  }

  /** The device was refused (lo, hi): what denies a request is not kept (VT-d: Invalidation of Translation Caches, page requests). */
  refusedAt(lo: number, hi: number): void {
    this.#asked.push((hi >>> 0) * PAGES_OF_LO + (lo >>> PAGE_BITS));
  }

  /** Stores that others than the processor made. */
  settle(): void {
    if (this.#asked.length > 0) for (const page of this.#asked.splice(0)) this.invalidatePages(page, page);
    if (this.#waiting.length === 0) return;
    const all = this.#waiting.length >= MOST_WAITING;
    const waiting = this.#waiting.splice(0);
    if (all) for (const { first, last } of this.#p.tables.ranges) this.#follow(first, last, true);
    else for (const { address, bytes } of waiting) this.#changed(address, bytes);
    this.#end();
  }

  /** Flags that a look itself sets in the tables are no news. A store of another than the processor may come in the midst of things. */
  #stored(address: number, bytes: number, byCpu: boolean): void {
    if (this.#busy) return;
    if (byCpu) {
      this.#changed(address, bytes);
      this.#end();
    } else if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ address, bytes });
  }

  #changed(address: number, bytes: number): void {
    this.#watch?.changed(address, bytes, (first, last) => {
      for (const range of this.#p.tables.ranges) {
        const from = Math.max(first, range.first);
        const to = Math.min(last, range.last);
        if (from <= to) this.#follow(from, to, true);
      }
    });
  }

  #end(): void {
    this.#looks = 0;
    if (this.#failure !== undefined) this.#p.failed(this.#failure);
  }

  #fail(why: string): void {
    this.#failure ??= why;
  }

  /** Brings pages up to date. @param adds only what is new: the guest has announced nothing */
  #follow(first: number, last: number, adds: boolean): void {
    if (this.#failure !== undefined) return;
    this.#busy = true;
    const watch = adds || last - first < BLOCK_PAGES ? undefined : this.#watch;
    watch?.begin();
    for (let page = first; page <= last; ) page = this.#followBlock(page, last, adds);
    if (this.#failure === undefined) watch?.prune(first, last);
    this.#busy = false;
  }

  /** From `page` to the end of its block, or of what is not mapped; returns the page after that. */
  #followBlock(page: number, last: number, adds: boolean): number {
    const end = Math.min(last, page - (page % BLOCK_PAGES) + BLOCK_PAGES - 1);
    const { tables } = this.#p;
    this.#runs = 0;
    let at = page;
    while (at <= end) {
      if (++this.#looks > MOST_LOOKS) {
        this.#fail(`its tables have more entries than are looked at in one go (${MOST_LOOKS})`);
        return last + 1;
      }
      const present = tables.look(((at % PAGES_OF_LO) * 4096) | 0, Math.floor(at / PAGES_OF_LO) | 0);
      if (this.#watch?.saw(tables, at) === false) {
        this.#fail(`more than ${MOST_WAYS} ways lead to one of its tables`);
        return last + 1;
      }
      const span = 2 ** (tables.shift - PAGE_BITS);
      const next = at - (at % span) + span;
      if (present) this.#want(at, Math.min(next, end + 1) - at);
      at = next;
    }
    const block = Math.floor(page / BLOCK_PAGES);
    const areas = this.#areas.touching(block, page, end);
    if (areas.length > 0) this.#drop(areas, page, end, adds);
    for (let r = 0; r < this.#runs; r++) this.#add(block, r);
    if (at > end + 1 && this.#runs === 0) {
      const to = Math.min(last, at - 1);
      if (!adds) this.#dropBlocks(end + 1, to);
      return to + 1;
    }
    return end + 1;
  }

  /** The look that was just made, for so many pages: those that are RAM. */
  #want(page: number, pages: number): void {
    const { tables, ram } = this.#p;
    const to = (tables.outHi >>> 0) * PAGES_OF_LO + (tables.outLo >>> PAGE_BITS);
    this.#wantIn(page, pages, to, ram.base >>> PAGE_BITS, ram.size >>> PAGE_BITS);
    if (ram.highSize > 0) this.#wantIn(page, pages, to, PAGES_OF_LO, Math.floor(ram.highSize / 4096));
  }

  #wantIn(page: number, pages: number, to: number, ram: number, size: number): void {
    const { access, shift } = this.#p.tables;
    const leaf = 2 ** (shift - PAGE_BITS);
    const from = Math.max(to, ram);
    const count = Math.min(to + pages, ram + size) - from;
    if (count <= 0) return;
    const start = page + (from - to);
    const r = this.#runs - 1;
    if (
      r >= 0 &&
      this.#runPage[r]! + this.#runPages[r]! === start &&
      this.#runTo[r]! + this.#runPages[r]! === from &&
      this.#runAccess[r] === access &&
      this.#runLeaf[r] === leaf
    ) {
      this.#runPages[r]! += count;
      return;
    }
    this.#runPage[this.#runs] = start;
    this.#runPages[this.#runs] = count;
    this.#runTo[this.#runs] = from;
    this.#runLeaf[this.#runs] = leaf;
    this.#runAccess[this.#runs++] = access;
  }

  /**
   * Takes away what [first, last] of a block does not hold any more; what was mapped along with it outside is mapped again.
   * @param adds only where the same pages allow more now: what denies a request is looked up again before the request is refused
   */
  #drop(areas: readonly ShadowArea[], first: number, last: number, adds: boolean): void {
    for (const area of areas) {
      const { page, pages, to, access, leaf } = area;
      const end = page + pages - 1;
      const now = this.#wanted(area, first, last);
      if (now === access || (adds && (now & access) !== access)) continue;
      this.#unmap(area);
      if (page < first) this.#map({ page, pages: first - page, to, access, leaf });
      if (end > last) {
        const before = last + 1 - page;
        this.#map({ page: last + 1, pages: pages - before, to: to + before, access, leaf });
      }
    }
  }

  /** What an area is to allow, as far as it lies in [first, last]; 0: it is not as it was. */
  #wanted({ page, pages, to }: ShadowArea, first: number, last: number): number {
    const from = Math.max(page, first);
    const end = Math.min(page + pages - 1, last);
    for (let r = 0; r < this.#runs; r++) {
      const start = this.#runPage[r]!;
      if (from < start || end >= start + this.#runPages[r]!) continue;
      return this.#runTo[r]! - start === to - page ? this.#runAccess[r]! : 0;
    }
    return 0;
  }

  /** Maps what of a run is not mapped. */
  #add(block: number, r: number): void {
    const start = this.#runPage[r]!;
    const end = start + this.#runPages[r]!;
    const to = this.#runTo[r]! - start;
    const access = this.#runAccess[r]!;
    const leaf = this.#runLeaf[r]!;
    let at = start;
    for (const area of this.#areas.touching(block, start, end - 1)) {
      if (area.page > at) this.#map({ page: at, pages: area.page - at, to: to + at, access, leaf });
      at = area.page + area.pages;
    }
    if (at < end) this.#map({ page: at, pages: end - at, to: to + at, access, leaf });
  }

  /** Everything in whole blocks that nothing is mapped in any more. */
  #dropBlocks(first: number, last: number): void {
    if (this.#areas.count === 0 || last < first) return;
    const from = Math.floor(first / BLOCK_PAGES);
    const to = Math.floor(last / BLOCK_PAGES);
    for (const block of this.#areas.blocksIn(from, to))
      this.#drop(this.#areas.touching(block, first, last), first, last, false);
  }

  #map(area: ShadowArea): void {
    if (this.#failure !== undefined) return;
    if (this.#areas.count >= MOST_AREAS) {
      this.#fail(`it has more mappings than are kept (${MOST_AREAS})`);
      return;
    }
    const refused = this.#p.mappings.map(this.ioas, area.page, area.to, area.pages, area.access);
    if (refused === undefined) this.#areas.add(area);
    else this.#refused(refused, area);
  }

  #unmap(area: ShadowArea): void {
    const refused = this.#p.mappings.unmap(this.ioas, area.page, area.pages);
    this.#areas.remove(area);
    if (refused !== undefined) this.#refused(refused, area);
  }

  #refused({ message }: HostRefused, { page }: ShadowArea): void {
    this.#fail(`the host does not follow at IOVA 0x${page.toString(16)}000: ${message}`);
  }
}
