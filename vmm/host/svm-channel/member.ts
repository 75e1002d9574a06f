import { HW_INFO_TYPE } from '../iommufd/abi.ts';
import type { ContainerMember } from '../iommufd/context.ts';
import type { IommufdDevice } from '../iommufd/device.ts';
import type { Hwpt, PagingHwpt } from '../iommufd/hwpt.ts';
import type { Ioas } from '../iommufd/ioas.ts';
import { demand, Refusal } from '../kernel/errno.ts';
import { modelName } from './abi.ts';
import type { InvalidateRequest, PageInfo, TableInfo } from './request.ts';
import type { HostTables } from './tables.ts';

/** Notes what takes a step back. */
export type Undo = (step: () => void) => void;

export interface MemberParts {
  readonly tables: HostTables;
  readonly member: ContainerMember;
  readonly device: IommufdDevice;
  /** What the container maps. */
  readonly ioas: Ioas;
}

/**
 * One device of a container, and what is bound to it. Whatever changes something notes how it is undone: a container has several
 * devices, and all of them are bound, or none.
 */
export abstract class SvmDevice {
  readonly tables: HostTables;
  readonly member: ContainerMember;
  readonly device: IommufdDevice;
  readonly ioas: Ioas;
  /** The magic of its IOMMU. */
  abstract readonly model: number;
  /** Address spaces of processes, by PASID. */
  readonly #tasks = new Map<number, PagingHwpt>();

  constructor({ tables, member, device, ioas }: MemberParts) {
    this.tables = tables;
    this.member = member;
    this.device = device;
    this.ioas = ioas;
  }

  get name(): string {
    return this.device.host.name;
  }

  get pasidWidth(): number {
    return this.device.host.pasidWidth;
  }

  /** Says what is wrong with a table before anything is attached: model, variant, opaque part, size. */
  abstract checkTable(info: TableInfo): void;
  abstract checkPage(info: PageInfo): void;
  abstract bindTable(info: TableInfo, undo: Undo): void;
  abstract unbindTable(): void;
  /** The vIOMMU that a table stands on; 0: none. */
  abstract get viommu(): number;
  abstract bindPage(info: PageInfo, undo: Undo): void;
  abstract unbindPage(pasid: number): void;
  abstract invalidate(request: InvalidateRequest): void;
  /** What requests without PASID have while PASIDs are attached. */
  protected abstract makeRoom(undo: Undo): void;
  protected abstract end(): void;

  /** A change has succeeded for all devices: what it replaced goes. */
  settle(): void {}

  bindTask(pasid: number, ioas: Ioas, undo: Undo): void {
    this.makeRoom(undo);
    const hwpt = this.tables.paging(this.device, ioas, PASID_FLAG, true);
    undo(() => this.tables.drop(hwpt));
    this.member.attach(pasid, hwpt.id);
    undo(() => this.member.detach(pasid));
    this.#tasks.set(pasid, hwpt);
    undo(() => this.#tasks.delete(pasid));
  }

  unbindTask(pasid: number): void {
    const hwpt = this.#tasks.get(pasid);
    if (hwpt === undefined) return;
    this.member.detach(pasid);
    this.#tasks.delete(pasid);
    this.tables.drop(hwpt);
  }

  /** The device leaves the container. */
  leave(): void {
    for (const pasid of [...this.#tasks.keys()]) this.unbindTask(pasid);
    this.end();
  }

  /** Throws EOPNOTSUPP. */
  protected checkModel(model: number): void {
    demand(
      model === this.model,
      'EOPNOTSUPP',
      `${this.name} is behind an IOMMU of model ${modelName(this.model)}, and the table is one of ${modelName(model)}`,
    );
  }

  /** Requests without PASID have what the container gives to a device of which nothing is bound. False: the host refuses. */
  protected attachedAsBefore(): boolean {
    try {
      this.member.attach(undefined, this.ioas.id);
      return true;
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause;
      return false;
    }
  }

  protected attachRid(hwpt: Hwpt | Ioas): void {
    this.member.attach(undefined, hwpt.id);
  }
}

/** IOMMU_HWPT_ALLOC_PASID. */
const PASID_FLAG = 8;

/** Fields of what the driver says of its unit. */
export interface UnitInfo {
  readonly type: number;
  readonly view: DataView;
}

export function unitInfo({ host }: Pick<IommufdDevice, 'host'>): UnitInfo {
  const info = host.driver.hwInfo(host);
  const bytes = info?.bytes ?? new Uint8Array(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { type: info?.type ?? HW_INFO_TYPE.NONE, view };
}
