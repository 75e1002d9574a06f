import { Bug } from '../core/errors.ts';
import { type Bulk, bulkOf } from './bulk.ts';
import { FLAG_FAST, type HiddenLayout, hiddenLayout, PAGE_SHIFT } from './layout.ts';

/** Who wants to know of stores to a page. Called after the bytes are in memory. */
export interface PageWatcher {
  /** `address` and `bytes` of one store; `byCpu` false for DMA and host writes. */
  stored(address: number, bytes: number, byCpu: boolean): void;
}

const WATCHED = 1;

/** Where a host sees a guest that ends, with it, a GiB further on: units know addresses below 4 GiB best. */
const HOST_WINDOW = 0x8000_0000;
const MOST_IN_WINDOW = 0x4000_0000;

/** Named here because V8 asks a typed array for its method anew at each call, which is 3 ns. */
const setBytes = Uint8Array.prototype.set;

/**
 * Guest RAM: the linear memory with its views, page flags, dirty log and page watches.
 *
 * A page's flag is FAST when a store to it needs no attention. The flag of page p also speaks for stores that cross into
 * p + 1, so p is FAST only if p + 1 is RAM that needs no attention either.
 */
export class GuestRam {
  readonly memory: WebAssembly.Memory;
  readonly layout: HiddenLayout;
  readonly base: number;
  readonly size: number;
  readonly end: number;
  /** Bytes of RAM from 4 GiB on, and where they lie in the linear memory. */
  readonly highSize: number;
  readonly highAt: number;
  /** Where they begin: 4 GiB, but the host sees its guest elsewhere. */
  readonly highLo: number;
  readonly highHi: number;
  /** Whole linear memory. Index = GPA. Callers of these views stay below `end`. */
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #flags: Uint8Array;
  readonly #attributes: Uint8Array;
  readonly #watchers = new Map<number, PageWatcher[]>();
  /** Told of every store to a watched page before its watchers are: keeps who stored what. */
  observer: PageWatcher | undefined;
  /** Called when a page has stopped to be fast: who remembers that it may be stored to directly must forget it. */
  onSlowPage: (() => void) | undefined;
  /** One bit a RAM page; meaningful while dirty logging is on. */
  readonly dirty: Uint32Array;
  #dirtyLogging = false;
  /** Made by the first who needs it. */
  #made: Bulk | undefined;
  /** Of the host's view: the guest whose linear memory it is, who keeps the flags of its pages. */
  readonly #guest: GuestRam | undefined;

  /**
   * @param userMode whether user processes can run in it
   * @param hostBytes memory of the modelled host behind it
   * @param guest makes this another view of that guest's linear memory: the host's, or with the guest's base the guest's own; the other
   *   parameters are its own
   */
  constructor(base: number, size: number, highSize = 0, userMode = false, hostBytes = 0, guest?: GuestRam) {
    this.layout = guest?.layout ?? hiddenLayout(base, size, highSize, userMode, hostBytes);
    this.highSize = highSize;
    const ofHost = guest !== undefined && guest.base !== base;
    this.highAt = ofHost ? guest.base : this.layout.highAt;
    const low = ofHost && isLow(guest);
    this.highLo = low ? HOST_WINDOW : 0;
    this.highHi = low ? 0 : 1;
    this.base = base;
    this.size = size;
    this.end = base + size;
    this.#guest = guest;
    const { wasmPages } = this.layout;
    this.memory = guest?.memory ?? new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
    this.u8 = new Uint8Array(this.memory.buffer);
    this.u32 = new Uint32Array(this.memory.buffer);
    this.#flags = this.u8.subarray(this.layout.flags, this.layout.flags + (1 << 20));
    this.#attributes = new Uint8Array((size >>> PAGE_SHIFT) + 1);
    this.dirty = new Uint32Array(Math.ceil((size >>> PAGE_SHIFT) / 32));
    if (guest === undefined) this.#refreshAll();
  }

  /**
   * The same linear memory as the host sees it: its own memory at the address where it lies, and from 2 GiB on (or, if it is large,
   * from 4 GiB on) everything from the guest's RAM up to it. A store to that RAM is the guest's: its watches, its dirty log.
   */
  static ofHost(guest: GuestRam): GuestRam {
    const { hostAt, hostBytes } = guest.layout;
    return new GuestRam(hostAt, hostBytes, hostAt - guest.base, false, 0, guest);
  }

  /** The same RAM at the same addresses: what is watched and written by it is nothing to the guest's watches and dirty log. */
  static unnoticed(guest: GuestRam): GuestRam {
    return new GuestRam(guest.base, guest.size, guest.highSize, false, 0, guest);
  }

  /** True when all of [address, address + bytes) is RAM; address as (lo, hi). */
  holds(lo: number, hi: number, bytes: number): boolean {
    const a = lo >>> 0;
    return hi === 0 && a >= this.base && a + bytes <= this.end;
  }

  /** Where in the linear memory the RAM at (lo, hi) lies, or -1 when some of the bytes are not RAM. */
  locate(lo: number, hi: number, bytes: number): number {
    return this.holds(lo, hi, bytes) ? lo >>> 0 : this.above(lo, hi, bytes);
  }

  /** The same of RAM from 4 GiB on. LIMIT: it has no watches, no dirty log, and no instruction of a guest reaches it. */
  above(lo: number, hi: number, bytes: number): number {
    const a = (lo >>> 0) - this.highLo;
    return hi >>> 0 === this.highHi && a >= 0 && a + bytes <= this.highSize ? this.highAt + a : -1;
  }

  /** Copies bytes from outside of the linear memory to a place in it. `wrote` is the caller's to call. */
  put(bytes: Uint8Array, to: number): void {
    setBytes.call(this.u8, bytes, to);
  }

  /** Moves bytes from one place of the linear memory to another; the pieces may overlap. `wrote` is the caller's to call. */
  copy(to: number, from: number, bytes: number): void {
    this.#bulk.copy(to, from, bytes);
  }

  /** The first place in [at, end) of the linear memory that holds a quadword other than 0, or `end`. Both are aligned. */
  skipZeros(at: number, end: number): number {
    return this.#bulk.skipZeros(at, end) >>> 0;
  }

  get #bulk(): Bulk {
    return (this.#made ??= bulkOf(this.memory));
  }

  /** Called for every write that does not come from guest code: DMA, firmware, WASI, monitor. `bytes` > 0, inside RAM. */
  wrote(address: number, bytes: number): void {
    if (address >= this.end) return;
    const first = (address - this.base) >>> PAGE_SHIFT;
    const last = (address - this.base + bytes - 1) >>> PAGE_SHIFT;
    if (this.#flags[address >>> PAGE_SHIFT] === FLAG_FAST && first === last) return;
    this.#note(address, bytes, first, last, false);
  }

  /** The slow path of a guest store that ended in RAM. */
  storedByCpu(address: number, bytes: number): void {
    const first = (address - this.base) >>> PAGE_SHIFT;
    const last = (address - this.base + bytes - 1) >>> PAGE_SHIFT;
    this.#note(address, bytes, first, last, true);
  }

  #note(address: number, bytes: number, first: number, last: number, byCpu: boolean): void {
    if (address < this.base) {
      this.#guest?.wrote(address, bytes);
      return;
    }
    for (let page = first; page <= last; page++) {
      if (this.#dirtyLogging) this.#markDirty(page);
      if (this.#attributes[page]! & WATCHED) {
        const from = Math.max(address, this.base + page * 4096);
        const to = Math.min(address + bytes, this.base + (page + 1) * 4096);
        this.observer?.stored(from, to - from, byCpu);
        for (const w of this.#watchers.get(page) ?? []) w.stored(from, to - from, byCpu);
      }
    }
  }

  #markDirty(page: number): void {
    this.dirty[page >>> 5]! |= 1 << (page & 31);
    this.#refresh(page);
    this.#refresh(page - 1);
  }

  /** Reports stores to the page that holds `address` to `watcher`. Costs only stores to that page and the one before. */
  watch(address: number, watcher: PageWatcher): void {
    const page = this.#pageOf(address);
    const list = this.#watchers.get(page);
    if (list?.includes(watcher) === true) return;
    this.#watchers.set(page, list === undefined ? [watcher] : [...list, watcher]);
    this.#attributes[page]! |= WATCHED;
    this.#refresh(page);
    this.#refresh(page - 1);
  }

  unwatch(address: number, watcher: PageWatcher): void {
    const page = this.#pageOf(address);
    const list = this.#watchers.get(page);
    if (list !== undefined && (list.length > 1 || list[0] !== watcher)) {
      const others = list.filter((w) => w !== watcher);
      this.#watchers.set(page, others);
      return;
    }
    this.#watchers.delete(page);
    this.#attributes[page]! &= ~WATCHED;
    this.#refresh(page);
    this.#refresh(page - 1);
  }

  get dirtyLogging(): boolean {
    return this.#dirtyLogging;
  }

  /** Switches the dirty log; it starts empty. */
  setDirtyLogging(on: boolean): void {
    this.#dirtyLogging = on;
    this.dirty.fill(0);
    this.#refreshAll();
  }

  /** Starts a new round: forgets which pages are dirty. */
  clearDirty(): void {
    this.dirty.fill(0);
    if (this.#dirtyLogging) this.#refreshAll();
  }

  /** Zeroes RAM (power-on); flags, watches and the dirty log are brought up to date. */
  clear(): void {
    this.u8.fill(0, this.base, this.end);
    if (this.#guest === undefined) this.u8.fill(0, this.highAt, this.highAt + this.highSize);
    if (this.#dirtyLogging) {
      this.dirty.fill(0xffffffff);
      this.#refreshAll();
    }
  }

  #pageOf(address: number): number {
    if (address < this.base || address >= this.end) throw new Bug(`page watch outside RAM: ${address}`);
    return (address - this.base) >>> PAGE_SHIFT;
  }

  #quiet(page: number): boolean {
    if (this.#attributes[page] !== 0) return false;
    return !this.#dirtyLogging || (this.dirty[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  #refresh(page: number): void {
    if (page < 0 || page >= this.size >>> PAGE_SHIFT || this.#guest !== undefined) return;
    const last = page + 1 === this.size >>> PAGE_SHIFT;
    const fast = this.#quiet(page) && !last && this.#quiet(page + 1);
    const at = (this.base >>> PAGE_SHIFT) + page;
    if (!fast && this.#flags[at] === FLAG_FAST) this.onSlowPage?.();
    this.#flags[at] = fast ? FLAG_FAST : 0;
  }

  #refreshAll(): void {
    if (this.#guest !== undefined) return;
    const pages = this.size >>> PAGE_SHIFT;
    if (this.#watchers.size === 0 && !this.#dirtyLogging) {
      const first = this.base >>> PAGE_SHIFT;
      this.#flags.fill(FLAG_FAST, first, first + pages - 1);
      return;
    }
    for (let page = 0; page < pages; page++) this.#refresh(page);
  }
}

/** The host's memory and the guest's fit below 4 GiB, each at addresses of its own. */
function isLow({ base, layout: { hostAt, hostBytes } }: GuestRam): boolean {
  return hostAt - base <= MOST_IN_WINDOW && hostAt + hostBytes <= HOST_WINDOW;
}
