/** The chance that follows (xorshift, 13-17-5): 32 bits, never 0. */
export function nextChance(chance: number): number {
  let x = chance;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x >>> 0;
}

/** One of `count` by a chance. */
export function pick(chance: number, count: number): number {
  return (chance >>> 4) % count;
}

/** Empties a row of a cache, of `words` words; word `word` of an empty row is 0. */
export function dropRow(rows: Uint32Array, words: number, word: number, chance: number): void {
  rows[pick(chance, rows.length / words) * words + word] = 0;
}
