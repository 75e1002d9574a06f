import { READ, WRITE } from '../../vmm/bus/dma.ts';
import { type GuestTables, MOST_ENTRIES, type PageRange } from '../port/tables.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { VMSA_OK, type VmsaTables, VmsaWalker } from '../walk/vmsa.ts';
import type { Context } from './context-descriptor.ts';
import { OVERRIDE_ON } from './overrides.ts';
import type { Stream } from './stream-table.ts';

const DATA = READ | WRITE;
/** Page numbers of 64-bit addresses. */
const ALL_PAGES = 2 ** 52;
const PAGE_BITS = 12;
/** Level of pages. */
const LAST_LEVEL = 3;

/** Tables of one stage: of a CD, or of an STE. */
export class SmmuGuestTables implements GuestTables {
  outLo = 0;
  outHi = 0;
  access = 0;
  shift = 0;
  entries = 0;
  readonly entryAt = new Float64Array(MOST_ENTRIES);
  readonly entryShift = new Uint8Array(MOST_ENTRIES);
  readonly ranges: readonly PageRange[];
  readonly #walker: VmsaWalker;
  readonly #low: VmsaTables;
  readonly #high: VmsaTables | undefined;
  readonly #privileged: boolean;

  /** @param context absent: stage 2 */
  constructor(memory: WalkMemory, stream: Stream, context: Context | undefined) {
    const second = new VmsaWalker(memory, undefined);
    this.#walker = context === undefined ? second : new VmsaWalker(memory, undefined, second);
    this.#walker.intent = DATA;
    this.#low = context?.low ?? stream.tables;
    this.#high = context?.high;
    this.#privileged = stream.single || stream.privilege === OVERRIDE_ON;
    this.ranges = this.#rangesOf(context);
  }

  /** Of a context, those halves that it has for requests of this privilege. */
  #rangesOf(context: Context | undefined): PageRange[] {
    const low = 2 ** (this.#low.bits - PAGE_BITS);
    if (context === undefined) return [{ first: 0, last: low - 1 }];
    const ranges: PageRange[] = [];
    const off = this.#privileged ? 0 : context.unprivilegedOff;
    if (context.lowOn && (off & 1) === 0) ranges.push({ first: 0, last: low - 1 });
    const high = 2 ** (context.high.bits - PAGE_BITS);
    if (context.highOn && (off & 2) === 0) ranges.push({ first: ALL_PAGES - high, last: ALL_PAGES - 1 });
    return ranges;
  }

  look(lo: number, hi: number): boolean {
    const walker = this.#walker;
    const t = hi < 0 && this.#high !== undefined ? this.#high : this.#low;
    const outcome = walker.walk(t, lo, hi, 0, this.#privileged, 0, undefined, 0);
    const stride = t.granule - 3;
    this.entries = 0;
    for (let level = t.start; level <= walker.level; level++) {
      const isRead = level < walker.level || walker.opened;
      this.entryAt[this.entries] = isRead && walker.addressHi[level] === 0 ? walker.address[level]! : -1;
      this.entryShift[this.entries++] = t.granule + (LAST_LEVEL - level) * stride;
    }
    this.shift = t.granule + (LAST_LEVEL - walker.level) * stride;
    if (outcome !== VMSA_OK) return false;
    walker.commit();
    this.access = (this.#privileged ? walker.supervisor : walker.user) & DATA;
    this.outLo = walker.outLo;
    this.outHi = walker.outHi;
    return this.access !== 0;
  }
}
