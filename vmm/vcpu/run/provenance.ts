import type { Provenance } from '../../bus/iommu.ts';
import type { PageWatcher } from '../../mem/ram.ts';
import { type GuestFrame, type RawFrame, rawFrames } from './frames.ts';

/** Entries are 8 bytes in every table that is watched. */
const SLOT_SHIFT = 3;
/** Stores remembered; the oldest go first. */
const CAPACITY = 1 << 14;
/**
 * A stack costs some microseconds, which nobody notices now and then, and everybody in a guest that binds 100,000 PASIDs a
 * second. So many are free, and one more for every so many instructions; what nobody kept is found by running the guest again.
 */
const FREE_STACKS = 4096;
const INSTRUCTIONS_PER_STACK = 100_000;
/** Of the guest's frames, the innermost ones: a run that is repeated has more of ours above them than the first one. */
const FRAMES_KEPT = 48;
const PAGE_BASE = ~0xfff;
/** Stacks whose words are kept. */
const MOST_TEXTS = 1024;

/** Turns raw frames of the rewritten module into frames of the guest's sources. */
export type Symbolize = (frames: readonly RawFrame[]) => GuestFrame[];

/**
 * Who stored what in watched pages. A store keeps the JavaScript stack of its trap, which holds the guest's; it is turned
 * into text only when somebody asks.
 */
export class StoreLog implements PageWatcher, Provenance {
  readonly #symbolize: Symbolize;
  readonly #busMaster: () => string;
  readonly #stores = new Map<number, Error | string>();
  /** What stacks are in words: a loop that fills tables has one and the same. */
  readonly #texts = new Map<string, string | undefined>();
  /** True while guest code runs: a stack then holds guest frames. */
  running = false;
  readonly #executed: () => number;
  #stacks = 0;
  #only: ReadonlySet<number> | undefined;

  /** @param executed instructions so far, or somewhat fewer */
  constructor(symbolize: Symbolize, busMaster: () => string, executed: () => number) {
    this.#symbolize = symbolize;
    this.#busMaster = busMaster;
    this.#executed = executed;
  }

  /** Keeps every store to these pages (their addresses), and no other. */
  only(pages: ReadonlySet<number>): void {
    this.#only = pages;
  }

  stored(address: number, bytes: number, byCpu: boolean): void {
    if (!this.#keeps(address, byCpu)) {
      // Who stored before is not who stored last.
      for (let slot = address >>> SLOT_SHIFT; slot <= (address + bytes - 1) >>> SLOT_SHIFT; slot++)
        this.#stores.delete(slot);
      return;
    }
    const who = byCpu ? captureStack() : this.#busMaster();
    for (let slot = address >>> SLOT_SHIFT; slot <= (address + bytes - 1) >>> SLOT_SHIFT; slot++) {
      this.#stores.delete(slot);
      this.#stores.set(slot, who);
    }
    if (this.#stores.size > CAPACITY) {
      for (const slot of this.#stores.keys()) {
        this.#stores.delete(slot);
        if (this.#stores.size <= CAPACITY * 0.9) break;
      }
    }
  }

  #keeps(address: number, byCpu: boolean): boolean {
    if (this.#only !== undefined) return this.#only.has((address & PAGE_BASE) >>> 0);
    if (!byCpu) return true;
    if (this.#stacks > FREE_STACKS && this.#stacks > FREE_STACKS + this.#executed() / INSTRUCTIONS_PER_STACK)
      return false;
    this.#stacks++;
    return true;
  }

  /** What is known, for a run of the same module that goes on from here. */
  save(): ReadonlyMap<number, Error | string> {
    return new Map(this.#stores);
  }

  load(stores: ReadonlyMap<number, Error | string>): void {
    this.#stores.clear();
    for (const [slot, who] of stores) this.#stores.set(slot, who);
  }

  lastWriter(address: number): string | undefined {
    const who = this.#stores.get(address >>> SLOT_SHIFT);
    if (who === undefined) return undefined;
    return typeof who === 'string' ? who : this.#text(who.stack ?? '');
  }

  here(): string | undefined {
    if (!this.running) return undefined;
    return this.#text(captureStack().stack ?? '');
  }

  #text(stack: string): string | undefined {
    if (this.#texts.has(stack)) return this.#texts.get(stack);
    if (this.#texts.size === MOST_TEXTS) this.#texts.clear();
    const text = framesText(this.#symbolize(rawFrames(stack)));
    this.#texts.set(stack, text);
    return text;
  }
}

export function captureStack(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES_KEPT;
  const error = new Error();
  Error.stackTraceLimit = limit;
  return error;
}

/**
 * `set_pte (driver.c:120) < map_page (driver.c:98)`: the innermost two frames. Of a store inside the SDK, the frame of the
 * driver that led there is worth more than the SDK's own caller; inlined accessors of the SDK say nothing.
 */
function framesText(frames: readonly GuestFrame[]): string | undefined {
  if (frames.length === 0) return undefined;
  const said = frames.filter((f) => !f.line?.startsWith('sdk/include/'));
  const [first, second] = said.length === 0 ? frames : said;
  const own = said.findIndex((f) => f.line !== undefined && !f.line.startsWith('sdk/'));
  const parts = [frameText(first!)];
  if (own > 1) parts.push('...', frameText(said[own]!));
  else if (second !== undefined) parts.push(frameText(second));
  return parts.join(' < ');
}

function frameText(f: GuestFrame): string {
  return f.line === undefined ? f.function : `${f.function} (${f.line})`;
}
