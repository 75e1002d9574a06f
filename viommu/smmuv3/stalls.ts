import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import type { EventQueue } from './event-queue.ts';
import { type EventRecord, encodeEvent } from './events.ts';
import { type SmmuState, STALL_ROW_WORDS } from './state.ts';
import type { SmmuWiring } from './wiring.ts';

/** Words of a row. Links are tags + 1; 0 is none. */
const FLAGS = 0;
const SID = 1;
const EVENT = 2;
/** Circular list of its stream, oldest first. */
const NEXT = 10;
const PREVIOUS = 11;
/** List of those whose record is not written. */
const AFTER = 12;
const BEFORE = 13;
/** The transaction whose record stands for this one too; how many this one's record stands for, besides itself. */
const ORIGINAL = 14;
const OTHERS = 15;

const LIVE = 1;
const RECORDED = 2;
/** To be resumed, or to be aborted, in the walk that is under way. */
const RETRIES = 4;
const ABORTS = 8;

/** A number that V8 knows to be small enough for what is added to a row's place. */
const TAGS = 0xffff;
const ROW_SHIFT = 4;

/** Words of the counters. */
const COUNT = 0;
const CURSOR = 1;
const FIRST = 2;
const LAST = 3;

/**
 * Stalled transactions (SMMUv3: Stall model), by their tag. One with the same stream, substream, page, type and access as
 * one that waits already gets no record of its own: it is retried when that one is resumed. What an endpoint does when it
 * is resumed may lead back here, so nothing is held across such a call but flags in the rows.
 */
export class Stalls {
  readonly #rows: Uint32Array;
  /** The same, where values need not be told from negative ones. */
  readonly #signed: Int32Array;
  readonly #heads: Uint32Array;
  readonly #counters: Uint32Array;
  readonly #w: SmmuWiring;
  readonly #events: EventQueue;
  readonly #told: Emitter;
  /** Most of them: IDR5.STALL_MAX. */
  readonly #most: number;
  #flushing = false;

  constructor(s: SmmuState, w: SmmuWiring, events: EventQueue) {
    this.#rows = s.stalls;
    this.#signed = new Int32Array(s.stalls.buffer, s.stalls.byteOffset, s.stalls.length);
    this.#heads = s.stallHeads;
    this.#counters = s.stallCounters;
    this.#w = w;
    this.#events = events;
    this.#told = w.trace.smmuv3_stall;
    this.#most = w.config.stall === 'terminate' ? 0 : w.config['stall-max'];
  }

  /** How many transactions are held. */
  get count(): number {
    return this.#counters[COUNT]!;
  }

  /** EventSink.stall. */
  stall(port: DmaPort, event: EventRecord): number {
    const { services } = this.#w;
    if (!port.mayStall || services.endpoints === undefined || this.count >= this.#most) return -1;
    const tag = this.#freeTag();
    const rows = this.#rows;
    const row = tag * STALL_ROW_WORDS;
    rows.fill(0, row, row + STALL_ROW_WORDS);
    rows[row + FLAGS] = LIVE;
    rows[row + SID] = event.sid;
    encodeEvent(event, tag, rows, row + EVENT);
    const original = this.#similar(row);
    rows[row + ORIGINAL] = original;
    if (original !== 0) rows[(original - 1) * STALL_ROW_WORDS + OTHERS]!++;
    this.#enlist(tag);
    this.#counters[COUNT]!++;
    if (original === 0) {
      this.#append(tag);
      this.#tell(tag, 'stalled');
      this.flush();
    } else this.#tell(tag, 'stalled without a record of its own');
    return tag;
  }

  /** Writes the records that the event queue had no place for; called whenever it may have got some. */
  flush(): void {
    const counters = this.#counters;
    if (counters[FIRST] === 0 || this.#flushing) return;
    this.#flushing = true;
    while (counters[FIRST] !== 0 && this.#events.writable) {
      const tag = counters[FIRST]! - 1;
      const row = tag * STALL_ROW_WORDS;
      // Recorded first: an MSI may lead anywhere.
      this.#unqueue(tag);
      this.#rows[row + FLAGS]! |= RECORDED;
      if (this.#events.push(this.#rows, row + EVENT)) continue;
      this.#putBack(tag);
      break;
    }
    this.#flushing = false;
  }

  /** The write was aborted: unless it was terminated meanwhile, the transaction waits for its record again. */
  #putBack(tag: number): void {
    const row = tag * STALL_ROW_WORDS;
    if ((this.#rows[row + FLAGS]! & RECORDED) === 0) return;
    this.#rows[row + FLAGS]! &= ~RECORDED;
    const first = this.#counters[FIRST]!;
    this.#rows[row + AFTER] = first;
    if (first === 0) this.#counters[LAST] = tag + 1;
    else this.#rows[(first - 1) * STALL_ROW_WORDS + BEFORE] = tag + 1;
    this.#counters[FIRST] = tag + 1;
  }

  /** CMD_RESUME. A tag that no record of this stream has told of is nobody's. */
  resume(sid: number, tag: number, retry: boolean): void {
    if (tag >= this.#most) return;
    const row = (tag & TAGS) << ROW_SHIFT;
    const rows = this.#signed;
    if ((((rows[row + FLAGS]! & (LIVE | RECORDED)) ^ (LIVE | RECORDED)) | (rows[row + SID]! ^ sid)) !== 0)
      return;
    const others = rows[row + OTHERS]! !== 0;
    if (others) this.#markOthers(sid, tag);
    this.#end(tag, retry);
    if (others) this.#endMarked(sid);
  }

  /** Those that the record of `tag` stands for are to be retried. */
  #markOthers(sid: number, tag: number): void {
    const rows = this.#rows;
    const first = this.#heads[sid]! - 1;
    let other = first;
    do {
      const at = other * STALL_ROW_WORDS;
      if (rows[at + ORIGINAL] === tag + 1) {
        rows[at + FLAGS]! |= RETRIES;
        rows[at + ORIGINAL] = 0;
      }
      other = rows[at + NEXT]! - 1;
    } while (other !== first);
  }

  /** CMD_STALL_TERM: every stalled transaction of the stream is aborted. */
  terminate(sid: number): void {
    const first = this.#heads[sid]! - 1;
    if (first < 0) return;
    let tag = first;
    do {
      this.#rows[tag * STALL_ROW_WORDS + FLAGS]! |= ABORTS;
      tag = this.#rows[tag * STALL_ROW_WORDS + NEXT]! - 1;
    } while (tag !== first);
    this.#endMarked(sid);
  }

  /** SMMUEN becomes 0: every stalled transaction is aborted. */
  terminateAll(): void {
    if (this.count === 0) return;
    const rows = this.#rows;
    for (let row = 0; row < rows.length; row += STALL_ROW_WORDS)
      if ((rows[row + FLAGS]! & LIVE) !== 0) rows[row + FLAGS]! |= ABORTS;
    for (let tag = 0; tag < this.#most; tag++)
      if ((rows[tag * STALL_ROW_WORDS + FLAGS]! & ABORTS) !== 0) this.#end(tag, false);
  }

  /** Those that a walk has marked are the oldest of their stream or close to it: what comes anew comes last. */
  #endMarked(sid: number): void {
    const rows = this.#rows;
    for (let tag = this.#marked(sid); tag >= 0; tag = this.#marked(sid))
      this.#end(tag, (rows[tag * STALL_ROW_WORDS + FLAGS]! & ABORTS) === 0);
  }

  #marked(sid: number): number {
    const rows = this.#rows;
    const first = this.#heads[sid]! - 1;
    if (first < 0) return -1;
    let tag = first;
    do {
      const row = tag * STALL_ROW_WORDS;
      if ((rows[row + FLAGS]! & (RETRIES | ABORTS)) !== 0) return tag;
      tag = rows[row + NEXT]! - 1;
    } while (tag !== first);
    return -1;
  }

  /** The tag is free before the endpoint hears of it: it may stall again at once. */
  #end(tag: number, retry: boolean): void {
    const rows = this.#signed;
    const row = (tag & TAGS) << ROW_SHIFT;
    const sid = rows[row + SID]!;
    this.#tell(tag, retry ? 'resumed' : 'terminated');
    if ((rows[row + FLAGS]! & RECORDED) === 0) this.#unqueue(tag);
    this.#delist(tag);
    rows[row + FLAGS] = 0;
    this.#counters[COUNT]!--;
    this.#w.services.endpoints?.resume(sid, tag, retry);
  }

  /** The next tag in turn, so that one is not used again while software may still be at its event. */
  #freeTag(): number {
    let tag = this.#counters[CURSOR]!;
    while (this.#rows[tag * STALL_ROW_WORDS]! !== 0) tag = tag + 1 === this.#most ? 0 : tag + 1;
    this.#counters[CURSOR] = tag + 1 === this.#most ? 0 : tag + 1;
    return tag;
  }

  /** Tag + 1 of a transaction whose record says all that this one's would, or 0. */
  #similar(row: number): number {
    const rows = this.#rows;
    const first = this.#heads[rows[row + SID]!]! - 1;
    if (first < 0) return 0;
    let tag = first;
    do {
      const other = tag * STALL_ROW_WORDS;
      if (rows[other + ORIGINAL] === 0 && isSimilar(rows, row + EVENT, other + EVENT)) {
        // One that is about to go does not wait for anybody.
        if ((rows[other + FLAGS]! & (RETRIES | ABORTS)) === 0) return tag + 1;
      }
      tag = rows[other + NEXT]! - 1;
    } while (tag !== first);
    return 0;
  }

  #enlist(tag: number): void {
    const rows = this.#rows;
    const row = tag * STALL_ROW_WORDS;
    const sid = rows[row + SID]!;
    const first = this.#heads[sid]!;
    if (first === 0) {
      this.#heads[sid] = tag + 1;
      rows[row + NEXT] = tag + 1;
      rows[row + PREVIOUS] = tag + 1;
      return;
    }
    const firstRow = (first - 1) * STALL_ROW_WORDS;
    const last = rows[firstRow + PREVIOUS]!;
    rows[row + NEXT] = first;
    rows[row + PREVIOUS] = last;
    rows[(last - 1) * STALL_ROW_WORDS + NEXT] = tag + 1;
    rows[firstRow + PREVIOUS] = tag + 1;
  }

  #delist(tag: number): void {
    const rows = this.#signed;
    const row = (tag & TAGS) << ROW_SHIFT;
    const next = rows[row + NEXT]!;
    const previous = rows[row + PREVIOUS]!;
    rows[(((previous - 1) & TAGS) << ROW_SHIFT) + NEXT] = next;
    rows[(((next - 1) & TAGS) << ROW_SHIFT) + PREVIOUS] = previous;
    const heads = this.#heads;
    const sid = rows[row + SID]!;
    if (heads[sid] === tag + 1) heads[sid] = next === tag + 1 ? 0 : next;
  }

  #append(tag: number): void {
    const last = this.#counters[LAST]!;
    if (last === 0) this.#counters[FIRST] = tag + 1;
    else this.#rows[(last - 1) * STALL_ROW_WORDS + AFTER] = tag + 1;
    this.#rows[tag * STALL_ROW_WORDS + BEFORE] = last;
    this.#counters[LAST] = tag + 1;
  }

  /** Out of the list of those without a record, if it is in it. */
  #unqueue(tag: number): void {
    const rows = this.#rows;
    const row = tag * STALL_ROW_WORDS;
    const before = rows[row + BEFORE]!;
    const after = rows[row + AFTER]!;
    if (before !== 0) rows[(before - 1) * STALL_ROW_WORDS + AFTER] = after;
    else if (this.#counters[FIRST] === tag + 1) this.#counters[FIRST] = after;
    if (after !== 0) rows[(after - 1) * STALL_ROW_WORDS + BEFORE] = before;
    else if (this.#counters[LAST] === tag + 1) this.#counters[LAST] = before;
    rows[row + BEFORE] = 0;
    rows[row + AFTER] = 0;
  }

  #tell(tag: number, what: string): void {
    if (this.#told.on) this.#told.emit(this.#rows[tag * STALL_ROW_WORDS + SID]!, tag, what);
  }
}

/** Type, substream, syndrome and page are the same. */
function isSimilar(rows: Uint32Array, a: number, b: number): boolean {
  return (
    rows[a] === rows[b] &&
    rows[a + 3] === rows[b + 3] &&
    rows[a + 4]! >>> 12 === rows[b + 4]! >>> 12 &&
    rows[a + 5] === rows[b + 5]
  );
}
