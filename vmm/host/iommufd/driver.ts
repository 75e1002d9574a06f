import type { Interval } from './intervals.ts';
import type { UserArray, UserData } from './user-data.ts';

/** What a mapping allows the device. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
}

/** A page table that the host owns. */
export interface PagingDomain {
  readonly kind: 'paging';
  /** The inputs that the table can translate. */
  readonly aperture: Interval;
  /** Bytes of its smallest page: a power of two. */
  readonly leastPage: bigint;
  readonly dirtyTracking: boolean;
  readonly nestParent: boolean;
  /** `length` and both addresses are multiples of `leastPage`. `physical` is contiguous. May throw a Refusal; then nothing is mapped. */
  map(iova: bigint, physical: bigint, length: bigint, protection: Protection): void;
  /** Unmaps whole former `map` calls. */
  unmap(iova: bigint, length: bigint): void;
  setDirtyTracking(enable: boolean): void;
  /** Calls `dirty` for each run of bytes that was written; clears unless told not to. */
  readDirty(
    iova: bigint,
    length: bigint,
    clear: boolean,
    dirty: (iova: bigint, length: bigint) => void,
  ): void;
  free(): void;
}

/** A page table that the user owns, on top of a parent or of a vIOMMU's. */
export interface NestedDomain {
  readonly kind: 'nested';
  /** `undefined`: no user invalidations (EOPNOTSUPP). Sets how many were done also where it throws. */
  invalidate?(array: UserArray): void;
  free(): void;
}

export type Domain = PagingDomain | NestedDomain;

/** What a driver keeps for a vIOMMU object. */
export interface DriverViommu {
  /** For `vEVENTQ`: the bytes of one event, by type; `undefined` = unsupported type. */
  eventBytes(type: number): number | undefined;
  /** Set by the vIOMMU object: passes an event of a type on to its queue, where it has one. */
  deliver?: (type: number, bytes: Uint8Array) => void;
  allocNested(device: HostDevice, flags: number, data: UserData): NestedDomain;
  invalidate?(array: UserArray, deviceOf: (virtId: bigint) => HostDevice | undefined): void;
  /** A device gets its virtual id. */
  attachVdevice?(device: HostDevice, virtId: bigint): void;
  detachVdevice?(device: HostDevice, virtId: bigint): void;
  /** Hardware queues: absent = none (EOPNOTSUPP). */
  hwQueue?: {
    supports(type: number): boolean;
    /** Throws where index or order are wrong. Returns the index of a queue that must outlive this one. */
    open(type: number, index: number, physical: bigint, length: bigint): number | undefined;
    close(index: number): void;
  };
  /** Bytes that user space may map, and where the driver tells user space their offset. */
  readonly page?: Uint8Array;
  published?(offset: bigint, length: number): void;
  free(): void;
}

/** The host's driver of one kind of IOMMU. Everything may throw a Refusal. */
export interface IommuDriver {
  readonly name: string;
  hwInfo(device: HostDevice): { readonly type: number; readonly bytes: Uint8Array } | undefined;
  /** Other types of information than the default that it offers. */
  offersInfo(device: HostDevice, type: number): boolean;
  allocPaging(device: HostDevice, flags: number, data: UserData | undefined): PagingDomain;
  allocNested?(device: HostDevice, parent: PagingDomain, flags: number, data: UserData): NestedDomain;
  allocViommu?(
    device: HostDevice,
    type: number,
    parent: PagingDomain,
    data: UserData | undefined,
  ): DriverViommu;
  /** `pasid` 0: the requester itself. Replaces what was attached. */
  attach(device: HostDevice, pasid: number, domain: Domain): void;
  /** The requester or PASID is blocked again. */
  detach(device: HostDevice, pasid: number): void;
  /** Page requests of the device may come. Absent = no page requests. */
  enableFaults?(device: HostDevice): void;
  disableFaults?(device: HostDevice): void;
  respond?(device: HostDevice, fault: PageRequest, success: boolean): void;
}

export interface PageRequest {
  readonly pasid: number | undefined;
  readonly group: number;
  readonly last: boolean;
  readonly permissions: number;
  readonly address: bigint;
}

/** Devices that cannot be told apart or kept apart: one owner for all. */
export interface HostGroup {
  readonly number: number;
  /** The iommufd (or kernel driver) that owns the group's DMA. */
  owner: object | undefined;
}

/** Where page requests of a bound device go. */
export interface DeviceSink {
  /** A whole group. False: nobody asked for them, and the driver answers. May throw a Refusal: then it answers, too. */
  report(pasid: number, requests: readonly PageRequest[]): boolean;
}

/** A device of the host, as its IOMMU sees it. */
export interface HostDevice {
  /** Set while the device is bound to an iommufd. */
  sink?: DeviceSink | undefined;
  readonly name: string;
  readonly group: HostGroup;
  readonly driver: IommuDriver;
  /** Which physical IOMMU it is behind: compared by identity. */
  readonly unit: object;
  /** Ranges of addresses that it cannot use. */
  readonly reserved: readonly Interval[];
  /** log2 of its PASIDs; 0: none. */
  readonly pasidWidth: number;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  readonly ats: boolean;
  readonly dirtyTracking: boolean;
  readonly coherent: boolean;
  readonly isolatedMsi: boolean;
  /** A VF whose page requests come through its PF. */
  readonly sharedPri: boolean;
}
