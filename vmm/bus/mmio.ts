import { TsvmmError } from '../core/errors.ts';

/**
 * A device's answer to bus accesses. Sizes are 1, 2, 4 or 8 bytes and arrive as the CPU or requester made them.
 * An 8-byte read returns its lower half and leaves the upper one in `bus.hi`; `hi` of smaller writes is 0.
 * A value read is 32 bits, signed or unsigned: signed costs no allocation where bit 31 is set.
 */
export interface MmioHandler {
  read(offset: number, size: number, bus: MmioBus): number;
  write(offset: number, size: number, lo: number, hi: number, bus: MmioBus): void;
  /**
   * One write of 64 bytes at an aligned offset: 16 words, good for the time of the call. `deferrable`: a Deferrable Memory
   * Write (ENQCMD), which the device may answer; else a posted one (MOVDIR64B), whose result nobody sees. One of LINE_.
   * Without it a posted line arrives as eight 8-byte writes, and a deferrable one is refused.
   */
  line?(offset: number, words: Uint32Array, deferrable: boolean): number;
}

/** Completion of a 64-byte write: taken; to be tried again (Configuration Request Retry Status); Unsupported Request. */
export const LINE_ACCEPTED = 0;
export const LINE_RETRY = 1;
export const LINE_REFUSED = 2;
const LINE_BYTES = 64;

export interface MmioRange {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly handler: MmioHandler;
}

/** A range as look-ups want it: one hidden class, whatever object its owner made, and 32-bit numbers. */
class Claim {
  readonly range: MmioRange;
  readonly base: number;
  readonly end: number;
  readonly handler: MmioHandler;
  /** The base as a signed number, and how many bytes from there a 32-bit address can name: 0 for a range above 4 GiB. */
  readonly base32: number;
  readonly span: number;

  constructor(range: MmioRange) {
    this.range = range;
    this.base = range.base;
    this.end = range.base + range.size;
    this.handler = range.handler;
    this.base32 = range.base | 0;
    this.span = this.end <= 2 ** 32 ? Math.min(range.size, 0x7fffffff) : 0;
  }
}

/** No access is in it. */
const NOWHERE = new Claim({
  name: '',
  base: 0,
  size: 0,
  handler: { read: () => 0, write: () => {} },
});

/**
 * Routes physical addresses that are not RAM. Ranges may lie anywhere below 2^52 and never overlap.
 * Access to an address nobody claims is counted by the caller through `claimed`.
 */
export class MmioBus {
  /** Upper half of the last 8-byte read. */
  hi = 0;
  /** False when the last access met no device. */
  claimed = false;
  #claims: Claim[] = [];
  #last = NOWHERE;

  /** @throws TsvmmError naming both owners when the ranges overlap */
  add(range: MmioRange): void {
    const clash = this.tryAdd(range);
    if (clash !== undefined) throw overlap(range, clash);
  }

  /** For ranges a guest places (BARs): returns the range that is in the way and adds nothing. */
  tryAdd(range: MmioRange): MmioRange | undefined {
    const clash = this.#claims.find((c) => range.base < c.end && c.base < range.base + range.size);
    if (clash !== undefined) return clash.range;
    this.#claims.push(new Claim(range));
    this.#claims.sort((a, b) => a.base - b.base);
    return undefined;
  }

  remove(range: MmioRange): void {
    this.#claims = this.#claims.filter((c) => c.range !== range);
    if (this.#last.range === range) this.#last = NOWHERE;
  }

  get ranges(): readonly MmioRange[] {
    return this.#claims.map((c) => c.range);
  }

  /** @param address below 2^52 */
  read(address: number, size: number): number {
    const c = this.#find(address, size);
    this.hi = 0;
    if (c === undefined) {
      this.claimed = false;
      this.hi = size === 8 ? 0xffffffff : 0;
      return size === 8 ? 0xffffffff : 2 ** (size * 8) - 1;
    }
    const value = c.handler.read(address - c.base, size, this) >>> 0;
    // Only now: the access may have started DMA that met no device.
    this.claimed = true;
    return value;
  }

  write(address: number, size: number, lo: number, hi: number): void {
    const c = this.#find(address, size);
    c?.handler.write(address - c.base, size, lo, hi, this);
    this.claimed = c !== undefined;
  }

  /** A 64-byte write to an aligned address; one of LINE_, as MmioHandler.line. */
  line(address: number, words: Uint32Array, deferrable: boolean): number {
    const c = this.#find(address, LINE_BYTES);
    const result = c === undefined ? LINE_REFUSED : this.#lineTo(c, address - c.base, words, deferrable);
    this.claimed = c !== undefined;
    return result;
  }

  #lineTo(c: Claim, offset: number, words: Uint32Array, deferrable: boolean): number {
    if (c.handler.line !== undefined) return c.handler.line(offset, words, deferrable);
    if (deferrable) return LINE_REFUSED;
    for (let i = 0; i < words.length; i += 2)
      c.handler.write(offset + i * 4, 8, words[i]!, words[i + 1]!, this);
    return LINE_ACCEPTED;
  }

  /**
   * read() of a guest's trap: address and result are signed 32-bit numbers, which travel between functions without being
   * boxed.
   */
  load(address: number, size: number): number {
    const last = this.#last;
    const offset = (address - last.base32) | 0;
    if (offset < 0 || offset > last.span - size) return this.read(address >>> 0, size) | 0;
    if (size === 8) this.hi = 0;
    const value = last.handler.read(offset, size, this) | 0;
    this.claimed = true;
    return value;
  }

  /** write() likewise. */
  store(address: number, size: number, lo: number, hi: number): void {
    const last = this.#last;
    const offset = (address - last.base32) | 0;
    if (offset < 0 || offset > last.span - size) {
      this.write(address >>> 0, size, lo >>> 0, hi >>> 0);
      return;
    }
    last.handler.write(offset, size, lo >>> 0, hi >>> 0, this);
    this.claimed = true;
  }

  /** The range that holds all of [address, address + size). */
  #find(address: number, size: number): Claim | undefined {
    const last = this.#last;
    if (address >= last.base && address + size <= last.end) return last;
    let low = 0;
    let high = this.#claims.length - 1;
    while (low <= high) {
      const mid = (low + high) >>> 1;
      const c = this.#claims[mid]!;
      if (address < c.base) high = mid - 1;
      else if (address >= c.end) low = mid + 1;
      else if (address + size > c.end) return undefined;
      else return (this.#last = c);
    }
    return undefined;
  }
}

/** Where something lies, and what. */
export type Span = Pick<MmioRange, 'name' | 'base' | 'size'>;

/** The refusal of a claim. */
export function overlap(a: Span, b: Span): TsvmmError {
  const span = (r: Span) => `0x${r.base.toString(16)}-0x${(r.base + r.size - 1).toString(16)}`;
  return new TsvmmError({
    code: 'overlapping-claims',
    object: a.name,
    why: `claims ${span(a)}, which overlaps ${span(b)} of ${b.name}`,
    mend: 'move one of them or leave one out',
  });
}
