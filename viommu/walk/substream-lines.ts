/**
 * What a hit of a (requester, PASID or SubstreamID) needs to know, side by side: a change of PASID touches one line of the
 * host's caches here and one in the IOTLB. Lines are predictions, rebuilt from the caches of the IOMMU and never state: a line
 * holds while its epoch is that of the caches, and the row it names is compared before it is believed.
 *
 * Lines of 8 words: 0 owner: one number for each requester, never 0 | 1 PASID, privileged in bit 31 | 2 epoch
 * | 3 tag of its translations | 4 row of the IOTLB that answered last | 5 bits of the upper address half that requests may
 * not use | 6 attributes, of the IOMMU's own making | 7 address bits of the page size in use.
 */
export const LINE_OWNER = 0;
export const LINE_WHO = 1;
export const LINE_EPOCH = 2;
export const LINE_TAG = 3;
export const LINE_ROW = 4;
export const LINE_BEYOND = 5;
export const LINE_ATTRIBUTES = 6;
export const LINE_MASK = 7;
const LINE_SHIFT = 3;

export class SubstreamLines {
  words = new Int32Array(1 << LINE_SHIFT);
  /** By (owner, number): where the line begins. Lines are handed out one after the other, so that few are touched in part. */
  #places = new Int32Array(1);
  readonly #lines: number;
  #mask = 0;
  #next = 0;
  /** Requesters outlive the lines of a unit, which are made anew with its caches: no two of them are ever called the same. */
  static #owners = 0;

  /** @param lines a power of two */
  constructor(lines: number) {
    this.#lines = lines;
  }

  /** A number for a requester that has no lines yet. */
  newOwner(): number {
    SubstreamLines.#owners = (SubstreamLines.#owners + 1) | 0;
    return SubstreamLines.#owners;
  }

  /** First word of the line that (owner, number) has, if it has one. */
  find(owner: number, number: number): number {
    return this.#places[this.#place(owner, number)]!;
  }

  /** First word of a line to be filled. Nothing is allocated for who never changes PASIDs. */
  take(owner: number, number: number, who: number): number {
    if (this.#mask === 0) this.#allocate();
    const place = this.#place(owner, number);
    let at = this.#places[place]!;
    if (this.words[at + LINE_OWNER] !== owner || this.words[at + LINE_WHO] !== who) {
      // Line 0 is nobody's.
      this.#next = this.#next === this.#mask ? 1 : this.#next + 1;
      at = this.#next << LINE_SHIFT;
      this.#places[place] = at;
    }
    this.words[at + LINE_OWNER] = owner;
    this.words[at + LINE_WHO] = who;
    return at;
  }

  #allocate(): void {
    this.words = new Int32Array(this.#lines << LINE_SHIFT);
    this.#places = new Int32Array(this.#lines);
    this.#mask = this.#lines - 1;
  }

  /** PASIDs that count upwards, by any step, lie apart. */
  #place(owner: number, number: number): number {
    return (number ^ (number >>> 17) ^ (owner << 8)) & this.#mask;
  }
}

/** Word 1. */
export function lineOf(number: number, privileged: boolean): number {
  return privileged ? number | -0x80000000 : number;
}
