import type { VirtualClock } from '../core/clock.ts';
import type { Limit } from '../core/limit.ts';
import type { Zod, ZodType } from '../core/zod.ts';
import type { EventBinder } from '../trace/tracer.ts';
import type { AnyDevice, DeviceView } from './device.ts';
import type { DmaPort, DmaTranslator } from './dma.ts';
import type { InterruptTarget } from './interrupts.ts';
import type { SystemMemory } from './memory.ts';
import type { MmioRange } from './mmio.ts';

/** Everything an IOMMU model gets from the machine. */
export interface IommuServices {
  readonly id: string;
  readonly memory: SystemMemory;
  readonly clock: VirtualClock;
  readonly tracer: EventBinder;
  readonly interrupts: InterruptTarget;
  /** Told of every recorded DMA fault, with its explanation; for reports, never for behaviour. */
  readonly onFault: (fault: ExplainedFault) => void;
  /** The functions behind the unit, for what the unit sends to them; without it nobody answers. */
  readonly endpoints?: DmaEndpoints;
  /** Where the CPU is now and who wrote an address last; undefined when no guest runs or nobody recorded it. */
  readonly provenance: Provenance;
}

export const DEVICE_TLB_DONE = 0;
/** No completion came. */
export const DEVICE_TLB_TIMEOUT = 1;
/** A completion came that fits no request. */
export const DEVICE_TLB_UNEXPECTED = 2;

/** Not complete yet: the function says DmaTranslator.invalidationComplete with the same tag. */
export const DEVICE_TLB_PENDING = 3;

/** What an IOMMU sends to functions, by requester id. A requester id that nobody has does not answer. */
export interface DmaEndpoints {
  /**
   * Invalidates 2^order pages at the aligned (lo, hi) in the function's address translation cache; order 52 is everything.
   * The halves may be signed.
   * @param pasid of the entries; NO_PASID: those without a PASID; ALL_PASIDS: both kinds
   * @param tag the ITag, given back by a completion that comes later
   * @returns one of the DEVICE_TLB codes
   */
  invalidate(requester: number, pasid: number, lo: number, hi: number, order: number, tag: number): number;
  /** Page request group response: `code` is one of PAGE_RESPONSE_; pasid NO_PASID where the request had none. */
  pageResponse(requester: number, pasid: number, group: number, code: number): void;
  /** The held transaction `tag` goes on: `retry` it, or end it as DMA_UR (abort). */
  resume(requester: number, tag: number, retry: boolean): void;
}

/** Who stored what: kept by the vCPU for watched pages. */
export interface Provenance {
  /** The last recorded store that covers `address`: `map_page (driver.c:120)`, or `dma 00:03.0`. */
  lastWriter(address: number): string | undefined;
  /** Function and line the guest executes now. */
  here(): string | undefined;
}

/** One entry read on the way of a translation. */
export interface WalkStep {
  /** What it is: `root entry`, `context entry`, `PML4E`. */
  readonly what: string;
  /** GPA in hex, or undefined where a cache answered without an address. */
  readonly address: string | undefined;
  /** Raw value(s) in hex, least significant quadword first. */
  readonly raw: readonly string[];
  /** Decoded fields on one line. */
  readonly fields: string;
  readonly source: 'memory' | 'cache';
  readonly lastWriter: string | undefined;
}

/** A DMA fault as people want to read it. */
export interface ExplainedFault {
  readonly iommu: string;
  readonly requester: number;
  readonly pasid: number;
  readonly address: string;
  readonly access: 'read' | 'write' | 'execute' | 'atomic' | 'interrupt';
  /** Fault code as the specification writes it, e.g. `05h`, and its name. */
  readonly code: string;
  readonly name: string;
  /** Why, by the words of the specification, with its citation. */
  readonly why: string;
  readonly steps: readonly WalkStep[];
  /** False when the fault was not recorded for the guest (FPD, overflow), with the reason. */
  readonly recorded: boolean;
  readonly note?: string;
}

/** An ACPI description of the unit, in the words of the table it goes to. */
export type IommuFirmware = DmarFirmware | IortFirmware;

/** Arm SMMUv3: IO Remapping Table. */
export interface IortFirmware {
  readonly table: 'IORT';
  readonly base: number;
  /** Address bits of what stands before the unit. */
  readonly haw: number;
  /** Its accesses to tables and queues are coherent. */
  readonly coherent: boolean;
  /** Hardware updates of table entries: none, access flag, access flag and dirty state. */
  readonly httu: 0 | 1 | 2;
  /** Functions behind it may use ATS. */
  readonly ats: boolean;
  /** They may request pages. */
  readonly pri: boolean;
  /** They may use PASIDs. */
  readonly pasid: boolean;
}

/** Intel VT-d: DMA Remapping Reporting. */
export interface DmarFirmware {
  readonly table: 'DMAR';
  readonly base: number;
  /** Host address width in bits. */
  readonly haw: number;
  readonly interruptRemapping: boolean;
  readonly x2apicOptOut: boolean;
  readonly deviceTlb: boolean;
}

/** What an IOMMU does for functions that share virtual memory. */
export interface SvmFeatures {
  /** Bits of a PASID, 0: it takes none. */
  readonly pasidBits: number;
  readonly ats: boolean;
  readonly pri: boolean;
  /** Options that switch them on. */
  readonly options: { readonly pasid: string; readonly ats: string; readonly pri: string };
}

/** One field of an entry, decoded. */
export interface DecodedField {
  readonly name: string;
  /** `63:12` */
  readonly bits: string;
  readonly value: string;
  /** The name of the value, where the specification gives it one. */
  readonly meaning?: string;
  readonly doc: string;
}

/** A remapping structure as it lies in memory, with what it points to: for people. */
export interface TableNode {
  /** `context entry` */
  readonly what: string;
  /** Whom or what it is for: `00:02.0`, `0x100000 - 0x100fff`. */
  readonly of: string;
  readonly address: string;
  /** Raw value(s) in hex, least significant quadword first. */
  readonly raw: readonly string[];
  readonly fields: readonly DecodedField[];
  readonly lastWriter?: string;
  /** Why nothing follows where something should: `not memory`. */
  readonly note?: string;
  readonly children: readonly TableNode[];
}

/** The tables of an IOMMU that are in use: entries that are present, no more than were asked for. */
export interface TableTree {
  readonly roots: readonly TableNode[];
  /** Pages that were read: those whose writers one wants to know. */
  readonly pages: readonly number[];
  /** There are more entries. */
  readonly cut: boolean;
}

export interface Iommu {
  readonly device: AnyDevice;
  readonly translator: DmaTranslator;
  readonly mmio: readonly MmioRange[];
  /** What it does of shared virtual memory; absent: nothing. */
  readonly svm?: SvmFeatures;
  /** What ACPI says of the unit; without it the guest has to know where it is. */
  readonly firmware?: IommuFirmware;
  readonly views: readonly DeviceView[];
  /** Explains how a request would be translated, without side effects on state, caches or faults. */
  explain(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
  ): { readonly steps: readonly WalkStep[]; readonly outcome: string };
  /** The tables as they are in memory now, `most` entries at most; changes nothing. */
  tables?(most: number): TableTree;
  /** Where what the guest does can be forwarded from: a port of viommu/port. */
  readonly port?: object;
}

/** A kind of IOMMU: the plugin record. */
export interface IommuKind<C = unknown> {
  readonly name: string;
  readonly summary: string;
  /** Machines it can stand in. */
  readonly machines: readonly ('q35' | 'virt')[];
  readonly defaults: C;
  /** Values that the options given bring along, for those that are not given: one option may stand for a set. */
  readonly presets?: (given: Partial<C>) => Partial<C>;
  readonly schema: (z: Zod) => ZodType<C>;
  /** What the specification of such a unit defines and this kind does not do. */
  readonly limits?: readonly Limit[];
  readonly create: (config: C, services: IommuServices) => Iommu;
}

/** All options of a unit: those given, what they bring along, and the defaults of the rest. */
export function completeOptions<C>(
  kind: Pick<IommuKind<C>, 'defaults' | 'presets'>,
  given: Partial<NoInfer<C>>,
): C {
  return { ...kind.defaults, ...kind.presets?.(given), ...given };
}
