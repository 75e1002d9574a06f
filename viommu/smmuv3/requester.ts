import { NO_PASID } from '../../vmm/bus/dma.ts';
import { CONFIG_ENTRY_AT, CONFIG_ENTRY_WORDS } from '../walk/config-cache.ts';
import { LineUser } from '../walk/substream-lines.ts';
import { Context } from './context-descriptor.ts';
import { Stream } from './stream-table.ts';

/** How a requester's next plain request is served without asking structures. */
export const SLOW = 0;
export const PAGING = 1;
export const IDENTITY = 2;

/** The short way of a miss: not taken, or through tables of one stage or of both. */
export const NEVER = 0;
export const ONE_STAGE = 1;
export const BOTH_STAGES = 2;

/**
 * What a requester was resolved to, for one SubstreamID or for none: a predictor that is compared with the TLB's rows before
 * it is believed, and dropped by a change of `epoch`.
 */
export class Requester {
  epoch = 0;
  /** Whom it speaks for. */
  ssid = NO_PASID;
  privileged = false;
  mode = SLOW;
  /** Tag of its entries, and of global ones or 0. */
  tag = 0;
  globalTag = 0;
  vmidTag = 0;
  vmid = 0;
  /** Accesses that have to ask the procedure. */
  refused = 0;
  /** Shift of its class of permissions in a row. */
  permissions = 0;
  /** Halves of the address space where the top byte does not count, a set of 1 << half. */
  ignoresTop = 0;
  /** IDENTITY: bits of the upper half that no address may have. */
  beyond = 0;
  /** Page mask, size code and shift of the rows it may remember. */
  mask = -4096;
  size = 0;
  shift = 12;
  /** Mixed into the place of a hint, so that those with equal addresses do not meet. */
  salt = 0;
  /** The short way, and the bits of the upper half that addresses on it do not have: input, and input of the second stage. */
  short = NEVER;
  outside = 0;
  outside2 = 0;
  /** Likewise of the entries of either stage. */
  reserved = 0;
  reserved2 = 0;
  /** What the entries of the last miss said besides addresses, and what a row has for it (row-flags.ts). */
  usual = 0;
  usual2 = 0;
  flags = 0;
}

/** Words of a CD that may differ between those that follow: the upper half of word 1 (ASID), words 2 and 3 (table). */
const OWN_HALF = 1;
const OWN_FIRST = 2;
const OWN_LAST = 3;

/** What is known of a port. */
export class PortContext extends LineUser {
  /** For requests without SubstreamID. */
  readonly plain = new Requester();
  /** For requests with the SubstreamID that was used twice in turn. */
  readonly substream = new Requester();
  /** The SubstreamID, as lines have it, that asked last for what is not in `substream`. */
  last = -1;
  /** The STE, while `streamEpoch` stands, and the CD that was used last: of `loaded` while `loadedEpoch` stands. */
  readonly stream = new Stream();
  readonly context = new Context();
  streamEpoch = -1;
  loaded = NO_PASID;
  loadedEpoch = -1;
  /** While it stands `substream` holds for every SubstreamID whose CD is like `#cd`, but for tag and privilege. */
  modelEpoch = -1;
  readonly #cd = new Int32Array(CONFIG_ENTRY_WORDS);
  /** Translated requests may pass while this epoch stands, or -1. */
  translatedEpoch = -1;

  /** Whose place requests of the SubstreamID, or without one, have; what is in it may be another one's. */
  of(ssid: number): Requester {
    return ssid < 0 ? this.plain : this.substream;
  }

  /** `substream` was resolved with the CD in the row. */
  setModel(epoch: number, rows: Uint32Array, row: number): void {
    this.modelEpoch = epoch;
    for (let i = 0; i < CONFIG_ENTRY_WORDS; i++) this.#cd[i] = rows[row + CONFIG_ENTRY_AT + i]!;
  }

  /** The CD in the row differs from the model's in nothing but ASID and table. */
  isLikeModel(rows: Uint32Array, row: number): boolean {
    const cd = this.#cd;
    const at = row + CONFIG_ENTRY_AT;
    let other = (rows[at]! ^ cd[0]!) | ((rows[at + OWN_HALF]! ^ cd[OWN_HALF]!) & 0xffff);
    for (let i = OWN_LAST + 1; i < CONFIG_ENTRY_WORDS; i++) other |= rows[at + i]! ^ cd[i]!;
    // Flags beside the table's address.
    other |=
      ((rows[at + OWN_FIRST]! ^ cd[OWN_FIRST]!) & 0xf) |
      ((rows[at + OWN_LAST]! ^ cd[OWN_LAST]!) & -0x1000000);
    return other === 0;
  }
}

/**
 * Attributes of a line (viommu/walk/substream-lines.ts): 2:0 size code | 6:4 shift of the class of permissions | 10:8 accesses
 * that have to ask the procedure | 13:12 halves of the address space where the top byte does not count.
 */
export const LINE_SIZE = 7;
const CLASS = 4;
const REFUSED = 8;
const TOP = 12;

export function attributesOf(q: Requester): number {
  return q.size | (q.permissions << CLASS) | (q.refused << REFUSED) | (q.ignoresTop << TOP);
}

export function classOf(attributes: number): number {
  return (attributes >>> CLASS) & 7;
}

export function refusedBy(attributes: number): number {
  return (attributes >>> REFUSED) & 7;
}

export function ignoresTopIn(attributes: number): number {
  return (attributes >>> TOP) & 3;
}
