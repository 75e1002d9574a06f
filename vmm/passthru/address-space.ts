import {
  HWPT_DATA,
  HWPT_FLAGS,
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  MAP_FLAGS,
  NR,
} from '../host/iommufd/abi.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AssignedDevice } from './assigned-device.ts';
import { type HostCalls, HostRefused } from './host-calls.ts';

const FOUR_GIB = 1n << 32n;
const VTD_S1_BYTES = 24;

/** A first stage as iommufd's VT-d data say it. */
export interface FirstStage {
  readonly pgd: bigint;
  /** 1 SRE, 2 EAFE, 4 WPE. */
  readonly flags: number;
  readonly width: number;
}

/**
 * The address spaces of a guest on the host: its RAM at the addresses that the guest knows, one that is empty, and the page tables
 * of devices on top of them.
 */
export class AddressSpace {
  readonly fd: number;
  readonly calls: HostCalls;
  /** Guest RAM: IOVA = guest physical address. */
  readonly ioas: number;
  /** Nothing: what is blocked is attached to it. */
  readonly empty: number;
  readonly #view: DataView;
  #faults: { readonly id: number; readonly fd: number } | undefined;

  /** @throws HostRefused */
  constructor(calls: HostCalls, ram: GuestRam) {
    this.calls = calls;
    this.fd = calls.open('/dev/iommu');
    this.ioas = this.newIoas();
    this.empty = this.newIoas();
    this.map(this.ioas, BigInt(ram.base), BigInt(ram.base), BigInt(ram.size), true);
    if (ram.highSize > 0) this.map(this.ioas, FOUR_GIB, BigInt(ram.highAt), BigInt(ram.highSize), true);
    this.#view = calls.view;
  }

  newIoas(): number {
    return this.calls.ioctl(this.fd, NR.IOAS_ALLOC, IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  }

  /** @throws HostRefused */
  map(ioas: number, iova: bigint, address: bigint, length: bigint, writable: boolean): void {
    const flags = MAP_FLAGS.FIXED_IOVA | MAP_FLAGS.READABLE | (writable ? MAP_FLAGS.WRITEABLE : 0);
    const values = { flags, ioas_id: ioas, user_va: address, length, iova };
    this.calls.ioctl(this.fd, NR.IOAS_MAP, IOMMU_IOAS_MAP, values);
  }

  /** @throws HostRefused */
  unmap(ioas: number, iova: bigint, length: bigint): void {
    this.calls.ioctl(this.fd, NR.IOAS_UNMAP, IOMMU_IOAS_UNMAP, { ioas_id: ioas, iova, length });
  }

  /** A page table for what is mapped in an IOAS; with `faults` page requests come to the fault queue. @throws HostRefused */
  paging(device: AssignedDevice, ioas: number, more: number, faults = false): number {
    const flags = more | (faults ? HWPT_FLAGS.FAULT_ID_VALID : 0);
    const values = { flags, dev_id: device.id, pt_id: ioas, fault_id: faults ? this.faults.id : 0 };
    return this.calls.ioctl(this.fd, NR.HWPT_ALLOC, IOMMU_HWPT_ALLOC, values).out_hwpt_id;
  }

  /** A first stage of the guest on top of a parent; with `faults` its page requests come to the fault queue. @throws HostRefused */
  vtdNested(device: AssignedDevice, parent: number, stage: FirstStage, pasids: boolean, faults: boolean) {
    const { calls } = this;
    const v = this.#view;
    v.setBigUint64(calls.data, BigInt(stage.flags), true);
    v.setBigUint64(calls.data + 8, stage.pgd, true);
    v.setUint32(calls.data + 16, stage.width, true);
    v.setUint32(calls.data + 20, 0, true);
    return this.#nested(device, parent, HWPT_DATA.VTD_S1, VTD_S1_BYTES, pasids, faults);
  }

  /** The stage 1 of an STE, words 0 and 1, on top of a vIOMMU. @throws HostRefused */
  smmuNested(device: AssignedDevice, viommu: number, words: Uint32Array, faults: boolean): number {
    for (let i = 0; i < 4; i++) this.#view.setUint32(this.calls.data + 4 * i, words[i]!, true);
    return this.#nested(device, viommu, HWPT_DATA.ARM_SMMUV3, 16, false, faults);
  }

  #nested(
    device: AssignedDevice,
    parent: number,
    data_type: number,
    data_len: number,
    pasids: boolean,
    faults: boolean,
  ): number {
    const flags = (pasids ? HWPT_FLAGS.PASID : 0) | (faults ? HWPT_FLAGS.FAULT_ID_VALID : 0);
    const { out_hwpt_id } = this.calls.ioctl(this.fd, NR.HWPT_ALLOC, IOMMU_HWPT_ALLOC, {
      flags,
      dev_id: device.id,
      pt_id: parent,
      data_type,
      data_len,
      data_uptr: BigInt(this.calls.data),
      fault_id: faults ? this.faults.id : 0,
    });
    return out_hwpt_id;
  }

  /** The queue of page requests; made when it is first needed. @throws HostRefused */
  get faults(): { readonly id: number; readonly fd: number } {
    if (this.#faults === undefined) {
      const out = this.calls.ioctl(this.fd, NR.FAULT_QUEUE_ALLOC, IOMMU_FAULT_QUEUE_ALLOC, {});
      this.#faults = { id: out.out_fault_id, fd: out.out_fault_fd };
    }
    return this.#faults;
  }

  destroy(id: number): void {
    this.calls.ioctl(this.fd, NR.DESTROY, IOMMU_DESTROY, { id });
  }

  /** The first of the page tables that the device can be attached to, made anew where none suits. @throws HostRefused */
  suiting(device: AssignedDevice, known: number[], make: () => number): number {
    for (const hwpt of known) {
      try {
        device.attach(0, hwpt);
        return hwpt;
      } catch (cause) {
        if (!(cause instanceof HostRefused) || cause.errno !== 'EINVAL') throw cause;
      }
    }
    const made = make();
    device.attach(0, made);
    known.push(made);
    return made;
  }
}
