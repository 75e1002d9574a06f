import { TsvmmError } from '../../core/errors.ts';
import type {
  DeviceSink,
  Domain,
  HostDevice,
  HostGroup,
  IommuDriver,
  PageRequest,
} from '../iommufd/driver.ts';
import type { Interval } from '../iommufd/intervals.ts';
import type { PhysicalUnit } from './unit.ts';
import type { VtdInterrupts } from './vtd-interrupts.ts';

/** What the host's IOMMU driver switches in a function's configuration space. Absent = somebody else did. */
export interface FunctionControls {
  ats?(enable: boolean): void;
  pri?(enable: boolean): void;
  pasid?(enable: boolean): void;
}

export interface PhysicalDeviceOptions {
  readonly name: string;
  /** Requester id: bus, device and function. */
  readonly requester: number;
  readonly driver: PhysicalDriver;
  /** A group of its own unless told otherwise. */
  readonly group?: PhysicalGroup;
  /** What its PASID capability says: log2 of its PASIDs; 0: none. */
  readonly pasidWidth?: number;
  readonly pasidExec?: boolean;
  readonly pasidPriv?: boolean;
  /** It has an address translation cache, and may use it. */
  readonly ats?: boolean;
  readonly pri?: boolean;
  /** It can wait for a transaction that is held; no PCIe function should. */
  readonly stalls?: boolean;
  /** Ranges of addresses that it cannot use, besides those of the platform. */
  readonly reserved?: readonly Interval[];
  readonly coherent?: boolean;
  readonly isolatedMsi?: boolean;
  readonly sharedPri?: boolean;
  readonly controls?: FunctionControls;
}

/** What a driver of a physical IOMMU offers beyond iommufd. */
export interface PhysicalDriver extends IommuDriver {
  readonly unit: PhysicalUnit;
  /** What the unit can do for devices behind it. */
  readonly features: UnitFeatures;
  /** Whose messages pass through the unit; absent: those of functions behind it end elsewhere. */
  readonly interrupts?: VtdInterrupts;
  /** A device is there: from now on it is blocked until something is attached. Throws ENOMEM. */
  probe(device: PhysicalDevice): void;
  /** The device is gone. */
  release(device: PhysicalDevice): void;
  /** Takes the unit down, as before a restart of the host: nothing is attached any more. */
  stop(): void;
}

/** What a unit offers, and what a device behind it has of that. */
abstract class Features {
  readonly pasidWidth: number;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  readonly ats: boolean;
  readonly pri: boolean;
  /** Faulting transactions can be held until somebody has done something about them. */
  readonly stalls: boolean;
  readonly dirtyTracking: boolean;
  /** A device sends the interrupts that the host has programmed for it, and no others. */
  readonly isolatedMsi: boolean;
  /** Addresses that no device behind such a unit can use. */
  readonly reserved: readonly Interval[];

  /** What a device can do, and its unit too. */
  constructor(own: PhysicalDeviceOptions, unit: UnitFeatures) {
    this.pasidWidth = Math.min(own.pasidWidth ?? 0, unit.pasidWidth);
    this.pasidExec = (own.pasidExec ?? false) && unit.pasidExec;
    this.pasidPriv = (own.pasidPriv ?? false) && unit.pasidPriv;
    this.ats = (own.ats ?? false) && unit.ats;
    this.pri = (own.pri ?? false) && this.ats && unit.pri;
    this.stalls = (own.stalls ?? false) && unit.stalls;
    this.dirtyTracking = unit.dirtyTracking;
    this.isolatedMsi = (own.isolatedMsi ?? true) && unit.isolatedMsi;
    this.reserved = [...unit.reserved, ...(own.reserved ?? [])];
  }
}
export type UnitFeatures = Readonly<Features>;

/** Devices that cannot be told apart or kept apart. What is attached to one is attached to all. */
export class PhysicalGroup implements HostGroup {
  readonly number: number;
  owner: object | undefined;
  readonly members: PhysicalDevice[] = [];

  constructor(number: number) {
    this.number = number;
  }

  join(device: PhysicalDevice): void {
    if (!this.members.includes(device)) this.members.push(device);
  }

  /** Those that what is attached to the PASID of one of them concerns: functions without PASIDs cannot send any. */
  membersWith(device: PhysicalDevice, pasid: number): readonly PhysicalDevice[] {
    if (pasid === 0) return this.members;
    return this.members.filter((member) => member === device || member.pasidWidth > 0);
  }

  leave(device: PhysicalDevice): void {
    const at = this.members.indexOf(device);
    if (at >= 0) this.members.splice(at, 1);
  }
}

/** A PCIe function of the host, as its IOMMU's driver knows it. */
export class PhysicalDevice extends Features implements HostDevice {
  readonly name: string;
  readonly requester: number;
  readonly driver: PhysicalDriver;
  readonly unit: PhysicalUnit;
  readonly group: PhysicalGroup;
  readonly coherent: boolean;
  readonly sharedPri: boolean;
  readonly controls: FunctionControls;
  sink: DeviceSink | undefined;
  /** What is attached, by PASID; 0 is the requester itself. The driver's. */
  readonly attached = new Map<number, Domain>();
  /** What is attached to the requester brings PASIDs of its own: a nested table of an SMMU. The driver's. */
  pasidsAreUsers = false;
  /** Groups of page requests that are not complete. The driver's. */
  readonly openGroups = new Map<number, PageRequest[]>();

  /** @throws TsvmmError where its group is behind another unit */
  constructor(options: PhysicalDeviceOptions) {
    const { driver } = options;
    super(options, driver.features);
    this.name = options.name;
    this.requester = options.requester;
    this.driver = driver;
    this.unit = driver.unit;
    this.group = options.group ?? new PhysicalGroup(options.requester);
    this.coherent = options.coherent ?? true;
    this.sharedPri = options.sharedPri ?? false;
    this.controls = options.controls ?? {};
    const other = this.group.members.find((member) => member.unit !== this.unit);
    if (other !== undefined) {
      throw new TsvmmError({
        code: 'group-of-two-units',
        object: this.name,
        why: `its group has ${other.name}, which is behind ${other.unit.id}, not ${this.unit.id}`,
        mend: 'devices of one group are behind one IOMMU: correct the topology',
      });
    }
    this.group.join(this);
  }
}
