import { STE } from '../spec/smmuv3/structures.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { VMSA_OK, VmsaWalker } from '../walk/vmsa.ts';
import { decodeSte, isLegalSte, Stream, type StreamControls } from './stream-table.ts';
import type { UnitFeatures } from './unit.ts';

const READ = 1;

/** Where stage 2 of an STE puts the structures of its stage 1: a look that changes nothing. */
export class Stage2Place {
  readonly #features: UnitFeatures;
  readonly #walker: VmsaWalker;
  readonly #stream = new Stream();

  constructor(memory: WalkMemory, features: UnitFeatures) {
    this.#features = features;
    this.#walker = new VmsaWalker(memory, undefined);
    this.#walker.fills = false;
  }

  /** Makes `pageOf` speak for the STE at words[at]; false: it has no stage 1 to ask for. */
  begin(words: Uint32Array, at: number, controls: StreamControls): boolean {
    if (STE.get.V(words, at) === 0 || (STE.get.Config(words, at) & 5) !== 5) return false;
    if (!isLegalSte(words, at, this.#features)) return false;
    decodeSte(words, at, this.#features, controls, this.#stream);
    return true;
  }

  get stream(): Stream {
    return this.#stream;
  }

  /** The page below 4 GiB that holds (lo, hi), or -1. */
  pageOf(lo: number, hi: number): number {
    const { tables, stage2 } = this.#stream;
    if (!stage2) return hi === 0 ? lo >>> 12 : -1;
    const walker = this.#walker;
    walker.intent = READ;
    if (walker.walk(tables, lo | 0, hi | 0, READ, true, 0, undefined, 0) !== VMSA_OK) return -1;
    return walker.outHi === 0 ? walker.outLo >>> 12 : -1;
  }
}
