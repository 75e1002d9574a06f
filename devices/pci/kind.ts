import type { AnyDevice, DeviceView, ResetKind } from '../../vmm/bus/device.ts';
import type { DmaPort } from '../../vmm/bus/dma.ts';
import type { SystemMemory } from '../../vmm/bus/memory.ts';
import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import type { PortHandler } from '../../vmm/bus/ports.ts';
import type { VirtualClock } from '../../vmm/core/clock.ts';
import type { Limit } from '../../vmm/core/limit.ts';
import type { Zod, ZodType } from '../../vmm/core/zod.ts';
import type { Register } from '../../vmm/regs/layout.ts';
import type { EventBinder } from '../../vmm/trace/tracer.ts';
import type { PciFunction } from './function.ts';
import type { ConfigLayout } from './layout.ts';

/** Takes messages; the answer is a DMA status. */
export interface MessageSink {
  message(lo: number, hi: number, data: number): number;
}

/** What the machine gives a PCI device. */
export interface PciServices {
  /** Id of the device in this machine: names its snapshot units, clock events and trace lines. */
  readonly id: string;
  /** The way to memory and to the interrupt controllers; the PCI core keeps its requester id and enable up to date. */
  readonly dma: DmaPort;
  readonly clock: VirtualClock;
  readonly tracer: EventBinder;
  /** Memory past every IOMMU. Only test devices that check what DMA did may touch it. */
  readonly bypass: SystemMemory;
  /** Who takes its MSI and MSI-X messages instead of the DMA port: the driver of a modelled host. */
  readonly messages?: MessageSink;
  /** The same for virtual function `n` (from 1) of this one: its id is ID.vfN. */
  readonly virtual: (n: number) => PciServices;
  /** Lays out config space in the place of configLayout: how a function has a virtual config space that was planned. */
  readonly layout?: (id: string, spec: PciFunctionSpec) => ConfigLayout;
  /** Keys of the capabilities of its plan, where it has one before it is made. */
  readonly planned?: readonly string[];
  /** The machine's devices of its host: what kinds of vmm/passthru take, and nobody else looks at. */
  readonly passthrough?: object;
}

export type BarKind = 'memory32' | 'memory64' | 'io';

export interface BarSpec {
  /** First register of the BAR, 0..5 (0..1 in a bridge); a memory64 BAR takes the next one too. */
  readonly index: number;
  readonly kind: BarKind;
  readonly prefetchable?: boolean;
  /** A power of two: memory >= 16, I/O 4..256. */
  readonly size: number;
}

export interface MsiSpec {
  readonly id: 'msi';
  readonly vectors: 1 | 2 | 4 | 8 | 16 | 32;
  readonly is64: boolean;
  /** Per-vector masking. */
  readonly maskable: boolean;
}

export interface MsixSpec {
  readonly id: 'msix';
  readonly vectors: number;
  readonly bar: number;
  readonly tableOffset: number;
  readonly pbaOffset: number;
}

export interface PcieSpec {
  readonly id: 'pcie';
  readonly type: 'endpoint' | 'rc-endpoint' | 'root-port';
  /** Function Level Reset. */
  readonly flr?: boolean;
  /** Physical slot number of a root port with a slot. */
  readonly slot?: number;
  /** Registers of it answer Deferrable Memory Writes (ENQCMD). */
  readonly deferrable?: boolean;
}

export interface PmSpec {
  readonly id: 'pm';
  /** D3hot to D0 keeps the state of the function. */
  readonly noSoftReset?: boolean;
}

export type CapabilitySpec = MsiSpec | MsixSpec | PcieSpec | PmSpec;

/** A capability of the extended list (100h and up). */
export interface ExtendedCapabilitySpec {
  /** PCI Express extended capability id. */
  readonly id: number;
  readonly version: number;
  /** Its size with the 4-byte header. */
  readonly bytes: number;
  /** The registers after the header of a capability at `offset`. */
  readonly registers: (offset: number) => readonly Register[];
}

/** A function as plain data; what answers behind its BARs is connected later (PciFunction.connect). */
export interface PciFunctionSpec {
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** Class, subclass, programming interface: 0x060400. */
  readonly classCode: number;
  readonly revision: number;
  /** Header type 0 if absent. */
  readonly header?: 'endpoint' | 'bridge';
  readonly bars?: readonly BarSpec[];
  readonly capabilities?: readonly CapabilitySpec[];
  readonly extended?: readonly ExtendedCapabilitySpec[];
  /** 0 none, 1..4 INTA..INTD. */
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4;
  /**
   * The function is a virtual function of this one: config space identifies it as FFFFh, and its BARs are those that the
   * SR-IOV capability of the physical function places.
   */
  readonly virtualOf?: PciFunction;
  /** The function stands for a device whose config space is elsewhere: PciServices.layout makes a virtual one of it. */
  readonly held?: HeldConfig;
}

/** A config space that is read and written elsewhere: what vfio-pci shows of a device. */
export interface ConfigBacking {
  /** 1, 2 or 4 bytes, naturally aligned. */
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

/** A device of the host, as its holder found it. */
export interface HeldConfig {
  /** Its config space when it was taken, 256 or 4096 bytes. */
  readonly bytes: Uint8Array;
  readonly backing: ConfigBacking;
  /** What the host says of it, and its config space may hide. PASID width 0: none. */
  readonly facts: {
    readonly pasidWidth: number;
    readonly pasidExec: boolean;
    readonly pasidPriv: boolean;
    readonly ats: boolean;
    readonly pri: boolean;
  };
}

/** The side of a function that speaks ATS and PRI, as the PCI core and the machine know it; AtsAgent is one. */
export interface AtsLink {
  /** ATS Enable changed. */
  atsChanged(): void;
  /** Page Request was disabled by a failure or reset: nothing outstanding is answered any more. */
  dropPageRequests(): void;
  /** DmaEndpoints.invalidate, for this function. */
  invalidate(pasid: number, lo: number, hi: number, order: number, tag: number): number;
  /** DmaEndpoints.pageResponse, for this function. */
  pageResponse(pasid: number, group: number, code: number): void;
  /** DmaEndpoints.resume, for this function. */
  resume(tag: number, retry: boolean): void;
}

/** What stands behind a function: answers its BARs and follows its resets. */
export interface PciBackend {
  /** By BAR index. */
  readonly bars?: Readonly<Record<number, MmioHandler | PortHandler>>;
  /** FLR, reset of the bus it is on, D3hot to D0. Machine resets do not come through here. */
  readonly reset?: (kind: ResetKind) => void;
  /** A config write has changed the dword at `offset`, in a bit that the function itself holds; its effects are done. */
  readonly configChanged?: (offset: number) => void;
  /** Asked each time: the agent of a device is part of what it rebuilds. */
  readonly ats?: () => AtsLink;
}

/**
 * A device as the machine holds it. Snapshot units: `device` as ID and `fn` as ID.pci; `device` is `fn` itself where config
 * space is all there is (root ports). The machine resets both, then places fn with RootComplex.add.
 */
export interface PciDevice {
  readonly device: AnyDevice;
  readonly fn: PciFunction;
  readonly views: readonly DeviceView[];
  /** Its virtual functions, the first one first: ids ID.vf1 and up. */
  readonly virtual?: readonly PciDevice[];
  /** It holds state that no unit has: why it cannot be in a snapshot. */
  readonly notSaved?: string;
}

/** A kind of PCI device: the plugin record. */
export interface PciDeviceKind<C = unknown> {
  readonly name: string;
  readonly summary: string;
  readonly defaults: C;
  /** Values that the options given bring along, for those that are not given. */
  readonly presets?: (given: Partial<C>) => Partial<C>;
  readonly schema: (z: Zod) => ZodType<C>;
  /** What such a device does and this kind does not. */
  readonly limits?: readonly Limit[];
  /** Other devices can be plugged in behind it. */
  readonly bridge?: true;
  readonly create: (config: C, services: PciServices) => PciDevice;
}
