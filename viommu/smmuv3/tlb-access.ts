import { AccessRecord } from './access-record.ts';
import { GLOBAL, type SmmuCaches, TLB_SHIFTS } from './caches.ts';
import { Context } from './context-descriptor.ts';
import type { SmmuState } from './state.ts';
import { Stream } from './stream-table.ts';

/** TLB size codes by log2 of the page. */
const SIZE_OF_SHIFT: readonly number[] = (() => {
  const codes: number[] = new Array(48).fill(-1);
  TLB_SHIFTS.forEach((shift, code) => {
    codes[shift] = code;
  });
  return codes;
})();

/** Entries of the TLB for the transaction at hand: its tags, its rows, its result. */
export class TlbAccess {
  readonly record = new AccessRecord();
  /** The structures of the transaction: the procedure's own, or those a requester was resolved to. */
  stream: Stream;
  context: Context;
  /** Result: address, log2 of the page. */
  outLo = 0;
  outHi = 0;
  shift = 12;
  protected readonly ownStream = new Stream();
  protected readonly ownContext = new Context();
  protected readonly caches: SmmuCaches;
  protected readonly rows: Uint32Array;
  protected readonly caching: boolean;
  /** The stage 1 of the transaction is in `context`, and not bypassed. */
  protected stage1 = false;

  constructor(s: SmmuState, caches: SmmuCaches, caching: boolean) {
    this.caches = caches;
    this.rows = s.tlb;
    this.caching = caching;
    this.stream = this.ownStream;
    this.context = this.ownContext;
  }

  /** The row that holds the address, or -1; global ones have a tag of their own. */
  protected rowOf(lo: number, key: number, tag: number): number {
    const { stream, context } = this;
    const { tlb } = this.caches;
    const r = tlb.lookup(lo, key, tag);
    if (r >= 0 || !this.stage1 || stream.single) return r;
    const global = this.caches.peekContext(stream.regime, GLOBAL + context.aset);
    return global === 0 ? -1 : tlb.lookup(lo, key, global);
  }

  protected useRow(r: number, lo: number): void {
    const rows = this.rows;
    const inside = rows[r + 6]! | 0;
    this.record.row = r;
    this.outLo = rows[r + 3]! | (lo & inside);
    this.outHi = rows[r + 4]! | 0;
    this.shift = TLB_SHIFTS[rows[r]! & 7]!;
  }

  /** Tag of TLB entries of the transaction; 0: none are used. */
  protected tag(live: boolean): number {
    if (!this.caching) return 0;
    const { stream } = this;
    if (!this.stage1) return this.vmidTag(live);
    const asid = stream.single ? GLOBAL : this.context.asid;
    return live ? this.caches.contextTag(stream.regime, asid) : this.caches.peekContext(stream.regime, asid);
  }

  protected vmidTag(live: boolean): number {
    if (!this.caching || !this.stream.stage2) return 0;
    const { vmids } = this.caches;
    return live ? vmids.tagOf(this.stream.vmid) : vmids.peek(this.stream.vmid);
  }

  protected globalTag(): number {
    const { stream, context } = this;
    if (stream.single) return this.caches.contextTag(stream.regime, GLOBAL);
    const key = GLOBAL + context.aset;
    if (this.caches.peekContext(stream.regime, key) === 0) this.caches.forget();
    return this.caches.contextTag(stream.regime, key);
  }

  protected insert(lo: number, key: number, tag: number, flags: number, owner: number): void {
    const size = SIZE_OF_SHIFT[this.shift]!;
    const inside = (1 << this.shift) - 1;
    this.caches.tlb.insert(lo, key, tag, size, this.outLo & ~inside, this.outHi, flags, owner);
  }
}
