import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { SecondOpinion } from './second-opinion.ts';
import type { GuestTables } from './tables.ts';

/**
 * Who forwards what the guest does with its SMMUv3 to somewhere else. Called when a command has been done by the unit, before
 * CMDQ_CONS moves past it. StreamIDs, ASIDs and VMIDs are the guest's.
 */
export interface SmmuBackend {
  /** SMMUEN or GBPA changed, or the unit was reset: every stream may be bound to something else. */
  configurationChanged(): void;
  /**
   * STEs of 2^order streams at the aligned `sid` were announced, and with them all context descriptors that are reached from them.
   * @param cons CMDQ_CONS of the command
   */
  streamsChanged(sid: number, order: number, cons: number): void;
  /**
   * A TLBI, ATC_INV or CFGI_CD command, as the guest wrote it, done by the unit itself already. May be kept until `sync`.
   * @param cons CMDQ_CONS of the command
   */
  command(w0: number, w1: number, w2: number, w3: number, cons: number): void;
  /**
   * A CMD_SYNC, or the end of what is in the queue: what was kept has to be done. Returns 0, or the CERROR code of the command
   * that failed: the queue stops with CMDQ_CONS at `failedAt`.
   */
  sync(): number;
  /** CMDQ_CONS of the command that the last failed sync() is about. */
  readonly failedAt: number;
}

export type StreamKind = 'abort' | 'bypass' | 'stage1' | 'stage2' | 'nested';

/** What a stream is bound to as the table in memory is now. */
export interface StreamBinding {
  kind: StreamKind;
  /** Event number of a stream that is aborted by a fault; 0: silently. */
  fault: number;
  /** The STE as it lies in memory; zeros where none was read. */
  readonly words: Uint32Array;
}

export function streamBinding(): StreamBinding {
  return { kind: 'abort', fault: 0, words: new Uint32Array(16) };
}

/** How requests of a stream without SubstreamID, or with one, are translated as the tables in memory are now. */
export interface SubstreamBinding {
  /** 'abort': with an event, or silently. */
  kind: StreamKind;
  /** VMID, or a negative number for streams of EL2. */
  regime: number;
  /** ASID; -1: there is no stage 1. */
  asid: number;
  /** Transactions that fault wait for the guest. */
  stalls: boolean;
  /** What of it is more than tables say: an address has several names, or requests have attributes that they do not come with. */
  unlike: string;
  /** The structures that it consists of: equal texts are equal bindings. */
  key: string;
}

export function substreamBinding(): SubstreamBinding {
  return { kind: 'abort', regime: 0, asid: -1, stalls: false, unlike: '', key: '' };
}

/** In place of a VMID: streams of EL2, with and without E2H. */
export const EL2_REGIME = -1;
export const EL2_E2H_REGIME = -2;

/** SmmuPort.hold: it was something else. */
export const NOT_HELD = -2;

/** What a backend may ask of the guest's SMMUv3, and give back to it. */
export interface SmmuPort {
  readonly architecture: 'smmuv3';
  /** IDR0 to IDR5: what the guest was promised. */
  readonly identity: readonly number[];
  /** Output address size in bits. */
  readonly addressBits: number;
  readonly substreamBits: number;
  readonly stage1: boolean;
  readonly stage2: boolean;
  readonly deviceTlb: boolean;
  readonly pageRequests: boolean;
  /** IDR0.STALL_MODEL allows transactions to be held. */
  readonly stalls: boolean;
  connect(backend: SmmuBackend | null): void;
  /** Looks in memory, not in caches, and changes nothing. */
  binding(sid: number, out: StreamBinding): void;
  /** A second unit, for who wants to know whether the hardware behind the port does as this one would. */
  secondOpinion(): SecondOpinion<SmmuBackend>;
  /** The same of one SubstreamID of a stream, or NO_PASID. */
  substream(sid: number, ssid: number, out: SubstreamBinding): void;
  /** The tables of one that has any now. */
  tables(sid: number, ssid: number): GuestTables;
  /** Calls `found` for every SubstreamID of the stream that has a valid CD now, ascending. */
  substreams(sid: number, found: (ssid: number) => void): void;
  /** Calls `found` with the address of each page below 4 GiB that the stream's CDs lie in now, and those that a store would bring in. */
  pages(sid: number, found: (page: number) => void): void;
  /** An event that the hardware behind the port recorded: 8 words, written to the event queue as they are. */
  event(words: Uint32Array): void;
  /**
   * The hardware behind the port holds a transaction of stage 1: the guest is told as of one that the unit holds itself, by an event
   * with the tag that is returned. Its end comes through DmaEndpoints.resume, never before this returns. -1: the unit has no place
   * for it; the event says that it has ended. NOT_HELD: no CD of the guest asks for that, and nobody was told.
   */
  hold(port: DmaPort, lo: number, hi: number, access: number): number;
}
