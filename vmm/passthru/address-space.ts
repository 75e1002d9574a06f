import {
  HWPT_DATA,
  HWPT_FLAGS,
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  MAP_FLAGS,
  NR,
} from '../host/iommufd/abi.ts';
import { PAGE_SIZE } from '../host/kernel/host-memory.ts';
import { ATTACH, ATTACH_PASID, BIND, DETACH, VFIO } from '../host/vfio/abi.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AssignedDevice } from './assigned-device.ts';
import type { Channel, DevicePaths, FirstStage, OpenedDevice } from './channel.ts';
import { hardwareInfo } from './hardware-info.ts';
import { type HostCalls, HostRefused } from './host-calls.ts';
import type { InvalidationArray } from './invalidation-array.ts';
import { type EventQueue, eventsOf } from './smmu-event-queue.ts';

const FOUR_GIB = 1n << 32n;
const VTD_S1_BYTES = 24;
/** `enum iommu_viommu_type` (Linux, include/uapi/linux/iommufd.h). */
const ARM_SMMUV3 = 1;
/** Ids of iommufd are the lowest that are free: numbers of other channels begin here. */
export const FIRST_OTHER = 2 ** 30;

/**
 * The address spaces of a guest on the host: its RAM at the addresses that the guest knows, one that is empty, and the page tables
 * of devices on top of them. What goes by iommufd goes by it.
 */
export class AddressSpace implements Channel {
  readonly name = 'iommufd';
  readonly shadows = true;
  readonly fd: number;
  readonly calls: HostCalls;
  /** Guest RAM: IOVA = guest physical address. */
  readonly ioas: number;
  /** Nothing: what is blocked is attached to it. */
  readonly empty: number;
  readonly #view: DataView;
  readonly #ramAt: bigint;
  #faults: { readonly id: number; readonly fd: number } | undefined;
  /** By slice of an SMMUv3. */
  readonly #events = new Map<number, EventQueue>();

  /** @throws HostRefused */
  constructor(calls: HostCalls, ram: GuestRam) {
    this.calls = calls;
    this.fd = calls.open('/dev/iommu');
    this.ioas = this.newIoas();
    this.empty = this.newIoas();
    this.#ramAt = BigInt(ram.base);
    this.map(this.ioas, BigInt(ram.base), BigInt(ram.base), BigInt(ram.size), true);
    if (ram.highSize > 0) this.map(this.ioas, FOUR_GIB, BigInt(ram.highAt), BigInt(ram.highSize), true);
    this.#view = calls.view;
  }

  /** Where the host has the first byte of guest RAM; the others follow it. */
  get physical(): number {
    return Number(this.calls.sys.process.frame(this.#ramAt, true)) * PAGE_SIZE;
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

  /** The queue of page requests is given back, if there is one. Returns its descriptor. @throws HostRefused */
  dropFaults(): number | undefined {
    const queue = this.#faults;
    if (queue === undefined) return undefined;
    this.#faults = undefined;
    this.#dropQueue(queue);
    return queue.fd;
  }

  /** A queue whose file is open is in use. */
  #dropQueue({ id, fd }: EventQueue): void {
    this.calls.sys.close(fd);
    this.destroy(id);
  }

  /** A slice goes with the queue of its events. */
  destroy(id: number): void {
    const events = this.#events.get(id);
    if (events !== undefined) {
      this.#events.delete(id);
      this.#dropQueue(events);
    }
    this.calls.ioctl(this.fd, NR.DESTROY, IOMMU_DESTROY, { id });
  }

  // Devices.

  open(_name: string, { device }: DevicePaths): OpenedDevice {
    const { calls } = this;
    const fd = calls.open(device);
    try {
      const { out_devid: id } = calls.ioctl(fd, VFIO.BIND_IOMMUFD, BIND, { iommufd: this.fd }, 16);
      return { fd, id, info: hardwareInfo(calls, this.fd, id) };
    } catch (cause) {
      calls.sys.close(fd);
      throw cause;
    }
  }

  close(): void {}

  owns(_device: AssignedDevice, table: number): boolean {
    return table < FIRST_OTHER;
  }

  attach({ fd }: AssignedDevice, pasid: number, pt_id: number): void {
    const flags = pasid === 0 ? 0 : ATTACH_PASID;
    this.calls.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, ATTACH, { flags, pt_id, pasid });
  }

  detach({ fd }: AssignedDevice, pasid: number): void {
    const flags = pasid === 0 ? 0 : ATTACH_PASID;
    this.calls.ioctl(fd, VFIO.DETACH_IOMMUFD_PT, DETACH, { flags, pasid });
  }

  block(device: AssignedDevice): void {
    this.attach(device, 0, this.empty);
  }

  send(object: number, array: InvalidationArray, first: number, count: number): number {
    return array.send(object, first, count);
  }

  // Slices of an SMMUv3.

  /** Events of the slice are the guest's: they name its StreamIDs already. */
  viommu({ id }: AssignedDevice, parent: number, event: (words: Uint32Array) => void): number {
    const { calls, fd } = this;
    const { out_viommu_id: viommu } = calls.ioctl(fd, NR.VIOMMU_ALLOC, IOMMU_VIOMMU_ALLOC, {
      type: ARM_SMMUV3,
      dev_id: id,
      hwpt_id: parent,
    });
    try {
      this.#events.set(viommu, eventsOf(calls, fd, viommu, event));
    } catch (cause) {
      this.destroy(viommu);
      throw cause;
    }
    return viommu;
  }

  vdevice({ id }: AssignedDevice, viommu: number, sid: number): number {
    return this.calls.ioctl(this.fd, NR.VDEVICE_ALLOC, IOMMU_VDEVICE_ALLOC, {
      viommu_id: viommu,
      dev_id: id,
      virt_id: BigInt(sid),
    }).out_vdevice_id;
  }

  /** The first of the page tables that the device can be attached to, made anew where none suits. @throws HostRefused */
  suiting(device: AssignedDevice, known: number[], make: () => number): number {
    for (const hwpt of known) {
      if (!device.channel.owns(device, hwpt)) continue;
      try {
        device.attach(0, hwpt);
        return hwpt;
      } catch (cause) {
        if (!(cause instanceof HostRefused) || cause.errno !== 'EINVAL') throw cause;
      }
    }
    const made = make();
    known.push(made);
    device.attach(0, made);
    return made;
  }
}
