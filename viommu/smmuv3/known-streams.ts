const STREAMS = 65536;
const WORDS = STREAMS / 32;

/** Streams that configuration may be cached of, so that a command for a range of them looks at those alone. Rebuilt from the cache. */
export class KnownStreams {
  readonly #bits = new Int32Array(WORDS);

  add(sid: number): void {
    this.#bits[sid >>> 5]! |= 1 << sid;
  }

  remove(sid: number): void {
    this.#bits[sid >>> 5]! &= ~(1 << sid);
  }

  /** The first one from `sid` on and before `end`, or -1. */
  next(sid: number, end: number): number {
    const bits = this.#bits;
    let word = sid >>> 5;
    let rest = bits[word]! & (-1 << sid);
    while (rest === 0) {
      word++;
      if (word << 5 >= end) return -1;
      rest = bits[word]!;
    }
    const found = (word << 5) + 31 - Math.clz32(rest & -rest);
    return found < end ? found : -1;
  }
}
