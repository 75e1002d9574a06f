import { demand } from '../kernel/errno.ts';
import type { IommufdContext } from './context.ts';
import type { IommufdDevice } from './device.ts';
import type { DriverViommu, HostDevice } from './driver.ts';
import type { EventQueue } from './event-queue.ts';
import type { PagingHwpt } from './hwpt.ts';
import type { Area } from './io-pagetable.ts';
import type { IommufdObject } from './objects.ts';

/** A slice of a physical IOMMU for one virtual machine: what its virtual IOMMU forwards to. */
export class Viommu implements IommufdObject {
  readonly kind = 'viommu';
  readonly id: number;
  users = 0;
  readonly type: number;
  readonly parent: PagingHwpt;
  /** The physical IOMMU. */
  readonly unit: object;
  readonly driver: DriverViommu;
  readonly eventQueues = new Map<number, EventQueue>();
  readonly vdevices = new Map<bigint, Vdevice>();
  readonly hwQueues = new Map<number, HwQueue>();
  readonly #context: IommufdContext;

  constructor(parts: {
    readonly id: number;
    readonly context: IommufdContext;
    readonly type: number;
    readonly parent: PagingHwpt;
    readonly unit: object;
    readonly driver: DriverViommu;
  }) {
    this.id = parts.id;
    this.type = parts.type;
    this.parent = parts.parent;
    this.unit = parts.unit;
    this.driver = parts.driver;
    this.#context = parts.context;
    this.parent.users++;
    this.driver.deliver = (type, bytes) => this.eventQueues.get(type)?.push(bytes);
  }

  /** The device that the guest knows by this id. */
  deviceOf(virtId: bigint): HostDevice | undefined {
    return this.vdevices.get(virtId)?.device.host;
  }

  destroy(): void {
    this.#context.withdraw(this);
    this.driver.free();
    this.#context.allocations.give('domain');
    this.parent.users--;
  }
}

/** A device's identity in a vIOMMU: the id by which the guest's commands and events name it. */
export class Vdevice implements IommufdObject {
  readonly kind = 'vdevice';
  readonly id: number;
  users = 0;
  readonly virtId: bigint;
  readonly device: IommufdDevice;
  readonly #viommu: Viommu;
  readonly #context: IommufdContext;
  #gone = false;

  /** Throws EEXIST where the device has one, or the id is taken. */
  constructor(id: number, context: IommufdContext, viommu: Viommu, device: IommufdDevice, virtId: bigint) {
    demand(device.vdevice === undefined, 'EEXIST', `${device.host.name} has a virtual device already`);
    demand(!viommu.vdevices.has(virtId), 'EEXIST', `virtual id 0x${virtId.toString(16)} is taken`);
    this.id = id;
    this.virtId = virtId;
    this.device = device;
    this.#viommu = viommu;
    this.#context = context;
    viommu.driver.attachVdevice?.(device.host, virtId);
    viommu.vdevices.set(virtId, this);
    viommu.users++;
    device.vdevice = this;
  }

  /** The device goes: its identity goes with it, but user space still owns the id. */
  bury(): void {
    this.#context.objects.bury(this);
  }

  destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#viommu.driver.detachVdevice?.(this.device.host, this.virtId);
    this.#viommu.vdevices.delete(this.virtId);
    this.#viommu.users--;
    this.device.vdevice = undefined;
  }
}

/** A command queue in guest memory that the hardware reads by itself: the pages behind it stay. */
export class HwQueue implements IommufdObject {
  readonly kind = 'hw-queue';
  readonly id: number;
  users = 0;
  readonly index: number;
  readonly #viommu: Viommu;
  readonly #areas: readonly Area[];
  readonly #base: HwQueue | undefined;

  /** `base`: the index of a queue that must outlive this one. */
  constructor(id: number, viommu: Viommu, index: number, areas: readonly Area[], base: number | undefined) {
    this.id = id;
    this.#base = base === undefined ? undefined : viommu.hwQueues.get(base);
    if (this.#base !== undefined) this.#base.users++;
    this.index = index;
    this.#viommu = viommu;
    this.#areas = areas;
    for (const area of areas) area.locks++;
    viommu.users++;
    viommu.hwQueues.set(index, this);
  }

  destroy(): void {
    this.#viommu.driver.hwQueue?.close(this.index);
    this.#viommu.hwQueues.delete(this.index);
    this.#viommu.users--;
    if (this.#base !== undefined) this.#base.users--;
    for (const area of this.#areas) area.locks--;
  }
}
