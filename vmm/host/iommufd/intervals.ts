/** Inclusive, as the modelled interface counts: the last address of the space has no successor. */
export interface Interval {
  readonly start: bigint;
  readonly last: bigint;
}

/**
 * Disjoint intervals in ascending order. A sorted array: finding is a binary search, and moving the tail of even 10^5 entries
 * costs less than the pinning that goes with each insertion.
 */
export class Intervals<T extends Interval> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]();
  }

  /** The first interval that touches [start, last]. */
  first(start: bigint, last: bigint): T | undefined {
    const item = this.#items[this.#lowerBound(start)];
    return item !== undefined && item.start <= last ? item : undefined;
  }

  /** All intervals that touch [start, last], as a copy: the caller may change the collection. */
  touching(start: bigint, last: bigint): T[] {
    const from = this.#lowerBound(start);
    let to = from;
    while (to < this.#items.length && (this.#items[to] as T).start <= last) to++;
    return this.#items.slice(from, to);
  }

  /** The intervals that cover [start, last] without a hole, or `undefined`. */
  covering(start: bigint, last: bigint): T[] | undefined {
    const found = this.touching(start, last);
    let at = start;
    for (const item of found) {
      if (item.start > at) return undefined;
      at = item.last + 1n;
    }
    return at > last ? found : undefined;
  }

  insert(item: T): void {
    this.#items.splice(this.#lowerBound(item.start), 0, item);
  }

  remove(item: T): void {
    const at = this.#lowerBound(item.start);
    if (this.#items[at] === item) this.#items.splice(at, 1);
  }

  clear(): void {
    this.#items.length = 0;
  }

  /** Index of the first interval that ends at or after `address`. */
  #lowerBound(address: bigint): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#items[middle] as T).last < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What of [start, last] is not in any of `taken` (any order, may overlap), ascending. */
export function holes(taken: Iterable<Interval>, start: bigint, last: bigint): Interval[] {
  const found: Interval[] = [];
  let at = start;
  for (const item of [...taken].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))) {
    if (item.last < at) continue;
    if (item.start > last) break;
    if (item.start > at) found.push({ start: at, last: item.start - 1n });
    at = item.last + 1n;
    if (at > last) return found;
  }
  found.push({ start: at, last });
  return found;
}
