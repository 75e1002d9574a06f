import { type DmaPort, EXEC, READ, WRITE } from '../../vmm/bus/dma.ts';
import { ADDRESS_WORD, CLASS_CD, CLASS_TT, EVENT_BYTES, INPUT_WORD } from '../spec/smmuv3/events.ts';
import {
  EVENT_BY_CODE,
  F_BAD_ATS_TREQ,
  F_CD_FETCH,
  HAS_FETCH,
  HAS_INPUT,
  HAS_IPA,
  HAS_RNW,
  HAS_SYNDROME,
  HAS_TTRNW,
} from '../spec/smmuv3/faults.ts';

/** Bits of words 0, 2 and 3 of a record. */
const SSV = 1 << 11;
const STALL = 1 << 31;
const PNU = 1 << 1;
const IND = 1 << 2;
const RNW = 1 << 3;
const REQUESTED_WRITE = 1 << 4;
const S2 = 1 << 7;
const CLASS_SHIFT = 8;
const TTRNW = 1 << 12;

/** One event as the translation found it; one object a unit, so that recording allocates nothing. */
export class EventRecord {
  /** Event number (viommu/spec/smmuv3/faults.ts). */
  type = 0;
  sid = 0;
  /** SubstreamID, or -1: SSV = 0. */
  ssid = -1;
  /** After overrides by the STE. */
  privileged = false;
  instruction = false;
  read = false;
  stage2 = false;
  /** CLASS_CD, CLASS_TT or CLASS_IN. */
  class = 0;
  /** F_PERMISSION of a stage 1 table access: it was a read. */
  tableRead = false;
  /** Address as presented; halves unsigned. */
  inputLo = 0;
  inputHi = 0;
  /** IPA where stage2, or FetchAddr of a fetch that was aborted; halves unsigned. */
  addressLo = 0;
  addressHi = 0;
  /** docs/deviations.md: smmu-event-address. Set once for all. */
  qemu = false;
  /** F_BAD_ATS_TREQ: what was asked for, READ, WRITE, EXEC. */
  requested = 0;
  /** The translation makes it recordable: CD.R, STE.S2R, CR2 and the like allow it. */
  recorded = true;
  /** The transaction is to stall if the endpoint can wait: CD.S or STE.S2S. */
  stalls = false;

  clear(): void {
    this.type = 0;
    this.sid = 0;
    this.ssid = -1;
    this.privileged = false;
    this.instruction = false;
    this.read = false;
    this.stage2 = false;
    this.class = 0;
    this.tableRead = false;
    this.inputLo = 0;
    this.inputHi = 0;
    this.addressLo = 0;
    this.addressHi = 0;
    this.requested = 0;
    this.recorded = true;
    this.stalls = false;
  }
}

/** Why an event was not written, as people are told; RECORDED when it was. */
export type Recording = string;
export const RECORDED: Recording = 'recorded';
/** The transaction is held, and its event tells of it: what software is to mend, and no report of a fault yet. */
export const STALLED: Recording = 'stalled';

/** Where events go: the event queue, and those who hold stalled transactions. */
export interface EventSink {
  /** Writes the event, or drops it; says which. Only called for events whose `recorded` is set. */
  record(event: EventRecord): Recording;
  /**
   * Holds the transaction of the port, which made `access`, and records the event with Stall = 1 and its tag. Returns the
   * tag, which the translation puts into port.stallTag with DMA_STALLED, or -1: the transaction cannot be held, and ends
   * as if stalling had not been asked for.
   */
  stall(port: DmaPort, event: EventRecord, access: number): number;
  /** Writes a whole record that came from elsewhere, or drops it; says which. */
  relay(words: Uint32Array): Recording;
  /** The transaction is done with: interrupts of what it recorded go out. */
  settle(): void;
}

/** The 32 bytes of an event, into words[at...]; `stag` of a stalled transaction, or -1 (SMMUv3: Event records). */
export function encodeEvent(event: EventRecord, stag: number, words: Uint32Array, at: number): void {
  const kind = EVENT_BY_CODE[event.type]!;
  words.fill(0, at, at + EVENT_BYTES / 4);
  words[at] = event.type | (event.ssid < 0 ? 0 : SSV | (event.ssid << 12));
  words[at + 1] = event.sid;
  if (stag >= 0) words[at + 2] = (STALL | stag) >>> 0;
  if ((kind.fields & HAS_SYNDROME) !== 0) words[at + 3] = syndrome(event, kind.fields);
  if ((kind.fields & HAS_RNW) !== 0 && event.read) words[at + 3] = RNW;
  if (event.type === F_BAD_ATS_TREQ) words[at + 3] = requestedBits(event);
  if ((kind.fields & HAS_INPUT) !== 0) {
    words[at + INPUT_WORD] = event.inputLo;
    words[at + INPUT_WORD + 1] = event.inputHi;
  }
  if ((kind.fields & HAS_FETCH) !== 0) {
    const word = event.qemu && event.type === F_CD_FETCH ? INPUT_WORD : ADDRESS_WORD;
    words[at + word] = event.addressLo & -8;
    words[at + word + 1] = event.addressHi;
  } else if ((kind.fields & HAS_IPA) !== 0 && (event.stage2 || event.qemu)) {
    words[at + ADDRESS_WORD] = event.qemu ? event.addressLo : event.addressLo & -4096;
    words[at + ADDRESS_WORD + 1] = event.addressHi;
  }
}

function syndrome(event: EventRecord, fields: number): number {
  const tableRead = (fields & HAS_TTRNW) !== 0 && event.class === CLASS_TT && event.tableRead;
  return (
    (event.privileged ? PNU : 0) |
    (event.instruction && event.read ? IND : 0) |
    (event.read || (event.qemu && event.class === CLASS_CD) ? RNW : 0) |
    (event.stage2 ? S2 : 0) |
    (event.class << CLASS_SHIFT) |
    (tableRead ? TTRNW : 0)
  );
}

function requestedBits(event: EventRecord): number {
  return (
    (event.privileged ? PNU : 0) |
    ((event.requested & EXEC) !== 0 ? IND : 0) |
    ((event.requested & READ) !== 0 ? RNW : 0) |
    ((event.requested & WRITE) !== 0 ? REQUESTED_WRITE : 0)
  );
}
