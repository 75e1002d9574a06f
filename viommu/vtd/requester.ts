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
  /** The tables are those of a context entry of legacy mode. */
  legacy = false;
  /** The tables belong to the first stage, alone or nested. */
  firstStage = false;
  /** Of a second stage: a set of SS_ bits. */
  secondMode = 0;
  /** The row of the PASID-cache that tables are loaded from, or -1. */
  entry = -1;
  /** Shared by those of a port: `loaded` says whose they are. */
  readonly tables: PortTables;
  /** Mixed into the place of a hint, so that PASIDs with equal addresses do not meet. */
  salt = 0;
  /** By low page-number bits: the row that answered last. Only a hint: the row itself is compared. */
  readonly hints: Int32Array;

  constructor(hints: Int32Array, tables: PortTables) {
    this.hints = hints;
    this.tables = tables;
  }
}

export class PortTables extends StageTables {
  loaded: Requester | null = null;
}

/** PASIDs a port can use in turn without a look at the PASID-cache. */
const SLOTS = 1024;
export const SLOT_MASK = SLOTS - 1;
/** Of a slot nobody has used. */
const NOBODY = -2;

/** What is known of a port. */
export class PortContext {
  /** For requests without PASID. */
  readonly plain: Requester;
  /** By low bits of the PASID. */
  readonly slots: Requester[];
  readonly #tables = new PortTables();
  readonly #hints = new Int32Array(HINTS);
  readonly #nobody: Requester;
  /** Translated requests may pass while `epoch` stands: PASIDs below the limit, or none. */
  translatedEpoch = 0;
  translatedPasids = -1;
  /** Requests with PASIDs below the limit need no look at the context entry while `tables` stands. */
  tables = -1;
  pasids = 0;

  constructor() {
    this.plain = new Requester(this.#hints, this.#tables);
    this.#nobody = new Requester(this.#hints, this.#tables);
    this.#nobody.pasid = NOBODY;
    this.slots = new Array(SLOTS).fill(this.#nobody);
  }

  /** Whose place requests of the PASID, or without one, have; what is in it may be another PASID's. */
  of(pasid: number): Requester {
    if (pasid < 0) return this.plain;
    const slot = pasid & SLOT_MASK;
    let q = this.slots[slot]!;
    if (q === this.#nobody) {
      q = new Requester(this.#hints, this.#tables);
      this.slots[slot] = q;
    }
    return q;
  }
}

/** 0 without a PASID; neighbouring PASIDs have neighbouring hints. */
export function saltOf(pasid: number): number {
  return pasid < 0 ? 0 : pasid ^ (pasid >>> 10);
}
