import type { Iotlb } from './iotlb.ts';

/**
 * What a hit of a (requester, PASID or SubstreamID) needs to know, side by side: a change of PASID touches one line of the
 * host's caches, and the IOTLB not at all. Lines are predictions, rebuilt from the caches of the IOMMU and never state.
 *
 * The front of a line is a copy of what a row of the IOTLB says of the 4 KiB page that was used twice in turn. It holds
 * while its stamp is that of the IOTLB, which changes whenever rows are dropped or their tags die; a row that is put out by
 * another one takes its copy along.
 * Front, 8 words: 0 owner: one number for each requester, never 0 | 1 PASID, privileged in bit 31 | 2 stamp
 * | 3 address of the page, with the accesses it may be used for in 2:0 | 4 upper half | 5, 6 translated address, with log2 of
 * the IOTLB's page in 4:0 | 7 the line that was used after this one.
 *
 * The back is about any page of the PASID. It holds while its epoch is that of the caches, and the row it names is compared
 * before it is believed.
 * Back, 8 words: 0 epoch | 1 tag of its translations | 2 row of the IOTLB that answered last | 3 bits of the upper address
 * half that requests may not use | 4 attributes, of the IOMMU's own making | 5 address bits of the page size in use.
 */
const OWNER = 0;
const WHO = 1;
const STAMP = 2;
const PAGE = 3;
const PAGE_HI = 4;
const OUT = 5;
const OUT_HI = 6;
const NEXT = 7;
export const LINE_EPOCH = 0;
export const LINE_TAG = 1;
export const LINE_ROW = 2;
export const LINE_BEYOND = 3;
export const LINE_ATTRIBUTES = 4;
export const LINE_MASK = 5;
const LINE_SHIFT = 3;
const LINE_WORDS = 1 << LINE_SHIFT;
/** Where lines begin: a number that V8 knows to be small enough for what is added to it. */
const PLACES = 0x7ffffff8;
const PAGE_BITS = -4096;

/** A request with a PASID, and where its answer goes. */
export interface LineRequest {
  readonly pasid: number;
  readonly privileged: boolean;
  outLo: number;
  outHi: number;
  outSpan: number;
}

/** Who has lines. */
export class LineUser {
  /** Names its lines. */
  readonly owner: number;
  /** The line that was used last; after it the same one is likely to follow again. */
  line = 0;

  constructor(owner: number) {
    this.owner = owner;
  }
}

export class SubstreamLines {
  /** Backs of lines. */
  backs = new Int32Array(LINE_WORDS);
  #fronts = new Int32Array(LINE_WORDS);
  /** By (owner, number): where the line begins. Lines are handed out one after the other, so that few are touched in part. */
  #places = new Int32Array(1);
  readonly #lines: number;
  readonly #iotlb: Iotlb;
  /** By row of the IOTLB: the line whose front is its copy, or 0. */
  #copies = new Int32Array(0);
  /** Where the last line begins; 0 before the first is taken. */
  #mask = 0;
  #next = 0;
  /** Requesters outlive the lines of a unit, which are made anew with its caches: no two of them are ever called the same. */
  static #owners = 0;

  /** @param lines a power of two */
  constructor(lines: number, iotlb: Iotlb) {
    this.#lines = lines;
    this.#iotlb = iotlb;
  }

  /** A number for a requester that has no lines yet. */
  newOwner(): number {
    SubstreamLines.#owners = (SubstreamLines.#owners + 1) | 0;
    return SubstreamLines.#owners;
  }

  /** Answers an untranslated request with a PASID from the front of its line; else `user.line` is the line, or 0. */
  serve(port: LineRequest, user: LineUser, lo: number, hi: number, access: number): boolean {
    const fronts = this.#fronts;
    const who = lineOf(port.pasid, port.privileged);
    const { owner } = user;
    const before = user.line & this.#mask;
    let at = fronts[before + NEXT]! & PLACES;
    if (((fronts[at]! ^ owner) | (fronts[at + WHO]! ^ who)) !== 0) {
      at = this.#places[this.#place(owner, port.pasid)]! & PLACES;
      const other = (fronts[at]! ^ owner) | (fronts[at + WHO]! ^ who);
      if (other !== 0) at = 0;
      fronts[before + NEXT] = at;
    }
    user.line = at;
    const page = fronts[at + PAGE]!;
    const other = ((lo ^ page) & PAGE_BITS) | (access & ~page) | (fronts[at + PAGE_HI]! ^ hi);
    if ((other | (fronts[at + STAMP]! ^ this.#iotlb.stamp)) !== 0) return false;
    const page2 = fronts[at + OUT]!;
    port.outLo = ((page2 & PAGE_BITS) | (lo & ~PAGE_BITS)) >>> 0;
    port.outHi = fronts[at + OUT_HI]!;
    const mask = -1 << page2;
    port.outSpan = -mask - (lo & ~mask);
    return true;
  }

  /** First word of a line of `user` to be filled, which becomes its last one. Nothing is allocated for who never changes PASIDs. */
  take(user: LineUser, number: number, who: number): number {
    if (this.#mask === 0) this.#allocate();
    const place = this.#place(user.owner, number);
    const fronts = this.#fronts;
    let at = this.#places[place]!;
    if (fronts[at + OWNER] !== user.owner || fronts[at + WHO] !== who) {
      // Line 0 is nobody's.
      this.#next = this.#next === this.#mask ? LINE_WORDS : this.#next + LINE_WORDS;
      at = this.#next;
      this.#places[place] = at;
      this.#drop(at);
    }
    fronts[at + OWNER] = user.owner;
    fronts[at + WHO] = who;
    user.line = at;
    return at;
  }

  /** The front of the line becomes a copy of the row, for accesses of the set `usable`. */
  copy(at: number, r: number, lo: number, hi: number, usable: number): void {
    const { rows } = this.#iotlb;
    const fronts = this.#fronts;
    const inside = rows[r + 6]!;
    fronts[at + STAMP] = this.#iotlb.stamp;
    fronts[at + PAGE] = (lo & PAGE_BITS) | usable;
    fronts[at + PAGE_HI] = hi;
    fronts[at + OUT] = rows[r + 3]! | (lo & inside & PAGE_BITS) | (32 - Math.clz32(inside));
    fronts[at + OUT_HI] = rows[r + 4]!;
    // A row knows of one copy.
    this.rowGoes(r);
    this.#copies[r >>> LINE_SHIFT] = at;
  }

  /** The row at `r` of the IOTLB is to hold something else. */
  rowGoes(r: number): void {
    const at = this.#copies[r >>> LINE_SHIFT]!;
    if (at === 0) return;
    this.#copies[r >>> LINE_SHIFT] = 0;
    this.#drop(at);
  }

  #drop(at: number): void {
    this.#fronts[at + STAMP] = (this.#iotlb.stamp - 1) | 0;
  }

  #allocate(): void {
    const words = this.#lines << LINE_SHIFT;
    this.backs = new Int32Array(words);
    this.#fronts = new Int32Array(words);
    this.#places = new Int32Array(this.#lines);
    this.#copies = new Int32Array(this.#iotlb.rows.length >>> LINE_SHIFT);
    this.#iotlb.copies = this;
    this.#mask = words - LINE_WORDS;
  }

  /** PASIDs that count upwards, by any step, lie apart. */
  #place(owner: number, number: number): number {
    return (number ^ (number >>> 17) ^ (owner << 8)) & (this.#mask >>> LINE_SHIFT);
  }
}

/** Word 1. */
export function lineOf(number: number, privileged: boolean): number {
  return privileged ? number | -0x80000000 : number;
}
