import { HW_INFO_TYPE, IOCTL_TYPE } from '../iommufd/abi.ts';
import type { ContainerExtension, ContainerMember, IommufdHost } from '../iommufd/context.ts';
import type { IommufdDevice } from '../iommufd/device.ts';
import type { HostDevice } from '../iommufd/driver.ts';
import type { FaultQueue } from '../iommufd/fault-queue.ts';
import type { Ioas } from '../iommufd/ioas.ts';
import { Iommufd } from '../iommufd/iommufd.ts';
import { compatIoas } from '../iommufd/vfio-compat.ts';
import { demand, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import { encode } from '../kernel/struct.ts';
import { transact } from '../kernel/undo.ts';
import { DEVICE_FLAG_SVM, PASID_ONLY, SVM_BIND, SVM_NR } from './abi.ts';
import { ArmDevice } from './arm.ts';
import { IntelDevice } from './intel.ts';
import { type SvmDevice, type Undo, unitInfo } from './member.ts';
import { type PageInfo, readBind, readInvalidate, readUnbind, type TableInfo } from './request.ts';
import { HostTables } from './tables.ts';
import { TaskSpace } from './task.ts';

type Bound = TableInfo | PageInfo;

/**
 * `/dev/vfio/vfio`: VFIO's container, with shared virtual memory. What is bound is bound for all devices of the container, those that
 * come later, too. Mapping and unmapping work as ever: that is how a guest of another architecture is served.
 */
export class SvmContainer extends Iommufd implements ContainerExtension {
  readonly #tables: HostTables;
  readonly #devices = new Map<ContainerMember, SvmDevice>();
  #table: TableInfo | undefined;
  readonly #pages = new Map<number, PageInfo>();
  readonly #tasks = new Map<number, TaskSpace>();
  /** PASIDs that somebody released and of which requests may still be on the way. */
  readonly #unclean = new Set<number>();

  constructor(host: IommufdHost, opener: Process) {
    super(host, opener);
    this.#tables = new HostTables(this.context);
    this.context.extension = this;
  }

  override ioctl(caller: Process, word: number, argument: bigint): number {
    if (word >>> 8 === IOCTL_TYPE) {
      switch (word & 0xff) {
        case SVM_NR.BIND:
          this.#bind(caller, argument);
          return 0;
        case SVM_NR.UNBIND:
          this.#unbind(caller, argument);
          return 0;
        case SVM_NR.INVALIDATE:
          this.#invalidate(caller, argument);
          return 0;
      }
    }
    return super.ioctl(caller, word, argument);
  }

  // Devices.

  deviceFlags(host: HostDevice): number {
    const info = unitInfo({ host });
    const nests =
      (info.type === HW_INFO_TYPE.INTEL_VTD && IntelDevice.nests(info)) ||
      (info.type === HW_INFO_TYPE.ARM_SMMUV3 && ArmDevice.nests(info));
    return nests ? DEVICE_FLAG_SVM : 0;
  }

  /** A device came to the container: what is bound is bound for it, too. Throws what binding refuses. */
  joined(member: ContainerMember): void {
    const device = this.context.objects.find(member.id);
    // One whose driver does its DMA in software has no page tables.
    if (device?.kind !== 'device') return;
    const one = this.#newDevice(member, device as IommufdDevice);
    if (one === undefined) {
      const bound = this.#table !== undefined || this.#pages.size > 0 || this.#tasks.size > 0;
      demand(!bound, 'EOPNOTSUPP', 'its IOMMU does not do what is bound in the container');
      return;
    }
    try {
      transact((undo) => {
        if (this.#table !== undefined) {
          one.checkTable(this.#table);
          one.bindTable(this.#table, undo);
        }
        for (const page of this.#pages.values()) {
          one.checkPage(page);
          one.bindPage(page, undo);
        }
        for (const [pasid, { ioas }] of this.#tasks) one.bindTask(pasid, ioas, undo);
      });
    } catch (cause) {
      one.leave();
      throw cause;
    }
    one.settle();
    this.#devices.set(member, one);
  }

  /** A device goes, and with the last one all that was bound. */
  left(member: ContainerMember): void {
    this.#devices.get(member)?.leave();
    this.#devices.delete(member);
    if (this.#devices.size > 0) return;
    this.#setTable(undefined);
    for (const pasid of [...this.#pages.keys()]) this.#setPage(pasid, undefined);
    for (const [pasid, task] of [...this.#tasks]) this.#endTask(pasid, task);
    this.#unclean.clear();
  }

  #newDevice(member: ContainerMember, device: IommufdDevice): SvmDevice | undefined {
    const parts = { tables: this.#tables, member, device, ioas: compatIoas(this.context) };
    const { type } = unitInfo(device);
    if (type === HW_INFO_TYPE.INTEL_VTD) return new IntelDevice(parts);
    return type === HW_INFO_TYPE.ARM_SMMUV3 ? new ArmDevice(parts) : undefined;
  }

  #all(): readonly SvmDevice[] {
    demand(this.#devices.size > 0, 'ENODEV', 'the container has no device with an IOMMU that binds');
    return [...this.#devices.values()];
  }

  // Binding.

  /** Throws EFAULT, EINVAL, E2BIG, EOVERFLOW, ENODEV, EBUSY, ENOSPC, and what the IOMMUs refuse. */
  #bind(caller: Process, argument: bigint): void {
    const request = readBind(caller, argument);
    const devices = this.#all();
    switch (request.kind) {
      case 'table': {
        const { replace } = request;
        const info = { ...request.info, fault: this.#faultQueue(request.fault) };
        demand(
          this.#tasks.size === 0,
          'EBUSY',
          'PASIDs of the host are bound: a table has PASIDs of its own',
        );
        demand(replace || this.#table === undefined, 'EBUSY', 'a PASID table is bound');
        for (const device of devices) device.checkTable(info);
        const out = caller.bytes(argument + BigInt(SVM_BIND.fields.out_viommu_id.at), 4, true);
        this.#forAll(devices, (device, undo) => device.bindTable(info, undo));
        this.#setTable(info);
        new DataView(out.buffer, out.byteOffset, out.length).setUint32(0, devices[0]!.viommu, true);
        return;
      }
      case 'page': {
        const { replace } = request;
        const info = { ...request.info, fault: this.#faultQueue(request.fault) };
        const { pasid } = info;
        demand(!this.#unclean.has(pasid), 'EBUSY', UNCLEAN(pasid));
        demand(!this.#tasks.has(pasid), 'EBUSY', `PASID ${pasid} is that of a process`);
        demand(replace || !this.#pages.has(pasid), 'EBUSY', `a page table is bound to PASID ${pasid}`);
        for (const device of devices) device.checkPage(info);
        this.#forAll(devices, (device, undo) => device.bindPage(info, undo));
        this.#setPage(pasid, info);
        return;
      }
      case 'task':
        this.#bindTask(caller, request.at, devices);
    }
  }

  /** Throws ENOENT. */
  #faultQueue(id: number): FaultQueue | undefined {
    return id === 0 ? undefined : this.context.get<FaultQueue>(id, ['fault']);
  }

  /** What is bound keeps its fault queue. */
  #setTable(info: TableInfo | undefined): void {
    exchange(this.#table, info);
    this.#table = info;
  }

  #setPage(pasid: number, info: PageInfo | undefined): void {
    exchange(this.#pages.get(pasid), info);
    if (info === undefined) this.#pages.delete(pasid);
    else this.#pages.set(pasid, info);
  }

  /** Every device, or none. */
  #forAll(devices: readonly SvmDevice[], work: (device: SvmDevice, undo: Undo) => void): void {
    transact((undo) => {
      for (const device of devices) work(device, undo);
    });
    for (const device of devices) device.settle();
  }

  #bindTask(caller: Process, at: bigint, devices: readonly SvmDevice[]): void {
    demand(this.#table === undefined, 'EBUSY', 'a PASID table is bound, and PASIDs are its owner’s');
    const bound = [...this.#tasks.values()].some(({ process }) => process === caller);
    demand(!bound, 'EBUSY', 'the caller’s address space is bound');
    const pasid = this.#freePasid(Math.min(...devices.map(({ pasidWidth }) => pasidWidth)));
    transact((undo) => {
      const ioas = this.#tables.ioas();
      undo(() => this.#tables.drop(ioas));
      const task = this.#space(caller, ioas);
      undo(() => task.end());
      for (const device of devices) device.bindTask(pasid, ioas, undo);
      caller.bytes(at, PASID_ONLY.bytes, true).set(encode(PASID_ONLY, { pasid }));
      this.#tasks.set(pasid, task);
    });
    for (const device of devices) device.settle();
  }

  #space(caller: Process, ioas: Ioas): TaskSpace {
    return new TaskSpace(this.context, caller, ioas);
  }

  #freePasid(width: number): number {
    demand(width > 0, 'EOPNOTSUPP', 'a device of the container has no PASIDs');
    for (let pasid = 1; pasid < 2 ** width; pasid++) {
      if (!this.#tasks.has(pasid) && !this.#pages.has(pasid) && !this.#unclean.has(pasid)) return pasid;
    }
    return refuse('ENOSPC', 'no PASID is free');
  }

  /** Throws EFAULT, EINVAL, E2BIG, ENOENT. */
  #unbind(caller: Process, argument: bigint): void {
    const request = readUnbind(caller, argument);
    if (request.kind === 'table') {
      demand(this.#table !== undefined, 'ENOENT', 'no PASID table is bound');
      for (const device of this.#devices.values()) device.unbindTable();
      this.#setTable(undefined);
      return;
    }
    const { pasid, reusable } = request;
    const task = this.#tasks.get(pasid);
    if (task !== undefined) {
      for (const device of this.#devices.values()) device.unbindTask(pasid);
      this.#endTask(pasid, task);
    } else {
      demand(this.#pages.has(pasid), 'ENOENT', `nothing is bound to PASID ${pasid}`);
      for (const device of this.#devices.values()) device.unbindPage(pasid);
      this.#setPage(pasid, undefined);
    }
    if (!reusable) this.#unclean.add(pasid);
  }

  #endTask(pasid: number, task: TaskSpace): void {
    this.#tasks.delete(pasid);
    task.end();
    this.#tables.drop(task.ioas);
  }

  /** Throws EFAULT, EINVAL, E2BIG, EOVERFLOW, ENODEV, ENOENT, and what the IOMMUs refuse. */
  #invalidate(caller: Process, argument: bigint): void {
    const request = readInvalidate(caller, argument);
    for (const device of this.#all()) device.invalidate(request);
  }
}

function exchange(old: Bound | undefined, next: Bound | undefined): void {
  if (next?.fault !== undefined) next.fault.users++;
  if (old?.fault !== undefined) old.fault.users--;
}

const UNCLEAN = (pasid: number): string =>
  `PASID ${pasid} was released neither FLUSHED nor CLEAN: requests with it may be on the way until the devices are given back`;
