import { CONFIG_ENTRY_AT, CONFIG_ENTRY_WORDS } from '../walk/config-cache.ts';
import { FROM_CACHE, FROM_MEMORY, NOT_READ } from '../watch/entry-steps.ts';

/** One structure the procedure read: where it lies and its words. */
export class ReadEntry {
  source = NOT_READ;
  /** Halves unsigned. */
  lo = 0;
  hi = 0;
  readonly words: Uint32Array;

  constructor(words: number) {
    this.words = new Uint32Array(words);
  }

  at(lo: number, hi: number): void {
    this.source = FROM_MEMORY;
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
  }

  /** From a row of the configuration cache, which holds the first words. */
  cached(rows: Uint32Array, row: number): void {
    this.source = FROM_CACHE;
    this.words.fill(0);
    for (let i = 0; i < CONFIG_ENTRY_WORDS; i++) this.words[i] = rows[row + CONFIG_ENTRY_AT + i]!;
  }
}

/** What the last slow translation read, kept in place so that a fault can be explained by what really was seen. */
export class AccessRecord {
  readonly l1std = new ReadEntry(2);
  readonly ste = new ReadEntry(16);
  readonly l1cd = new ReadEntry(2);
  readonly cd = new ReadEntry(16);
  /** TLB row that answered, or -1. */
  row = -1;
  /** Stage 1 descriptors were read; stage 2 ones were, for them or for the output. */
  walked1 = false;
  walked2 = false;

  clear(): void {
    for (const entry of [this.l1std, this.ste, this.l1cd, this.cd]) entry.source = NOT_READ;
    this.row = -1;
    this.walked1 = false;
    this.walked2 = false;
  }
}
