import type { HostBridgeId } from '../../../devices/pci/host-bridge.ts';
import type { RootComplex } from '../../../devices/pci/root-complex.ts';
import type { AcpiRegion, PlacedTable } from '../../../firmware/acpi/place.ts';
import type { DeviceScope } from '../../../firmware/description.ts';
import type { AnyDevice, DeviceView } from '../../bus/device.ts';
import type { DmaTranslator } from '../../bus/dma.ts';
import type { InterruptTarget } from '../../bus/interrupts.ts';
import type { IommuFirmware } from '../../bus/iommu.ts';
import type { SystemMemory } from '../../bus/memory.ts';
import type { MmioRange } from '../../bus/mmio.ts';
import type { PortBus, PortRange } from '../../bus/ports.ts';
import type { VirtualClock } from '../../core/clock.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { Tracer } from '../../trace/tracer.ts';
import type { PageWalker } from '../../vcpu/process/page-walk.ts';
import type { CpuInterrupts } from '../../vcpu/run/cpu-interrupts.ts';
import type { Requester } from '../requesters.ts';

/** A stretch of an address space. */
export interface Stretch {
  readonly base: number;
  readonly size: number;
}

/** Where a machine type has what; addresses are those of QEMU's machine of that name. */
export interface AddressMap {
  readonly ramBase: number;
  /** RAM that fits below the devices; of more than that, `lowRamOfMore` bytes lie there and the rest from 4 GiB on. */
  readonly mostLowRam: number;
  readonly lowRamOfMore: number;
  readonly ecam: Stretch;
  /** Windows that firmware assigns BARs from. */
  readonly io: Stretch;
  readonly mmio32: Stretch;
  readonly mmio64: Stretch;
  /** Where an OS of this machine looks for the RSDP, if the guest image leaves it free. */
  readonly biosArea?: { readonly base: number; readonly end: number };
  /** ACPI tables and other firmware data take so much of the top of RAM. */
  readonly firmwareBytes: number;
}

export interface PlatformServices {
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  readonly memory: SystemMemory;
  readonly ports: PortBus;
}

/** What a machine description chooses of its platform. */
export interface PlatformOptions {
  /** Of virt: devices above 4 GiB. */
  readonly highmem: boolean;
}

/** A region that firmware keeps mapped for a device (RMRR). */
export interface ReservedRegion {
  readonly base: number;
  /** Last byte. */
  readonly limit: number;
  /** Devices on the root bus or below root ports, from the root bus down. */
  readonly scopes: readonly DeviceScope[];
  /** Requester id of the device, as buses are numbered. */
  readonly requester: number;
}

export interface AcpiInput {
  readonly iommu: IommuFirmware | undefined;
  readonly reserved: readonly ReservedRegion[];
}

/** A device of the platform itself, under its id. */
export interface OwnedDevice {
  readonly id: string;
  readonly device: AnyDevice;
  readonly views: readonly DeviceView[];
}

/** What a machine type has around RAM, PCI and the IOMMU: interrupt controllers, fixed addresses, ACPI tables. */
export interface Platform {
  readonly map: AddressMap;
  /** Of the CPU. */
  readonly interrupts: CpuInterrupts;
  /** Where messages of bus masters end. */
  readonly messages: InterruptTarget;
  /** What stands between bus masters and memory on a machine without IOMMU. */
  readonly untranslated: DmaTranslator;
  /** INTx of the root bus: device and pin (1..4) to an input of the interrupt controller. */
  readonly gsiOf: (device: number, pin: number) => number;
  /** The same as firmware leaves it in Interrupt Line registers: what a driver hands to its OS. */
  readonly interruptLine: (device: number, pin: number) => number;
  /** How the processor walks page tables; loaded for guests with user processes only. */
  pageWalker(ram: GuestRam): Promise<PageWalker>;
  readonly hostBridge: HostBridgeId;
  /** Called once, when the translator of bus masters is known. */
  connect(translator: DmaTranslator): void;
  /** The interrupt controller by its id, and how many inputs setPin takes. */
  readonly inputs: { readonly of: string; readonly count: number };
  /** An input of the interrupt controller. */
  setPin(pin: number, level: boolean): void;
  readonly devices: readonly OwnedDevice[];
  ranges(root: RootComplex): readonly MmioRange[];
  ports(root: RootComplex): readonly PortRange[];
  /** ACPI tables at their places. */
  tables(input: AcpiInput, region: AcpiRegion): PlacedTable[];
  /** How interrupts are routed and what is pending. */
  readonly irqView: DeviceView;
  /** Requesters that are no PCI functions. */
  readonly requesters: readonly Requester[];
}
