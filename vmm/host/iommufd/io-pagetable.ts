import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import { transact } from '../kernel/undo.ts';
import type { PagingDomain, Protection } from './driver.ts';
import { holes, type Interval, Intervals } from './intervals.ts';
import type { Pages } from './pages.ts';

const PAGE = BigInt(PAGE_SIZE);
/** Automatic placement aligns to at most this (Linux, drivers/iommu/iommufd/io_pagetable.c: what a huge page of x86 needs). */
const BEST_ALIGNMENT = 2n << 20n;
/** How often users of an area are asked to let go before the unmap gives up. */
const PATIENCE = 100;

/** One mapping: IOVAs, the pages behind them, and what holds it. */
export interface Area extends Interval {
  readonly pages: Pages;
  /** Offset of `start` in `pages`, in bytes. */
  readonly offset: bigint;
  readonly protection: Protection;
  /** Accesses that have pages of it pinned. */
  pins: number;
  /** Hardware queues that lie in it. */
  locks: number;
  /** An unmap is under way: no new pins. */
  closing: boolean;
}

/** A user of the pages that is no page table: a mediated device. */
export interface IoasAccess {
  readonly alignment: bigint;
  /** Must let go of every pin in the range before it returns. */
  unmap(iova: bigint, length: bigint): void;
}

interface Reserved extends Interval {
  readonly owner: unknown;
}

/** Pages with a place in them: what a copy takes along. */
export interface Piece {
  readonly pages: Pages;
  readonly offset: bigint;
  readonly length: bigint;
}

/**
 * The contents of an IOAS: mappings, what is reserved, what automatic placement may use, and the domains and accesses that follow
 * it. Every mapping is in every domain, or in none.
 */
export class IoPagetable {
  readonly max: bigint;
  readonly areas = new Intervals<Area>();
  readonly domains: PagingDomain[] = [];
  readonly accesses: IoasAccess[] = [];
  alignment = 1n;
  hugePages = true;
  #allowed: Interval[] = [];
  #reserved: Reserved[] = [];
  readonly #allocations: Allocations;

  /** `max`: the largest address of the kernel's word. */
  constructor(max: bigint, allocations: Allocations) {
    this.max = max;
    this.#allocations = allocations;
  }

  // Ranges.

  /** What is not reserved, ascending. */
  usable(): Interval[] {
    return holes(this.#reserved, 0n, this.max);
  }

  /** Replaces the list for automatic placement. Throws EINVAL, EADDRINUSE; then the old list stays. */
  allow(ranges: readonly Interval[]): void {
    const list = new Intervals<Interval>();
    for (const range of ranges) {
      demand(range.start < range.last, 'EINVAL', 'an allowed range ends where it starts, or before');
      demand(list.first(range.start, range.last) === undefined, 'EINVAL', 'allowed ranges overlap');
      list.insert(range);
    }
    for (const range of list) {
      demand(!this.#isReserved(range), 'EADDRINUSE', 'an allowed range touches a reserved one');
    }
    this.#allocations.point('range');
    this.#allowed = [...list];
  }

  /** Keeps mappings away. Throws EADDRINUSE where something is mapped or allowed there. */
  reserve(start: bigint, last: bigint, owner: unknown): void {
    demand(this.areas.first(start, last) === undefined, 'EADDRINUSE', 'a range to reserve is mapped');
    demand(
      !this.#allowed.some((one) => touches(one, { start, last })),
      'EADDRINUSE',
      'a range to reserve is allowed',
    );
    this.#allocations.take('range');
    this.#reserved.push({ start, last, owner });
  }

  release(owner: unknown): void {
    const left = this.#reserved.filter((one) => one.owner !== owner);
    this.#allocations.give('range', this.#reserved.length - left.length);
    this.#reserved = left;
  }

  /** When the IOAS goes: no mappings, no reserved ranges. */
  close(): void {
    this.unmapAll();
    this.#allocations.give('range', this.#reserved.length);
    this.#reserved = [];
  }

  // Mappings.

  /** A place for `length` bytes whose source starts at `source`. Throws EOVERFLOW, ENOSPC. */
  place(length: bigint, source: bigint): bigint {
    demand(length < this.max / 2n, 'EOVERFLOW', 'the length is half of all addresses, or more');
    const offset = source % PAGE;
    const alignment = this.#placement(length, source);
    const allowed = this.#allowed.length > 0 ? this.#allowed : [{ start: PAGE, last: this.max - PAGE }];
    for (const { start, last } of allowed) {
      for (const hole of holes(this.#taken(), start, last)) {
        const at = ((hole.start + alignment - 1n) & ~(alignment - 1n)) | offset;
        if (at >= hole.start && at + length - 1n <= hole.last) return at;
      }
    }
    return refuse('ENOSPC', `no hole has room for ${length} bytes aligned to ${alignment}`);
  }

  /** Whether a fixed place can be used. Throws EINVAL, EOVERFLOW, EEXIST. */
  check(iova: bigint, length: bigint): void {
    demand(iova % this.alignment === 0n, 'EINVAL', `the IOVA is not a multiple of ${this.alignment}`);
    const last = iova + length - 1n;
    demand(last <= this.max, 'EOVERFLOW', 'the mapping passes the last address');
    demand(!this.#isReserved({ start: iova, last }), 'EINVAL', 'the mapping touches a reserved range');
    demand(this.areas.first(iova, last) === undefined, 'EEXIST', 'something is mapped there');
  }

  /**
   * Maps pieces, one after the other, at `fixed` or where there is room. All or nothing; returns the IOVA. Throws what `place`,
   * `check`, pinning and the domains refuse, and EPERM for writable copies of pages that were mapped read-only.
   */
  map(pieces: readonly Piece[], fixed: bigint | undefined, protection: Protection): bigint {
    let length = 0n;
    for (const piece of pieces) length += piece.length;
    demand(length % this.alignment === 0n, 'EINVAL', `the length is not a multiple of ${this.alignment}`);
    const first = pieces[0] as Piece;
    const iova = fixed ?? this.place(length, first.pages.source.origin + first.offset);
    if (fixed !== undefined) this.check(fixed, length);
    transact((undo) => {
      let at = iova;
      for (const { pages, offset, length: bytes } of pieces) {
        demand(offset % this.alignment === 0n, 'EINVAL', `the source is not aligned to ${this.alignment}`);
        demand(pages.writable || !protection.write, 'EPERM', 'the pages were mapped read-only');
        const area: Area = {
          start: at,
          last: at + bytes - 1n,
          pages,
          offset,
          protection,
          pins: 0,
          locks: 0,
          closing: false,
        };
        this.#adopt(area);
        undo(() => this.#forget(area));
        for (const domain of this.domains) {
          this.#fill(area, domain);
          undo(() => this.#empty(area, domain));
        }
        at += bytes;
      }
    });
    return iova;
  }

  /** Unmaps every area in the range; returns the bytes. Throws ENOENT, EBUSY, EDEADLOCK; what came before stays unmapped. */
  unmap(start: bigint, last: bigint): bigint {
    let bytes = 0n;
    for (;;) {
      const area = this.areas.first(start, last);
      if (area === undefined) return bytes;
      demand(
        area.start >= start && area.last <= last,
        'ENOENT',
        'an area is only partly inside of the range',
      );
      demand(area.locks === 0, 'EBUSY', 'a hardware queue lies in the area');
      this.#evict(area);
      for (const domain of this.domains) this.#empty(area, domain);
      this.#forget(area);
      bytes += area.last - area.start + 1n;
    }
  }

  /**
   * Splits the area that spans both sides of `at`: VFIO's first version may unmap parts. Throws EINVAL where large pages may be
   * in use or the place is not aligned, EBUSY where something holds the area.
   */
  cut(at: bigint): void {
    const area = this.areas.first(at, at);
    if (area === undefined || area.start === at) return;
    demand(!this.hugePages && at % this.alignment === 0n, 'EINVAL', 'the area cannot be split there');
    demand(area.pins === 0 && area.locks === 0, 'EBUSY', 'something holds the area');
    const { pages, protection, start, last, offset } = area;
    const rest = { pages, protection, pins: 0, locks: 0, closing: false };
    this.#allocations.take('area');
    pages.hold();
    this.areas.remove(area);
    this.areas.insert({ ...rest, start, last: at - 1n, offset });
    this.areas.insert({ ...rest, start: at, last, offset: offset + (at - start) });
  }

  unmapAll(): bigint {
    return this.unmap(0n, this.max);
  }

  /** The areas that cover a range without a hole. Throws ENOENT. */
  covering(start: bigint, length: bigint): Area[] {
    return (
      this.areas.covering(start, start + length - 1n) ??
      refuse('ENOENT', 'the range is not mapped as a whole')
    );
  }

  /** The pieces behind a range without a hole. Throws ENOENT. */
  pieces(start: bigint, length: bigint): Piece[] {
    const last = start + length - 1n;
    return this.covering(start, length).map((area) => {
      const from = start > area.start ? start : area.start;
      const to = last < area.last ? last : area.last;
      return { pages: area.pages, offset: area.offset + (from - area.start), length: to - from + 1n };
    });
  }

  // Domains and accesses.

  /** Another domain that follows the mappings. Throws EINVAL, EADDRINUSE and what pinning refuses. */
  addDomain(domain: PagingDomain): void {
    demand(domain.leastPage <= PAGE, 'EINVAL', 'the smallest IO page is larger than a page of the host');
    transact((undo) => {
      const alignment = this.alignment;
      this.domains.push(domain);
      undo(() => this.domains.splice(this.domains.indexOf(domain), 1));
      this.#realign();
      undo(() => {
        this.alignment = alignment;
      });
      const { start, last } = domain.aperture;
      undo(() => this.release(domain));
      if (start > 0n) this.reserve(0n, start - 1n, domain);
      if (last < this.max) this.reserve(last + 1n, this.max, domain);
      for (const area of this.areas) {
        this.#fill(area, domain);
        undo(() => this.#empty(area, domain));
      }
    });
  }

  removeDomain(domain: PagingDomain): void {
    for (const area of this.areas) this.#empty(area, domain);
    this.domains.splice(this.domains.indexOf(domain), 1);
    this.release(domain);
    this.#realign();
  }

  /** Throws EADDRINUSE where mappings do not have the alignment that it needs. */
  addAccess(access: IoasAccess): void {
    transact((undo) => {
      this.#allocations.take('attach');
      undo(() => this.#allocations.give('attach'));
      this.accesses.push(access);
      undo(() => this.accesses.splice(this.accesses.indexOf(access), 1));
      this.#realign();
    });
  }

  removeAccess(access: IoasAccess): void {
    this.accesses.splice(this.accesses.indexOf(access), 1);
    this.#allocations.give('attach');
    this.#realign();
  }

  /** Large IO pages or not. Throws EINVAL, EADDRINUSE. */
  setHugePages(enable: boolean): void {
    if (enable === this.hugePages) return;
    if (!enable) {
      demand(
        this.domains.length === 0 || this.areas.size === 0,
        'EINVAL',
        'large pages cannot be switched off with domains and mappings',
      );
    }
    transact((undo) => {
      undo(() => {
        this.hugePages = !enable;
      });
      this.hugePages = enable;
      this.#realign();
    });
  }

  /** The alignment that everything that follows the mappings needs. Throws EADDRINUSE where areas do not have it. */
  #realign(): void {
    let wanted = this.hugePages ? 1n : PAGE;
    for (const { leastPage } of this.domains) if (leastPage > wanted) wanted = leastPage;
    for (const { alignment } of this.accesses) if (alignment > wanted) wanted = alignment;
    if (wanted > this.alignment) {
      for (const area of this.areas) {
        const bits = area.start | (area.last + 1n) | area.offset;
        demand(bits % wanted === 0n, 'EADDRINUSE', `an area is not aligned to ${wanted}`);
      }
    }
    this.alignment = wanted;
  }

  /** Pins an area and puts it into a domain, in runs that are contiguous in memory. All or nothing. */
  #fill(area: Area, domain: PagingDomain): void {
    const { pages } = area;
    const end = area.offset + (area.last - area.start);
    transact((undo) => {
      pages.pin(area.offset, end);
      undo(() => pages.unpin(area.offset, end));
      let at = area.start;
      undo(() => {
        if (at > area.start) domain.unmap(area.start, at - area.start);
      });
      while (at <= area.last) {
        const from = area.offset + (at - area.start);
        const physical = pages.physical(from);
        let length = PAGE - (from % PAGE);
        const rest = area.last - at + 1n;
        while (this.hugePages && length < rest && pages.physical(from + length) === physical + length)
          length += PAGE;
        if (length > rest) length = rest;
        domain.map(at, physical, length, area.protection);
        at += length;
      }
    });
  }

  #empty(area: Area, domain: PagingDomain): void {
    domain.unmap(area.start, area.last - area.start + 1n);
    area.pages.unpin(area.offset, area.offset + (area.last - area.start));
  }

  /** Throws ENOMEM. */
  #adopt(area: Area): void {
    this.#allocations.take('area');
    try {
      area.pages.hold();
    } catch (cause) {
      this.#allocations.give('area');
      throw cause;
    }
    this.areas.insert(area);
  }

  #forget(area: Area): void {
    this.areas.remove(area);
    area.pages.drop();
    this.#allocations.give('area');
  }

  /** Accesses let go of an area. Throws EDEADLOCK. */
  #evict(area: Area): void {
    area.closing = true;
    for (let asked = 0; area.pins > 0; asked++) {
      if (asked === PATIENCE) {
        area.closing = false;
        refuse('EDEADLOCK', 'an access does not let go of pinned pages');
      }
      for (const access of [...this.accesses]) access.unmap(area.start, area.last - area.start + 1n);
    }
  }

  /** Alignment of automatic placement: huge pages should be possible where the source allows. Throws EINVAL. */
  #placement(length: bigint, source: bigint): bigint {
    let best = 1n;
    while (best < length) best <<= 1n;
    const natural = source & -source;
    if (natural !== 0n && natural < best) best = natural;
    if (best > BEST_ALIGNMENT) best = BEST_ALIGNMENT;
    demand(best >= this.alignment, 'EINVAL', `the source is not aligned to ${this.alignment}`);
    return best;
  }

  *#taken(): Generator<Interval> {
    yield* this.areas;
    yield* this.#reserved;
  }

  #isReserved(range: Interval): boolean {
    return this.#reserved.some((one) => touches(one, range));
  }
}

function touches(a: Interval, b: Interval): boolean {
  return a.start <= b.last && b.start <= a.last;
}
