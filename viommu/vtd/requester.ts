import { NO_PASID } from '../../vmm/bus/dma.ts';
import { StageTables } from '../walk/first-stage.ts';
import { LineUser } from '../walk/substream-lines.ts';

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

/** Tables, and what their last entries are compared with (ShortMiss.prepare). */
export class PortTables extends StageTables {
  loaded: Requester | null = null;
  /** Of a first-stage leaf: bits that have to be set; of its upper half, bits that may not be. */
  leafWanted = 0;
  leafReserved = 0;
  leafControls = 0;
  /** Of a second-stage leaf: the accessed bit, if it has to be set, and which permissions count. */
  secondMarks = 0;
  secondPermissions = 0;
  /** EXEC, if the second stage lets a nested page that may be read be executed. */
  secondExecutes = 0;
}

/** What is known of a port. */
export class PortContext extends LineUser {
  /** For requests without PASID. */
  readonly plain: Requester;
  /** For requests with the PASID that was used twice in turn. */
  readonly substream: Requester;
  /** The PASID that asked last for what is not in `substream`. */
  last = -1;
  /** Translated requests may pass while `epoch` stands: PASIDs below the limit, or none. */
  translatedEpoch = 0;
  translatedPasids = -1;
  /** Requests with PASIDs below the limit need no look at the context entry while `tables` stands. */
  tables = -1;
  pasids = 0;

  constructor(owner: number) {
    super(owner);
    const tables = new PortTables();
    const hints = new Int32Array(HINTS);
    this.plain = new Requester(hints, tables);
    this.substream = new Requester(hints, tables);
  }

  /** Whose place requests of the PASID, or without one, have; what is in it may be another PASID's. */
  of(pasid: number): Requester {
    return pasid < 0 ? this.plain : this.substream;
  }
}

/**
 * Attributes of a line (viommu/walk/substream-lines.ts): 1:0 size code | 2 IDENTITY | 4:3 class of permissions | 8:6 accesses
 * that have to ask the procedure | 31 addresses are signed.
 */
export const LINE_SIZE = 3;
export const LINE_IDENTITY = 4;
const CLASS = 3;
const REFUSED = 6;

export function attributesOf(q: Requester): number {
  const identity = q.mode === IDENTITY ? LINE_IDENTITY : 0;
  return q.size | identity | (q.permissions << CLASS) | (q.refused << REFUSED) | (q.signed & -0x80000000);
}

export function classOf(attributes: number): number {
  return (attributes >>> CLASS) & 3;
}

export function refusedBy(attributes: number): number {
  return (attributes >>> REFUSED) & 7;
}

/** 0 without a PASID; neighbouring PASIDs have neighbouring hints. */
export function saltOf(pasid: number): number {
  return pasid < 0 ? 0 : pasid ^ (pasid >>> 10);
}
