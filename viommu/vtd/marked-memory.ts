import type { WalkMemory } from '../walk/memory.ts';
import type { ReadSink } from './sinks.ts';
import type { VtdWiring } from './wiring.ts';

/** Guest memory as the walkers see it: who watches tables is told that the unit itself sets bits in them. */
export class MarkedMemory implements WalkMemory {
  readonly u32: Uint32Array;
  readonly base: number;
  readonly end: number;
  readonly window: { readonly first: number; readonly pages: number; readonly at: number };
  readonly #w: VtdWiring;
  readonly #reads: Pick<ReadSink, 'updating'>;

  constructor(w: VtdWiring, reads: Pick<ReadSink, 'updating'>) {
    const { ram } = w.services.memory;
    this.u32 = ram.u32;
    this.base = ram.base;
    this.end = ram.end;
    const pages = ram.highHi === 0 ? ram.highSize >>> 12 : 0;
    this.window = { first: ram.highLo >>> 12, pages, at: ram.highAt >>> 12 };
    this.#w = w;
    this.#reads = reads;
  }

  locate(lo: number, hi: number, bytes: number): number {
    return this.#w.services.memory.ram.locate(lo, hi, bytes);
  }

  wrote(address: number, bytes: number): void {
    const { memory, id } = this.#w.services;
    memory.writer = id;
    this.#reads.updating = true;
    memory.ram.wrote(address, bytes);
    this.#reads.updating = false;
  }
}
