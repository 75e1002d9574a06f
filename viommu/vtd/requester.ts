import { NO_PASID } from '../../vmm/bus/dma.ts';
import { StageTables } from '../walk/first-stage.ts';

/** How a requester's next plain request is served without asking tables. */
export const SLOW = 0;
export const PAGING = 1;
export const IDENTITY = 2;

/** Pages a requester can walk over in turn and be found without hashing. */
const HINTS = 4096;
export const HINT_MASK = HINTS - 1;

/**
 * What a requester was resolved to, for one PASID or for none: a predictor that is compared with the caches' rows before
 * it is believed, and dropped by a change of `epoch`.
 */
export class Requester {
  epoch = 0;
  /** Whom it speaks for. */
  pasid = NO_PASID;
  privileged = false;
  mode = SLOW;
  tag = 0;
  /** Address bits, upper word, that this requester may not use; with `signed`, that have to equal bit 63. */
  beyond = 0;
  signed = 0;
  /** Page mask and size code of the rows it may remember. */
  mask = 0;
  size = 0;
  did = 0;
  /** Shift of the page size in use. */
  shift = 12;
  /** Class of permissions, and accesses that have to ask the procedure. */
  permissions = 0;
  refused = 0;
  /** The tables belong to the first stage, alone or nested. */
  firstStage = false;
  /** Of a second stage: a set of SS_ bits. */
  secondMode = 0;
  readonly tables = new StageTables();
  /** Mixed into the place of a hint, so that PASIDs with equal addresses do not meet. */
  salt = 0;
  /** By low page-number bits: the row that answered last. Only a hint: the row itself is compared. */
  readonly hints = new Int32Array(HINTS);
}

/** What is known of a port: two resolutions, because requests with and without PASID come mixed. */
export class PortContext {
  readonly plain = new Requester();
  readonly withPasid = new Requester();
  /** Translated requests may pass while `epoch` stands: PASIDs below the limit, or none. */
  translatedEpoch = 0;
  translatedPasids = -1;
}

/**
 * Resolutions by (requester, PASID) beside the rows of the PASID-cache: rebuilt, never state. A row is believed while no
 * table changed and the tags of its pair stand.
 * Row, 16 words: 0 PASID + 1, privileged in bit 31 | 1 requester + 1 | 2 tables | 3 row of the pair | 4, 5 its tags
 * | 6 packed fields | 7 tag | 8 beyond | 9, 10 tables | 11 domain | 12, 13 tables of the second stage | 14 its tag
 * | 15 bits beyond its width.
 */
const WORDS = 16;
const SHIFT = 4;
const PRIVILEGED = -0x80000000;

export class Predictors {
  readonly #rows: Int32Array;
  readonly #pairs: Uint32Array;

  /** @param count rows, as many as the PASID-cache has */
  constructor(count: number, pairs: Uint32Array) {
    this.#rows = new Int32Array(count * WORDS);
    this.#pairs = pairs;
  }

  /** Loads what is known of (sid, pasid) into `q`; false when that is nothing to believe. */
  load(slot: number, sid: number, pasid: number, privileged: boolean, tables: number, q: Requester): boolean {
    const rows = this.#rows;
    const r = slot << SHIFT;
    const key = privileged ? (pasid + 1) | PRIVILEGED : pasid + 1;
    if (((rows[r]! ^ key) | (rows[r + 1]! ^ (sid + 1)) | (rows[r + 2]! ^ tables)) !== 0) return false;
    const pair = rows[r + 3]!;
    const pairs = this.#pairs;
    if (((pairs[pair + 2]! ^ rows[r + 4]!) | (pairs[pair + 3]! ^ rows[r + 5]!)) !== 0) return false;
    const packed = rows[r + 6]!;
    q.pasid = pasid;
    q.privileged = privileged;
    q.mode = packed & 3;
    q.size = (packed >>> 2) & 3;
    q.permissions = (packed >>> 4) & 3;
    q.refused = (packed >>> 6) & 7;
    q.signed = (packed << 22) >> 31;
    q.firstStage = (packed & 0x400) !== 0;
    q.shift = 12 + 9 * q.size;
    q.mask = -1 << q.shift;
    q.secondMode = (packed >>> 18) & 15;
    q.tag = rows[r + 7]!;
    q.beyond = rows[r + 8]!;
    q.did = rows[r + 11]!;
    q.salt = saltOf(pasid);
    const t = q.tables;
    t.tableLo = rows[r + 9]!;
    t.tableHi = rows[r + 10]!;
    t.levels = (packed >>> 12) & 7;
    t.controls = (packed >>> 22) & 31;
    t.nested = (packed & 0x800) !== 0;
    t.secondLo = rows[r + 12]!;
    t.secondHi = rows[r + 13]!;
    t.secondLevels = (packed >>> 15) & 7;
    t.secondMode = q.secondMode;
    t.secondTag = rows[r + 14]!;
    t.secondBeyond = rows[r + 15]!;
    return true;
  }

  store(slot: number, sid: number, tables: number, pair: number, q: Requester): void {
    const rows = this.#rows;
    const r = slot << SHIFT;
    const t = q.tables;
    rows[r] = q.privileged ? (q.pasid + 1) | PRIVILEGED : q.pasid + 1;
    rows[r + 1] = sid + 1;
    rows[r + 2] = tables;
    rows[r + 3] = pair;
    rows[r + 4] = this.#pairs[pair + 2]!;
    rows[r + 5] = this.#pairs[pair + 3]!;
    rows[r + 6] =
      q.mode |
      (q.size << 2) |
      (q.permissions << 4) |
      (q.refused << 6) |
      (q.signed & 0x200) |
      (q.firstStage ? 0x400 : 0) |
      (t.nested ? 0x800 : 0) |
      (t.levels << 12) |
      (t.secondLevels << 15) |
      (q.secondMode << 18) |
      (t.controls << 22);
    rows[r + 7] = q.tag;
    rows[r + 8] = q.beyond;
    rows[r + 9] = t.tableLo;
    rows[r + 10] = t.tableHi;
    rows[r + 11] = q.did;
    rows[r + 12] = t.secondLo;
    rows[r + 13] = t.secondHi;
    rows[r + 14] = t.secondTag;
    rows[r + 15] = t.secondBeyond;
  }

  /** The PASID-cache row beside it was put out. */
  drop(slot: number): void {
    this.#rows[(slot << SHIFT) + 1] = 0;
  }
}

/** 0 without a PASID. */
export function saltOf(pasid: number): number {
  return pasid < 0 ? 0 : Math.imul(pasid, 0x9e3779b1) >>> 20;
}
