import { bit, number } from '../vtd/bits.ts';

/**
 * What the SMMUv3 oracle takes and gives. It is a slow second opinion on the model in viommu/, written from the text of the
 * architecture alone; it shares no code with what it judges.
 */

/** What the unit is able to do, from its identification registers. */
export interface Unit {
  readonly s1: boolean;
  readonly s2: boolean;
  readonly hyp: boolean;
  readonly ats: boolean;
  /** Split-stage ATS is not supported. */
  readonly ns1ats: boolean;
  /** IDR0.HTTU: 0 none, 1 access flag, 2 access flag and dirty state. */
  readonly httu: number;
  readonly asid16: boolean;
  readonly vmid16: boolean;
  readonly cd2l: boolean;
  readonly twoLevelStreams: boolean;
  readonly atsErrors: boolean;
  /** IDR0.STALL_MODEL: 0 optional, 1 never, 2 always. */
  readonly stallModel: number;
  readonly abortOnly: boolean;
  readonly sidSize: number;
  readonly ssidSize: number;
  readonly permissionOverrides: boolean;
  readonly had: boolean;
  readonly xnx: boolean;
  readonly stt: boolean;
  readonly e0pd: boolean;
  readonly epan: boolean;
  /** Output address size in bits; the intermediate address size is the same without AArch32 tables. */
  readonly oas: number;
  /** log2 of the granules there are. */
  readonly granules: readonly number[];
}

const SIZES = [32, 36, 40, 42, 44, 48, 52, 56];

/** SMMU_IDR0, 1, 3 and 5: fields. */
export function unitOf(idr0: bigint, idr1: bigint, idr3: bigint, idr5: bigint): Unit {
  return {
    s1: bit(idr0, 1),
    s2: bit(idr0, 0),
    hyp: bit(idr0, 9),
    ats: bit(idr0, 10),
    ns1ats: bit(idr0, 11),
    httu: number(idr0, 7, 6),
    asid16: bit(idr0, 12),
    vmid16: bit(idr0, 18),
    cd2l: bit(idr0, 19),
    twoLevelStreams: number(idr0, 28, 27) === 1,
    atsErrors: bit(idr0, 23),
    stallModel: number(idr0, 25, 24),
    abortOnly: bit(idr0, 26),
    sidSize: number(idr1, 5, 0),
    ssidSize: number(idr1, 10, 6),
    permissionOverrides: bit(idr1, 26),
    had: bit(idr3, 2),
    xnx: bit(idr3, 4),
    stt: bit(idr3, 9),
    e0pd: bit(idr3, 13),
    epan: bit(idr3, 17),
    oas: addressSize(number(idr5, 2, 0)),
    granules: [12, 14, 16].filter((_, i) => bit(idr5, 4 + i)),
  };
}

/** Coding of OAS, IPS and S2PS. */
export function addressSize(code: number): number {
  return SIZES[code]!;
}

/** What software has programmed. */
export interface Registers {
  readonly enabled: boolean;
  readonly atsCheck: boolean;
  /** GBPA.ABORT. */
  readonly abort: boolean;
  readonly e2h: boolean;
  readonly recordInvalidStreams: boolean;
  readonly recordAtsErrors: boolean;
  readonly strtabBase: bigint;
  readonly strtabConfig: bigint;
}

export interface Request {
  readonly sid: number;
  readonly ssid?: number;
  /** PCIe AT: 0 untranslated, 1 translation request, 2 translated. */
  readonly at: 0 | 1 | 2;
  readonly address: bigint;
  /** Of a translation request: NW = 0. */
  readonly write: boolean;
  readonly instruction: boolean;
  readonly privileged: boolean;
  /** Whether the device can wait for a stalled transaction. */
  readonly mayStall: boolean;
}

export interface TableMemory {
  /** A quadword, or undefined where there is no memory. */
  read(address: bigint): bigint | undefined;
  /** Hardware update of a descriptor that has to take place: bits that become 1, bits that become 0. */
  update(address: bigint, set: bigint, clear: bigint): void;
  /** Hardware update that is left to the implementation. */
  may(address: bigint, set: bigint, clear: bigint): void;
}

/** A record of 32 bytes, and which of its bits are laid down. */
export interface EventRecord {
  readonly words: readonly [bigint, bigint, bigint, bigint];
  readonly known: readonly [bigint, bigint, bigint, bigint];
}

export type Outcome =
  | {
      readonly kind: 'ok';
      readonly address: bigint;
      /** Bytes of the smallest page in the translation; 0 where nothing was translated. */
      readonly size: bigint;
    }
  | {
      /** Success of a translation request; nothing granted: R = W = 0. */
      readonly kind: 'granted';
      readonly address: bigint;
      readonly size: bigint;
      readonly read: boolean;
      readonly write: boolean;
      /** Write was not asked for: it may be granted or not. */
      readonly writeIsOptional: boolean;
      readonly execute: boolean;
    }
  | Refused;

export interface Refused {
  readonly kind: 'refused';
  readonly answer: 'abort' | 'ur' | 'ca' | 'stall';
  readonly event: EventRecord | undefined;
  /** Name of the event, with stage and class, whether it was recorded or not. */
  readonly name: string;
  /** Another outcome that the architecture permits as well. */
  readonly or?: Outcome;
}
