import { TsvmmError } from '../core/errors.ts';

/**
 * A device's answer to bus accesses. Sizes are 1, 2, 4 or 8 bytes and arrive as the CPU or requester made them.
 * An 8-byte read returns its lower half and leaves the upper one in `bus.hi`; `hi` of smaller writes is 0.
 */
export interface MmioHandler {
  read(offset: number, size: number, bus: MmioBus): number;
  write(offset: number, size: number, lo: number, hi: number, bus: MmioBus): void;
}

export interface MmioRange {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly handler: MmioHandler;
}

/**
 * Routes physical addresses that are not RAM. Ranges may lie anywhere below 2^52 and never overlap.
 * Access to an address nobody claims is counted by the caller through `claimed`.
 */
export class MmioBus {
  /** Upper half of the last 8-byte read. */
  hi = 0;
  /** False when the last access met no device. */
  claimed = false;
  #ranges: MmioRange[] = [];
  #last: MmioRange | undefined;

  /** @throws TsvmmError naming both owners when the ranges overlap */
  add(range: MmioRange): void {
    const clash = this.tryAdd(range);
    if (clash !== undefined) throw overlap(range, clash);
  }

  /** For ranges a guest places (BARs): returns the range that is in the way and adds nothing. */
  tryAdd(range: MmioRange): MmioRange | undefined {
    const clash = this.#ranges.find((r) => range.base < r.base + r.size && r.base < range.base + range.size);
    if (clash !== undefined) return clash;
    this.#ranges.push(range);
    this.#ranges.sort((a, b) => a.base - b.base);
    return undefined;
  }

  remove(range: MmioRange): void {
    this.#ranges = this.#ranges.filter((r) => r !== range);
    if (this.#last === range) this.#last = undefined;
  }

  get ranges(): readonly MmioRange[] {
    return this.#ranges;
  }

  /** @param address below 2^52 */
  read(address: number, size: number): number {
    const r = this.#find(address, size);
    this.hi = 0;
    if (r === undefined) {
      this.claimed = false;
      this.hi = size === 8 ? 0xffffffff : 0;
      return size === 8 ? 0xffffffff : 2 ** (size * 8) - 1;
    }
    this.claimed = true;
    return r.handler.read(address - r.base, size, this);
  }

  write(address: number, size: number, lo: number, hi: number): void {
    const r = this.#find(address, size);
    this.claimed = r !== undefined;
    if (r !== undefined) r.handler.write(address - r.base, size, lo, hi, this);
  }

  /** The range that holds all of [address, address + size). */
  #find(address: number, size: number): MmioRange | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.base && address + size <= last.base + last.size) return last;
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low <= high) {
      const mid = (low + high) >>> 1;
      const r = this.#ranges[mid]!;
      if (address < r.base) high = mid - 1;
      else if (address >= r.base + r.size) low = mid + 1;
      else if (address + size > r.base + r.size) return undefined;
      else return (this.#last = r);
    }
    return undefined;
  }
}

function overlap(a: MmioRange, b: MmioRange): TsvmmError {
  const span = (r: MmioRange) => `0x${r.base.toString(16)}-0x${(r.base + r.size - 1).toString(16)}`;
  return new TsvmmError({
    code: 'overlapping-claims',
    object: a.name,
    why: `claims ${span(a)}, which overlaps ${span(b)} of ${b.name}`,
    mend: 'move one of them or leave one out',
  });
}
