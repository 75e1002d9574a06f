import { hiOf, loOf, numberOf } from '../core/u64.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { MmioBus } from './mmio.ts';

/** Below this many bytes a word loop beats making a view. */
const SMALL_COPY = 128;
/** Named here because V8 asks a typed array for its method anew at each call, which is 3 ns. */
const setBytes = Uint8Array.prototype.set;
/** Views kept; one for each page of a working set of 16 MiB. */
const VIEWS = 4096;

/**
 * Physical memory as bus masters see it: RAM, and device registers by peer-to-peer access.
 * Addresses are (lo, hi) halves; nothing here knows of IOMMUs.
 */
export class SystemMemory {
  readonly ram: GuestRam;
  readonly mmio: MmioBus;
  /** Name of the bus master of the write in progress; for reports. */
  writer = 'host';
  /** Views of pieces of RAM: `set` with a ready view is the fastest copy there is. */
  readonly #views: (Uint8Array | undefined)[] = new Array(VIEWS).fill(undefined);
  /** Where they begin and how long they are: asking a view takes longer than a small copy. */
  readonly #viewAt = new Int32Array(VIEWS);
  readonly #viewLength = new Int32Array(VIEWS);
  #source: Uint8Array | undefined;
  readonly #slices: (Uint8Array | undefined)[] = [];
  readonly #sliceAt = new Int32Array(VIEWS);
  readonly #sliceLength = new Int32Array(VIEWS);

  constructor(ram: GuestRam, mmio: MmioBus) {
    this.ram = ram;
    this.mmio = mmio;
  }

  /** Reads `length` bytes into dst[at...]. False: some of it is neither RAM nor a register (dst is all ones there). */
  read(lo: number, hi: number, dst: Uint8Array, at: number, length: number): boolean {
    const ram = this.ram;
    const a = ram.locate(lo, hi, length);
    if (a < 0) return this.#readSlow(numberOf(lo >>> 0, hi >>> 0), dst, at, length);
    if (length <= SMALL_COPY) for (let i = 0; i < length; i++) dst[at + i] = ram.u8[a + i]!;
    else setBytes.call(dst, this.#view(a, length), at);
    return true;
  }

  /** Writes src[at, at + length). False: some of it is neither RAM nor a register, and was dropped. */
  write(lo: number, hi: number, src: Uint8Array, at: number, length: number): boolean {
    const ram = this.ram;
    const a = ram.locate(lo, hi, length);
    if (a < 0) return this.#writeSlow(numberOf(lo >>> 0, hi >>> 0), src, at, length);
    if (length === src.length && at === 0) ram.put(src, a);
    else if (length <= SMALL_COPY) for (let i = 0; i < length; i++) ram.u8[a + i] = src[at + i]!;
    else ram.put(this.#slice(src, at, length), a);
    if (length > 0) ram.wrote(a, length);
    return true;
  }

  /** One aligned dword; undefined outside RAM. Structures of an IOMMU lie in RAM. */
  write32(lo: number, hi: number, value: number): boolean {
    const a = this.ram.locate(lo, hi, 4);
    if (a < 0 || (a & 3) !== 0) return false;
    this.ram.u32[a >>> 2] = value;
    this.ram.wrote(a, 4);
    return true;
  }

  /** A view of RAM that is made once for as long as the same pieces are read again. */
  #view(address: number, length: number): Uint8Array {
    const i = ((address >>> 12) ^ (address >>> 6) ^ (length >>> 7)) & (VIEWS - 1);
    const view = this.#views[i];
    if (view !== undefined && this.#viewAt[i] === (address | 0) && this.#viewLength[i] === length)
      return view;
    this.#viewAt[i] = address;
    this.#viewLength[i] = length;
    return (this.#views[i] = this.ram.u8.subarray(address, address + length));
  }

  /** Likewise of the buffer written from last. */
  #slice(src: Uint8Array, at: number, length: number): Uint8Array {
    if (this.#source !== src) {
      this.#source = src;
      this.#slices.length = 0;
    }
    const i = (at >>> 12) & (VIEWS - 1);
    const slice = this.#slices[i];
    if (slice !== undefined && this.#sliceAt[i] === at && this.#sliceLength[i] === length) return slice;
    this.#sliceAt[i] = at;
    this.#sliceLength[i] = length;
    return (this.#slices[i] = src.subarray(at, at + length));
  }

  #readSlow(address: number, dst: Uint8Array, at: number, length: number): boolean {
    let whole = true;
    for (let done = 0; done < length; ) {
      const size = pieceSize(address + done, length - done);
      const lo = this.#readPiece(address + done, size);
      whole &&= this.mmio.claimed;
      for (let i = 0; i < size; i++)
        dst[at + done + i] = i < 4 ? lo >>> (i * 8) : this.mmio.hi >>> ((i - 4) * 8);
      done += size;
    }
    return whole;
  }

  #readPiece(address: number, size: number): number {
    const ram = this.ram;
    const a = ram.locate(loOf(address), hiOf(address), size);
    if (a < 0) return this.mmio.read(address, size);
    this.mmio.claimed = true;
    let lo = 0;
    let hi = 0;
    for (let i = 0; i < size; i++) {
      if (i < 4) lo |= ram.u8[a + i]! << (i * 8);
      else hi |= ram.u8[a + i]! << ((i - 4) * 8);
    }
    this.mmio.hi = hi >>> 0;
    return lo >>> 0;
  }

  #writeSlow(address: number, src: Uint8Array, at: number, length: number): boolean {
    let whole = true;
    for (let done = 0; done < length; ) {
      const a = address + done;
      const size = pieceSize(a, length - done);
      const place = this.ram.locate(loOf(a), hiOf(a), size);
      if (place >= 0) {
        for (let i = 0; i < size; i++) this.ram.u8[place + i] = src[at + done + i]!;
        this.ram.wrote(place, size);
      } else {
        this.mmio.write(
          a,
          size,
          word(src, at + done, Math.min(size, 4)),
          size === 8 ? word(src, at + done + 4, 4) : 0,
        );
        whole &&= this.mmio.claimed;
      }
      done += size;
    }
    return whole;
  }
}

/** The largest naturally aligned access that starts at `address` and fits. */
function pieceSize(address: number, left: number): 1 | 2 | 4 | 8 {
  if (left >= 8 && address % 8 === 0) return 8;
  if (left >= 4 && address % 4 === 0) return 4;
  return left >= 2 && address % 2 === 0 ? 2 : 1;
}

function word(src: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= src[at + i]! << (i * 8);
  return value >>> 0;
}
