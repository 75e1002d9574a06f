import { type HiddenLayout, PAGE_SHIFT } from '../../mem/layout.ts';
import { FAULT, type SlowPath } from './slow-path.ts';

/** Why an access could not be performed. */
export type AccessFault =
  /** No memory and no device could be there: the address is beyond 4 GiB. */
  | 'beyond-4g'
  /** Partly in RAM, partly not. */
  | 'ram-edge'
  /** 128 bits wide, or a memory.init, outside of RAM. */
  | 'not-ram'
  | 'misaligned'
  | 'wait'
  | 'notify';

/** What RamSlowPath leaves to its owner: page bookkeeping, the bus, time. */
export interface SlowPathOwner {
  /**
   * One bus access of 1, 2 or 4 bytes outside of RAM; throws where nothing answers. Addresses and values are signed
   * 32-bit numbers here, as they come from the guest: unsigned ones with bit 31 set would be boxed between functions.
   */
  mmioRead(address: number, width: number): number;
  /** One of 8 bytes: returns the lower half and leaves the upper one in the hidden word, as SlowPath.load64 does. */
  mmioRead64(address: number): number;
  mmioWrite(address: number, width: number, lo: number, hi: number): void;
  /**
   * A RAM page is about to be written: mark it dirty and, where it may, make it fast (FLAG_FAST). A store is checked at its
   * first byte only, so a page may be fast only when the page after it is RAM, unwatched and marked dirty as well.
   * @returns true when the page is watched: written() is wanted.
   */
  beforeWrite(page: number): boolean;
  /** Bytes were written, in one watched page at least. */
  written(address: number, length: number): void;
  fault(address: number, width: number, reason: AccessFault): never;
  safepoint(): void;
}

const FOUR_GIB = 0x1_0000_0000;

/** The slow path over guest RAM: what does not depend on what devices or watches there are. */
export class RamSlowPath implements SlowPath {
  private readonly owner: SlowPathOwner;
  private readonly ramBase: number;
  private readonly ramEnd: number;
  /** The last byte of RAM, bit 31 flipped. */
  private readonly lastInOrder: number;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly hiWord: number;
  private initWatched = false;

  constructor(owner: SlowPathOwner, layout: HiddenLayout, memory: WebAssembly.Memory) {
    this.owner = owner;
    this.ramBase = layout.ramBase;
    this.ramEnd = layout.ramEnd;
    this.lastInOrder = (layout.ramEnd - 1) ^ -0x8000_0000;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.hiWord = layout.hiWord;
  }

  /** True when all of it is RAM, false when none is; anything else, and what lies beyond 4 GiB, is a fault. */
  private isRam(address: number, width: number): boolean {
    const end = address + width;
    if (address >= this.ramBase && end <= this.ramEnd) return true;
    if (end > FOUR_GIB) return this.owner.fault(address, width, 'beyond-4g');
    if (address >= this.ramEnd || end <= this.ramBase) return false;
    return this.owner.fault(address, width, 'ram-edge');
  }

  /**
   * The quick test for a device's register: all of an access of up to 8 bytes is above RAM and below 4 GiB. `a` is addr + off
   * modulo 2^32. Signed arithmetic only: it is a fifth of what a trap costs otherwise.
   */
  private isAboveRam(a: number, addr: number): boolean {
    // Flipping bit 31 makes unsigned numbers signed ones of the same order.
    const place = a ^ -0x8000_0000;
    return place > this.lastInOrder && place >= (addr ^ -0x8000_0000) && place <= 0x7fff_fff8;
  }

  /** Marks the pages of a RAM range; true when one is watched. */
  private beforeWrite(address: number, length: number): boolean {
    let watched = false;
    const last = (address + length - 1) >>> PAGE_SHIFT;
    for (let page = address >>> PAGE_SHIFT; page <= last; page++) {
      if (this.owner.beforeWrite(page)) watched = true;
    }
    return watched;
  }

  load8(addr: number, off: number): number {
    const address = (addr >>> 0) + (off >>> 0);
    return this.isRam(address, 1)
      ? (this.bytes[address] as number)
      : this.owner.mmioRead(address | 0, 1) & 0xff;
  }

  load16(addr: number, off: number): number {
    const address = (addr >>> 0) + (off >>> 0);
    return this.isRam(address, 2)
      ? this.view.getUint16(address, true)
      : this.owner.mmioRead(address | 0, 2) & 0xffff;
  }

  load32(addr: number, off: number): number {
    const a = (addr + off) | 0;
    if (this.isAboveRam(a, addr)) return this.owner.mmioRead(a, 4);
    const address = (addr >>> 0) + (off >>> 0);
    return this.isRam(address, 4) ? this.view.getInt32(address, true) : this.owner.mmioRead(address | 0, 4);
  }

  load64(addr: number, off: number): number {
    const a = (addr + off) | 0;
    if (this.isAboveRam(a, addr)) return this.owner.mmioRead64(a);
    const address = (addr >>> 0) + (off >>> 0);
    if (this.isRam(address, 8)) {
      this.view.setInt32(this.hiWord, this.view.getInt32(address + 4, true), true);
      return this.view.getInt32(address, true);
    }
    return this.owner.mmioRead64(address | 0);
  }

  store8(addr: number, off: number, value: number): void {
    const address = (addr >>> 0) + (off >>> 0);
    if (!this.isRam(address, 1)) {
      this.owner.mmioWrite(address | 0, 1, value & 0xff, 0);
      return;
    }
    const watched = this.beforeWrite(address, 1);
    this.bytes[address] = value;
    if (watched) this.owner.written(address, 1);
  }

  store16(addr: number, off: number, value: number): void {
    const address = (addr >>> 0) + (off >>> 0);
    if (!this.isRam(address, 2)) {
      this.owner.mmioWrite(address | 0, 2, value & 0xffff, 0);
      return;
    }
    const watched = this.beforeWrite(address, 2);
    this.view.setUint16(address, value, true);
    if (watched) this.owner.written(address, 2);
  }

  store32(addr: number, off: number, value: number): void {
    const a = (addr + off) | 0;
    if (this.isAboveRam(a, addr)) {
      this.owner.mmioWrite(a, 4, value, 0);
      return;
    }
    const address = (addr >>> 0) + (off >>> 0);
    if (!this.isRam(address, 4)) {
      this.owner.mmioWrite(address | 0, 4, value, 0);
      return;
    }
    const watched = this.beforeWrite(address, 4);
    this.view.setInt32(address, value, true);
    if (watched) this.owner.written(address, 4);
  }

  store64(addr: number, off: number, lo: number, hi: number): void {
    const address = (addr >>> 0) + (off >>> 0);
    if (!this.isRam(address, 8)) {
      this.owner.mmioWrite(address | 0, 8, lo, hi);
      return;
    }
    const watched = this.beforeWrite(address, 8);
    this.view.setInt32(address, lo, true);
    this.view.setInt32(address + 4, hi, true);
    if (watched) this.owner.written(address, 8);
  }

  store128(addr: number, off: number, w0: number, w1: number, w2: number, w3: number): void {
    const address = (addr >>> 0) + (off >>> 0);
    if (!this.isRam(address, 16)) this.owner.fault(address, 16, 'not-ram');
    const watched = this.beforeWrite(address, 16);
    this.view.setInt32(address, w0, true);
    this.view.setInt32(address + 4, w1, true);
    this.view.setInt32(address + 8, w2, true);
    this.view.setInt32(address + 12, w3, true);
    if (watched) this.owner.written(address, 16);
  }

  private inRam(address: number, length: number): boolean {
    return address >= this.ramBase && address + length <= this.ramEnd;
  }

  /** Where devices take part: 4-byte accesses while both ends are aligned, else bytes; upwards unless that would overlap. */
  copy(dst: number, src: number, len: number): void {
    const to = dst >>> 0;
    const from = src >>> 0;
    const length = len >>> 0;
    if (this.inRam(to, length) && this.inRam(from, length)) {
      const watched = this.beforeWrite(to, length);
      this.bytes.copyWithin(to, from, from + length);
      if (watched) this.owner.written(to, length);
      return;
    }
    if (to > from && to < from + length) {
      for (let i = length - 1; i >= 0; i--) this.store8(to, i, this.load8(from, i));
      return;
    }
    for (let i = 0; i < length; ) {
      if (((to + i) & 3) === 0 && ((from + i) & 3) === 0 && i + 4 <= length) {
        this.store32(to, i, this.load32(from, i));
        i += 4;
      } else {
        this.store8(to, i, this.load8(from, i));
        i++;
      }
    }
  }

  fill(dst: number, value: number, len: number): void {
    const to = dst >>> 0;
    const length = len >>> 0;
    if (this.inRam(to, length)) {
      const watched = this.beforeWrite(to, length);
      this.bytes.fill(value, to, to + length);
      if (watched) this.owner.written(to, length);
      return;
    }
    const word = Math.imul(value & 0xff, 0x01010101);
    for (let i = 0; i < length; ) {
      if (((to + i) & 3) === 0 && i + 4 <= length) {
        this.store32(to, i, word);
        i += 4;
      } else {
        this.store8(to, i, value);
        i++;
      }
    }
  }

  initBegin(dst: number, len: number): void {
    const to = dst >>> 0;
    const length = len >>> 0;
    if (!this.inRam(to, length)) this.owner.fault(to, length, 'not-ram');
    this.initWatched = this.beforeWrite(to, length);
  }

  initEnd(dst: number, len: number): void {
    if (this.initWatched) this.owner.written(dst >>> 0, len >>> 0);
    this.initWatched = false;
  }

  fault(addr: number, off: number, kind: number): void {
    const address = (addr >>> 0) + (off >>> 0);
    if (kind === FAULT.misaligned) this.owner.fault(address, 0, 'misaligned');
    if (kind === FAULT.wait) this.owner.fault(address, 0, 'wait');
    if (kind === FAULT.notify) this.owner.fault(address, 4, 'notify');
    this.owner.fault(address, 16, address + 16 > FOUR_GIB ? 'beyond-4g' : 'not-ram');
  }

  safepoint(): void {
    this.owner.safepoint();
  }
}
