import { NO_PASID } from '../../vmm/bus/dma.ts';
import { CONFIG_ENTRY_AT, CONFIG_ENTRY_WORDS } from '../walk/config-cache.ts';
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
  /** Halves of the address space where the top byte does not count; all of it is one half. */
  ignoresTop = 0;
  single = false;
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

  /** What `other` was resolved to, for another SubstreamID whose CD differs in ASID and table alone. */
  follow(other: Requester): void {
    this.mode = other.mode;
    this.globalTag = other.globalTag;
    this.vmidTag = other.vmidTag;
    this.vmid = other.vmid;
    this.refused = other.refused;
    this.permissions = other.permissions;
    this.ignoresTop = other.ignoresTop;
    this.single = other.single;
    this.beyond = other.beyond;
    this.short = other.short;
    this.outside = other.outside;
    this.outside2 = other.outside2;
    this.reserved = other.reserved;
    this.reserved2 = other.reserved2;
    this.usual = other.usual;
    this.usual2 = other.usual2;
    this.flags = other.flags;
  }
}

/** Most places a port has for SubstreamIDs that it uses in turn; it has so many for each that is used. */
const MOST_SLOTS = 4096;
const FIRST_SLOTS = 16;
const SLOTS_OF_ONE = 4;
/** Words of a CD that may differ between those that follow: the upper half of word 1 (ASID), words 2 and 3 (table). */
const OWN_HALF = 1;
const OWN_FIRST = 2;
const OWN_LAST = 3;

/** What is known of a port. */
export class PortContext {
  /** For requests without SubstreamID. */
  readonly plain = new Requester();
  /** The STE, while `streamEpoch` stands, and the CD that was used last: of `loaded` while `loadedEpoch` stands. */
  readonly stream = new Stream();
  readonly context = new Context();
  streamEpoch = -1;
  loaded = NO_PASID;
  loadedEpoch = -1;
  /** The one with a SubstreamID that was resolved in full last, and its CD. */
  model: Requester | null = null;
  readonly #cd = new Int32Array(CONFIG_ENTRY_WORDS);
  /** By bits of the SubstreamID; how many are taken. */
  #slots: (Requester | undefined)[] = [];
  #mask = 0;
  #used = 0;
  /** Translated requests may pass while this epoch stands, or -1. */
  translatedEpoch = -1;

  /** Whose place requests of the SubstreamID, or without one, have; what is in it may be another one's. */
  of(ssid: number): Requester {
    return ssid < 0 ? this.plain : (this.#slots[slotOf(ssid) & this.#mask] ?? this.plain);
  }

  /** The place that the SubstreamID is to have from now on. */
  take(ssid: number): Requester {
    if (ssid < 0) return this.plain;
    const q = this.of(ssid);
    if (q !== this.plain && (q.ssid === ssid || !this.#isCrowded)) return q;
    if (this.#isCrowded) this.#grow();
    const slot = slotOf(ssid) & this.#mask;
    const there = this.#slots[slot];
    if (there !== undefined) return there;
    const made = new Requester();
    this.#slots[slot] = made;
    this.#used++;
    return made;
  }

  get #isCrowded(): boolean {
    return this.#used * SLOTS_OF_ONE >= this.#slots.length && this.#slots.length < MOST_SLOTS;
  }

  #grow(): void {
    const old = this.#slots;
    const count = Math.max(FIRST_SLOTS, old.length * 2);
    this.#slots = new Array(count).fill(undefined);
    this.#mask = count - 1;
    this.#used = 0;
    for (const q of old) {
      if (q === undefined) continue;
      this.#slots[slotOf(q.ssid) & this.#mask] = q;
      this.#used++;
    }
  }

  /** `q` is what those follow whose CD is like the one in the row. */
  setModel(q: Requester, rows: Uint32Array, row: number): void {
    this.model = q;
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

/** Numbers that count upwards, by any step, hardly meet. */
function slotOf(ssid: number): number {
  return ssid + (ssid >>> 9);
}
