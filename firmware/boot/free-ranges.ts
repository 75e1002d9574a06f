import type { AddressRange } from '../description.ts';

/** Address space that can be handed out: first fit, lowest address first, holes kept for later. */
export class FreeRanges {
  /** Start and end (exclusive), in the order they are tried. */
  readonly #free: { start: number; end: number }[];

  constructor(ranges: readonly AddressRange[]) {
    this.#free = ranges.map(({ base, length }) => ({ start: base, end: base + length }));
  }

  /** An aligned address with `size` bytes below `limit`, now taken; undefined when there is none. */
  take(size: number, align: number, limit: number): number | undefined {
    for (let i = 0; i < this.#free.length; i++) {
      const { start, end } = this.#free[i]!;
      const address = Math.ceil(start / align) * align;
      if (address + size > Math.min(end, limit)) continue;
      const rest = [
        { start, end: address },
        { start: address + size, end },
      ].filter((range) => range.start < range.end);
      this.#free.splice(i, 1, ...rest);
      return address;
    }
    return undefined;
  }
}
