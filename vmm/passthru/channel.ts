import type { AssignedDevice, HardwareInfo } from './assigned-device.ts';
import type { InvalidationArray } from './invalidation-array.ts';

/** How page tables of a guest reach a device on its host: by iommufd, or by the container's shared virtual memory. */
export type ChannelName = 'iommufd' | 'svm';
export const CHANNELS: readonly ChannelName[] = ['iommufd', 'svm'];

/** A first stage as iommufd's VT-d data say it. */
export interface FirstStage {
  readonly pgd: bigint;
  /** 1 SRE, 2 EAFE, 4 WPE. */
  readonly flags: number;
  readonly width: number;
}

/** Where a host has a device: its own file, and that of its group. */
export interface DevicePaths {
  readonly device: string;
  readonly group: string;
}

/** An open device: its file, by which id page requests name it, and what the host says of the IOMMU behind it. */
export interface OpenedDevice {
  readonly fd: number;
  readonly id: number;
  readonly info: HardwareInfo;
}

/**
 * One way from a guest's IOMMU to its host's. Page tables, and what else is made for a device, are numbers that the channel gives;
 * those of two channels differ. Everything throws HostRefused where the host refuses.
 */
export interface Channel {
  readonly name: ChannelName;
  /** Address spaces of the guest can be mapped page by page, each in its own IOAS. */
  readonly shadows: boolean;
  open(name: string, paths: DevicePaths): OpenedDevice;
  /** Gives back what opening took, but the device's file. */
  close(device: AssignedDevice): void;
  /** Whether a number is a page table that the device may be attached to by this channel. */
  owns(device: AssignedDevice, table: number): boolean;
  /** A page table for what is mapped in an IOAS: guest RAM, or nothing. */
  paging(device: AssignedDevice, ioas: number, flags: number): number;
  /** A first stage of the guest; with `faults` its page requests come to the fault queue. */
  vtdNested(
    device: AssignedDevice,
    parent: number,
    stage: FirstStage,
    pasids: boolean,
    faults: boolean,
  ): number;
  /** A slice of the SMMU that the device is behind, for the guest's; `event` is told of what it records. */
  viommu(device: AssignedDevice, parent: number, event: (words: Uint32Array) => void): number;
  /** The identity of a device in a slice: the guest's StreamID. */
  vdevice(device: AssignedDevice, viommu: number, sid: number): number;
  /** The stage 1 of an STE, words 0 and 1, on top of a slice. */
  smmuNested(device: AssignedDevice, viommu: number, words: Uint32Array, faults: boolean): number;
  destroy(made: number): void;
  /** Attaches the requester (`pasid` 0) or a PASID; in place of what was attached. */
  attach(device: AssignedDevice, pasid: number, table: number): void;
  detach(device: AssignedDevice, pasid: number): void;
  /** Nothing gets through any more. */
  block(device: AssignedDevice): void;
  /**
   * Sends `count` invalidations from `first` on to a page table (VT-d) or slice (SMMUv3). Returns 0, or the error number, negative;
   * `done` of the array is how many were done.
   */
  send(object: number, array: InvalidationArray, first: number, count: number): number;
}
