import type { MigrationHook } from './migration-hook.ts';

/** Ways to reset a function, in the order in which the host's PCI core tries them (Linux, Documentation/ABI/testing/sysfs-bus-pci: reset_method). */
export type ResetMethod = 'flr' | 'af-flr' | 'pm' | 'bus';

/** A BAR as the host's PCI core sized it. */
export interface PhysicalBar {
  readonly kind: 'memory32' | 'memory64' | 'io';
  readonly prefetchable: boolean;
  /** Bytes: a power of two. */
  readonly size: number;
}

/** Who gets a function's interrupts: its driver in the host. */
export interface InterruptSink {
  /** The level of its INTx changed. */
  intx(level: boolean): void;
  /** Message `vector` of MSI or MSI-X was sent. */
  message(vector: number): void;
  /** It reported an uncorrectable error. */
  error(): void;
}

export type MessageKind = 'msi' | 'msix';

/** Vital product data, which is reached through a mailbox that only the host's PCI core may use. */
export interface VitalProductData {
  /** The dword at `address`; `undefined` where there is none. */
  read(address: number): number | undefined;
  /** False where it cannot be written. */
  write(address: number, data: number): boolean;
}

/** What writes to memory the device itself notes, where it can (VFIO: DMA logging). Addresses are those the device uses. */
export interface DmaLog {
  /** Begins to note writes to these ranges; returns the page size in which it does. */
  start(ranges: readonly { readonly start: bigint; readonly last: bigint }[], pageSize: bigint): bigint;
  stop(): void;
  /** Calls `dirty` for each run of bytes written since the last call, and forgets them. */
  report(iova: bigint, length: bigint, dirty: (iova: bigint, length: bigint) => void): void;
}

/**
 * A physical function as the host's drivers reach it: raw configuration space, BARs, interrupts, resets. Numbers are those of the
 * device: nothing here is virtual.
 */
export interface PhysicalFunction {
  /** `0000:03:00.0`. */
  readonly name: string;
  readonly segment: number;
  readonly bus: number;
  /** Device 7:3, function 2:0. */
  readonly devfn: number;
  /** 256, or 4096 for PCI Express. */
  readonly configBytes: number;
  /** Aligned accesses of 1, 2 or 4 bytes; values are unsigned. */
  configRead(offset: number, size: number): number;
  configWrite(offset: number, size: number, value: number): void;
  /** Six, by register; the second half of a 64-bit BAR is absent. */
  readonly bars: readonly (PhysicalBar | undefined)[];
  /** Aligned accesses of 1, 2, 4 or 8 bytes. An 8-byte read returns the lower half and leaves the upper one in `hi`. */
  barRead(bar: number, offset: number, size: number): number;
  barWrite(bar: number, offset: number, size: number, lo: number, hi: number): void;
  /** A 64-byte write, posted or deferrable, as MmioHandler.line of the bus; absent: there is no place for one. */
  barLine?(bar: number, offset: number, words: Uint32Array, deferrable: boolean): number;
  readonly hi: number;
  /** The expansion ROM, if it has one. */
  readonly rom?: Uint8Array;
  /** Who gets its interrupts from now on. */
  connect(sink: InterruptSink | undefined): void;
  /** Enables messages for vectors below `vectors`; each is masked until `armMessage`. Throws ENOMEM, ENOSPC; never again for as many. */
  enableMessages(kind: MessageKind, vectors: number): void;
  /** Throws ENOMEM, ENOSPC the first time a vector is armed. */
  armMessage(kind: MessageKind, vector: number, armed: boolean): void;
  disableMessages(kind: MessageKind): void;
  /** What resets work, the preferred one first. */
  readonly resets: readonly ResetMethod[];
  reset(method: ResetMethod): void;
  /** Of a virtual function: its physical function, and the ids that its own configuration space does not tell. */
  readonly virtual?: { readonly of: PhysicalFunction; readonly vendor: number; readonly device: number };
  /** Virtual functions that are enabled. */
  readonly enabledVirtual?: number;
  /** MSI-X vectors can be added while others are in use. */
  readonly dynamicMsix?: boolean;
  /** AtomicOps that its root port completes: 1 for 32 bits, 2 for 64, 4 for 128. */
  readonly atomicCompletions?: number;
  readonly vpd?: VitalProductData;
  readonly migration?: MigrationHook;
  readonly dmaLog?: DmaLog;
  /** The host takes its power away while its user needs it not, and gives it back. */
  suspend?(): void;
  resume?(): void;
}
