import type { SecondOpinion } from './second-opinion.ts';
import type { GuestTables } from './tables.ts';

/** In place of a domain-id or a PASID: every one. */
export const ANY = -1;
/** log2 of the pages of everything. */
export const WHOLE = 52;

/**
 * Who forwards what the guest does with its VT-d unit to somewhere else. Called when the guest has announced it: after the unit's
 * own caches have dropped it, before the next descriptor. Requester ids, domain-ids and PASIDs are the guest's.
 */
export interface VtdBackend {
  /** A root table was latched, translation was switched, or the unit was reset: whatever is bound may be bound to something else. */
  remappingChanged(): void;
  /** Context entries of the requesters `sid` with the bits of `free` (ffffh: all) free were announced. */
  contextsChanged(sid: number, free: number): void;
  /** PASID-table entries were announced: of a domain or ANY, of a PASID or ANY. */
  pasidsChanged(did: number, pasid: number): void;
  /** May be kept until `sync`, as those of a PASID. Translations of a domain or ANY: 2^order pages at the aligned (lo, hi), halves signed; WHOLE: all. `leaf`: IH was set. */
  domainInvalidated(did: number, lo: number, hi: number, order: number, leaf: boolean): void;
  /** The same of a PASID in a domain. */
  pasidInvalidated(did: number, pasid: number, lo: number, hi: number, order: number, leaf: boolean): void;
  /** A wait, before it tells of its end, a page group response, or the end of what is in the queue: what was kept has to be done. */
  sync(): void;
}

/** How requests without PASID, or with one, are translated as the tables in memory are now. */
export type VtdBindingKind =
  /** Refused, with a fault. */
  | 'blocked'
  /** Addresses are physical: translation is off, or pass-through. */
  | 'identity'
  | 'first-stage'
  | 'second-stage'
  | 'nested';

/** One object is used again and again: what a binding consists of, as numbers. */
export interface VtdBinding {
  kind: VtdBindingKind;
  /** Of 'blocked': the fault code. */
  fault: number;
  /** The entry is only not present: with caching mode off, hardware sees it at once when software sets its present bit. */
  absent: boolean;
  /** The tables are those of a context entry of legacy mode. */
  legacy: boolean;
  did: number;
  /** The PASID whose entry counts: for requests without PASID that of RID_PASID. */
  pasid: number;
  /** Of a first stage: FSPTPTR, levels, and the bits that iommufd's VT-d data know. */
  firstLo: number;
  firstHi: number;
  levels: number;
  supervisor: boolean;
  writeProtect: boolean;
  extendedAccessed: boolean;
  execute: boolean;
  /** Of a second stage: its table, and AW. */
  secondLo: number;
  secondHi: number;
  width: number;
  /** How tables are walked: execute permissions, accessed and dirty flags, coherency. */
  walkMode: number;
  /** Requests without PASID are privileged ones (RID_PRIV). */
  privileged: boolean;
  /** Device-TLBs and page requests are allowed by the context entry. */
  deviceTlb: boolean;
  pageRequests: boolean;
  /** Of scalable mode: the context entry that was used; zeros where none was good. */
  readonly context: Uint32Array;
  /** Addresses below 4 GiB of the entries that were read; those not read are -1. */
  readonly read: { root: number; context: number; directory: number; entry: number };
}

export function vtdBinding(): VtdBinding {
  return {
    kind: 'blocked',
    fault: 0,
    absent: false,
    legacy: false,
    did: 0,
    pasid: 0,
    firstLo: 0,
    firstHi: 0,
    levels: 0,
    supervisor: false,
    writeProtect: false,
    extendedAccessed: false,
    execute: false,
    secondLo: 0,
    secondHi: 0,
    width: 0,
    walkMode: 0,
    privileged: false,
    deviceTlb: false,
    pageRequests: false,
    context: new Uint32Array(8),
    read: { root: -1, context: -1, directory: -1, entry: -1 },
  };
}

/** What a backend may ask of the guest's VT-d unit, and give back to it. */
export interface VtdPort {
  readonly architecture: 'vtd';
  /** The guest announces entries that become present, too (CAP.CM). */
  readonly cachingMode: boolean;
  /** Address bits of a guest's pages: what leaves a first stage has to be below. */
  readonly addressBits: number;
  readonly pasidBits: number;
  /** Tables that the guest may use: of a first stage; of a second stage, in legacy mode or scalable mode. */
  readonly firstStage: boolean;
  readonly secondStage: boolean;
  readonly deviceTlb: boolean;
  readonly pageRequests: boolean;
  connect(backend: VtdBackend | null): void;
  /**
   * Looks in memory, not in caches, and changes nothing. `held`: a context entry of scalable mode that counts in place of the one in
   * memory, because nothing has been announced of it since.
   */
  binding(requester: number, pasid: number, out: VtdBinding, held?: Uint32Array): void;
  /** The tables of a requester or PASID whose binding is a first or a second stage now. */
  tables(requester: number, pasid: number, held?: Uint32Array): GuestTables;
  /** Calls `found` for every PASID of the requester that has a present entry now, ascending. */
  pasids(requester: number, found: (pasid: number) => void, held?: Uint32Array): void;
  /**
   * Calls `found` with the address of each page below 4 GiB that entries of the requester's structures lie in now: root, context,
   * PASID directory and PASID tables, and those that a store would bring in. `pasid`: of a PASID table, that of its first entry;
   * NO_PASID: it is another structure.
   */
  pages(requester: number, found: (page: number, pasid: number) => void): void;
  /** A second unit, for who wants to know whether the hardware behind the port does as this one would. */
  secondOpinion(): SecondOpinion<VtdBackend>;
}
