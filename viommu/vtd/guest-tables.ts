import { READ, WRITE } from '../../vmm/bus/dma.ts';
import { type GuestTables, MOST_ENTRIES, type PageRange } from '../port/tables.ts';
import { FirstStageWalker, StageTables } from '../walk/first-stage.ts';
import { SecondStageWalker, WALK_OK } from '../walk/second-stage.ts';
import { secondStageOptions } from './contexts.ts';
import { MarkedMemory } from './marked-memory.ts';
import { pasidFields } from './pasid-fields.ts';
import { scalableOptions } from './scalable-structures.ts';
import type { ReadSink } from './sinks.ts';
import type { VtdWiring } from './wiring.ts';

const DATA = READ | WRITE;
/** Page numbers of 64-bit addresses. */
const ALL_PAGES = 2 ** 52;
const LEVEL_BITS = 9;
const PAGE_BITS = 12;

/** What the tables of a binding are walked with. */
interface Walked {
  readonly level: number;
  readonly unreadable: boolean;
  readonly address: Uint32Array;
  readonly addressHi: Uint32Array;
}

/** What both stages have in common. */
abstract class Tables implements GuestTables {
  outLo = 0;
  outHi = 0;
  access = 0;
  shift = 0;
  entries = 0;
  readonly entryAt = new Float64Array(MOST_ENTRIES);
  readonly entryShift = new Uint8Array(MOST_ENTRIES);
  abstract readonly ranges: readonly PageRange[];

  abstract look(lo: number, hi: number): boolean;

  /** The way that the walk took from the top. */
  protected path(walker: Walked, top: number): void {
    this.entries = 0;
    const last = walker.unreadable ? walker.level + 1 : walker.level;
    for (let level = top; level >= last; level--) {
      this.entryAt[this.entries] = walker.addressHi[level] === 0 ? walker.address[level]! : -1;
      this.entryShift[this.entries++] = shiftOf(level);
    }
  }
}

/** Second-stage tables, of a context entry or a PASID-table entry. */
export class SecondStageTables extends Tables {
  readonly ranges: readonly PageRange[];
  readonly #walker: SecondStageWalker;
  readonly #lo: number;
  readonly #hi: number;
  readonly #levels: number;

  /** @param width AW */
  constructor(
    w: VtdWiring,
    marks: Pick<ReadSink, 'updating'>,
    lo: number,
    hi: number,
    width: number,
    mode: number,
  ) {
    super();
    this.#walker = new SecondStageWalker(new MarkedMemory(w, marks), undefined, secondStageOptions(w.config));
    this.#walker.mode = mode;
    this.#walker.intent = DATA;
    this.#lo = lo;
    this.#hi = hi;
    this.#levels = width + 2;
    this.ranges = [{ first: 0, last: 2 ** (LEVEL_BITS * this.#levels) - 1 }];
  }

  look(lo: number, hi: number): boolean {
    const walker = this.#walker;
    const outcome = walker.walk(this.#lo, this.#hi, this.#levels, lo, hi, 0, 0);
    this.path(walker, this.#levels);
    this.shift = shiftOf(walker.level);
    this.access = walker.permissions & DATA;
    this.outLo = walker.outLo;
    this.outHi = walker.outHi;
    return outcome === WALK_OK && this.access !== 0;
  }
}

/** First-stage tables of a PASID-table entry. */
export class FirstStageTables extends Tables {
  readonly ranges: readonly PageRange[];
  readonly #walker: FirstStageWalker;
  readonly #tables = new StageTables();
  readonly #privileged: boolean;

  /** @param entry the PASID-table entry */
  constructor(w: VtdWiring, marks: Pick<ReadSink, 'updating'>, entry: Uint32Array, privileged: boolean) {
    super();
    const { config } = w;
    const memory = new MarkedMemory(w, marks);
    const second = new SecondStageWalker(memory, undefined, secondStageOptions(config));
    this.#walker = new FirstStageWalker(memory, undefined, second, {
      haw: config['aw-bits'],
      hugePages: true,
    });
    this.#walker.intent = DATA;
    this.#privileged = privileged;
    pasidFields(config, scalableOptions(config)).fill(this.#tables, entry, 0);
    // The lower half of what is canonical, and the upper one.
    const half = 2 ** (LEVEL_BITS * this.#tables.levels - 1);
    this.ranges = [
      { first: 0, last: half - 1 },
      { first: ALL_PAGES - half, last: ALL_PAGES - 1 },
    ];
  }

  look(lo: number, hi: number): boolean {
    const walker = this.#walker;
    const outcome = walker.walk(this.#tables, lo, hi, 0, this.#privileged, 0);
    this.path(walker, this.#tables.levels);
    this.shift = shiftOf(walker.level);
    this.access = (this.#privileged ? walker.supervisor : walker.user) & DATA;
    this.outLo = walker.outLo;
    this.outHi = walker.outHi;
    return outcome === WALK_OK && this.access !== 0;
  }
}

function shiftOf(level: number): number {
  return PAGE_BITS + LEVEL_BITS * (level - 1);
}
