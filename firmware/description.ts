/**
 * What the firmware is told about a machine: plain data, no machine objects. Addresses and lengths are Numbers below 2^53.
 * A machine fills in the list of tables it wants; RSDP and XSDT follow from the list (place.ts).
 */

/** One table of the list. A new table is one more member here and one more case in acpi/place.ts. */
export type AcpiTable =
  | FadtDescription
  | DsdtDescription
  | McfgDescription
  | MadtDescription
  | GtdtDescription
  | DmarDescription
  | IortDescription;

export interface AddressRange {
  readonly base: number;
  readonly length: number;
}

export interface FadtDescription {
  readonly kind: 'FADT';
  /** Absent: the machine cannot be reset through ACPI and RESET_REG_SUP stays clear. */
  readonly resetRegister?: {
    readonly space: 'memory' | 'io';
    readonly address: number;
    /** The byte that resets the machine. */
    readonly value: number;
  };
  /** IA-PC Boot Architecture Flags; each one absent is clear. */
  readonly bootArchitecture?: {
    readonly legacyDevices?: boolean;
    readonly i8042?: boolean;
    readonly vgaAbsent?: boolean;
    readonly msiUnsupported?: boolean;
    readonly cmosRtcAbsent?: boolean;
  };
  /** ARM Boot Architecture Flags; absent on machines that are not Arm. */
  readonly armBoot?: { readonly psci: boolean; readonly hvc: boolean };
}

export interface DsdtDescription {
  readonly kind: 'DSDT';
  readonly hostBridges: readonly HostBridgeDescription[];
  /** Further devices below \_SB: motherboard resources (PNP0C02), processors (ACPI0007), what an ANDD names. */
  readonly devices?: readonly NamespaceDevice[];
}

/** A PCI Express host bridge below \_SB: _HID PNP0A08, _CID PNP0A03. */
export interface HostBridgeDescription {
  /** Name segment, such as PCI0. */
  readonly name: string;
  readonly uid: number;
  readonly segment: number;
  readonly firstBus: number;
  readonly lastBus: number;
  /** Ports the bridge itself consumes, such as 0xCF8..0xCFF. */
  readonly ownPorts?: readonly AddressRange[];
  /** `at`: where in memory the ports appear, on machines whose processor has none of its own. */
  readonly ioWindows: readonly (AddressRange & { readonly at?: number })[];
  readonly memoryWindows: readonly (AddressRange & { readonly prefetchable?: boolean })[];
  /** _CCA: DMA is coherent with the processor's caches; has to be said where the processor is Arm. */
  readonly coherent?: boolean;
  /** _PRT: INTx pins of devices on the root bus to global system interrupts. Empty or absent: no _PRT. */
  readonly interruptRouting?: readonly InterruptRoute[];
}

export interface InterruptRoute {
  readonly device: number;
  /** 1 is INTA, 4 is INTD: the value of the Interrupt Pin register. */
  readonly pin: number;
  readonly gsi: number;
}

export interface NamespaceDevice {
  readonly name: string;
  /** EISA form (PNP0C02) or ACPI form (ACPI0007). */
  readonly hid: string;
  readonly uid: number;
  readonly memory?: readonly AddressRange[];
}

export interface McfgDescription {
  readonly kind: 'MCFG';
  readonly allocations: readonly {
    /** Address of bus 0 of the segment, even where firstBus is not 0 (PCI Firmware Specification: MCFG Table). */
    readonly base: number;
    readonly segment: number;
    readonly firstBus: number;
    readonly lastBus: number;
  }[];
}

export interface MadtDescription {
  readonly kind: 'MADT';
  readonly localApicAddress: number;
  /** PCAT_COMPAT: the machine also has a pair of 8259s. */
  readonly has8259: boolean;
  readonly processors: readonly { readonly uid: number; readonly apicId: number }[];
  readonly ioApics: readonly { readonly id: number; readonly address: number; readonly gsiBase: number }[];
  readonly interruptOverrides?: readonly {
    /** ISA interrupt. */
    readonly source: number;
    readonly gsi: number;
    readonly polarity: 'conforms' | 'high' | 'low';
    readonly trigger: 'conforms' | 'edge' | 'level';
  }[];
  /** A Generic Interrupt Controller in place of APICs, whose lists are empty then. */
  readonly gic?: GicDescription;
}

/** A GICv2 and its MSI frame. */
export interface GicDescription {
  readonly distributor: number;
  readonly cpuInterface: number;
  readonly processors: readonly { readonly uid: number; readonly mpidr: number }[];
  readonly messageFrames: readonly {
    readonly base: number;
    /** First interrupt id and how many. */
    readonly spiBase: number;
    readonly spiCount: number;
  }[];
}

/** Generic timers: memory-mapped ones, beside the processor's, which is absent. */
export interface GtdtDescription {
  readonly kind: 'GTDT';
  readonly blocks: readonly {
    readonly control: number;
    readonly frames: readonly { readonly number: number; readonly base: number; readonly gsi: number }[];
  }[];
}

/** One SMMUv3 with the one PCI segment before it. */
export interface IortDescription {
  readonly kind: 'IORT';
  readonly smmu: {
    readonly base: number;
    readonly coherent: boolean;
    readonly httu: 0 | 1 | 2;
    /** Wired interrupts, edge-triggered. */
    readonly gsi: {
      readonly event: number;
      readonly pri: number;
      readonly gerror: number;
      readonly sync: number;
    };
  };
  readonly rootComplex: {
    readonly segment: number;
    readonly ats: boolean;
    readonly pri: boolean;
    /** PASIDs of its functions reach the SMMU. */
    readonly pasid: boolean;
    /** Address bits of its memory requests. */
    readonly addressBits: number;
  };
  /** Regions that stay mapped one to one for a StreamID. */
  readonly reserved: readonly { readonly base: number; readonly length: number; readonly stream: number }[];
}

export interface DmarDescription {
  readonly kind: 'DMAR';
  /** Bits of DMA address the platform can address; the table holds this minus 1. */
  readonly hostAddressWidth: number;
  readonly interruptRemapping: boolean;
  readonly x2apicOptOut: boolean;
  readonly dmaControlOptIn: boolean;
  /** In any order: the builder puts types in ascending order and a segment's catch-all unit last. */
  readonly structures: readonly DmarStructure[];
}

export type DmarStructure = Drhd | Rmrr | Atsr | Rhsa | Andd | Satc | Sidp;

export interface Drhd {
  readonly type: 'DRHD';
  readonly segment: number;
  readonly base: number;
  /** The register window is 2^N pages of 4 KiB; absent is 0. */
  readonly windowOrder?: number;
  readonly includePciAll: boolean;
  readonly scopes: readonly DeviceScope[];
}

export interface Rmrr {
  readonly type: 'RMRR';
  readonly segment: number;
  readonly base: number;
  /** Last byte of the region. */
  readonly limit: number;
  readonly scopes: readonly DeviceScope[];
}

export interface Atsr {
  readonly type: 'ATSR';
  readonly segment: number;
  readonly allPorts: boolean;
  readonly scopes: readonly DeviceScope[];
}

export interface Rhsa {
  readonly type: 'RHSA';
  readonly drhdBase: number;
  readonly proximityDomain: number;
}

export interface Andd {
  readonly type: 'ANDD';
  readonly deviceNumber: number;
  /** Full path in the namespace, such as \_SB.UAR0. */
  readonly name: string;
}

export interface Satc {
  readonly type: 'SATC';
  readonly segment: number;
  readonly atcRequired: boolean;
  readonly scopes: readonly DeviceScope[];
}

export interface Sidp {
  readonly type: 'SIDP';
  readonly segment: number;
  readonly scopes: readonly (DeviceScope & { readonly properties: SidpProperties })[];
}

export interface SidpProperties {
  readonly noNested?: boolean;
  readonly noPwsnp?: boolean;
  readonly noPgsnp?: boolean;
  readonly atcHardened?: boolean;
  readonly atcRequired?: boolean;
}

export interface PathElement {
  readonly device: number;
  readonly fn: number;
}

interface ScopeLocation {
  readonly startBus: number;
  /** From a device on startBus down through bridges; one element for a device on startBus itself. */
  readonly path: readonly PathElement[];
}

export type DeviceScope = ScopeLocation &
  (
    | { readonly type: 'endpoint' | 'bridge' }
    /** IOAPIC id as in the MADT, HPET number, or ACPI device number of an ANDD. */
    | { readonly type: 'ioapic' | 'hpet' | 'namespace'; readonly enumerationId: number }
  );
