import type { IommufdContext } from '../iommufd/context.ts';
import type { IommufdDevice } from '../iommufd/device.ts';
import type { FaultQueue } from '../iommufd/fault-queue.ts';
import { allocDomain, type Hwpt, NestedHwpt, PagingHwpt } from '../iommufd/hwpt.ts';
import { Ioas } from '../iommufd/ioas.ts';
import type { IommufdObject } from '../iommufd/objects.ts';
import { UserData } from '../iommufd/user-data.ts';
import { Vdevice, Viommu } from '../iommufd/viommu.ts';
import { refuse } from '../kernel/errno.ts';

/**
 * Objects of the container's iommufd that the channel makes for itself: their ids are taken, and nobody but the channel can destroy
 * them. Everything throws what the iommufd refuses; then nothing is made.
 */
export class HostTables {
  readonly context: IommufdContext;

  constructor(context: IommufdContext) {
    this.context = context;
  }

  ioas(): Ioas {
    return this.#make((id) => new Ioas(id, this.context));
  }

  /** A page table of the host for what is mapped in an IOAS. */
  paging({ host }: IommufdDevice, ioas: Ioas, flags: number, pasids: boolean): PagingHwpt {
    const { context } = this;
    return this.#make(
      (id) => {
        const domain = allocDomain(context, () => host.driver.allocPaging(host, flags, undefined));
        const parts = { id, context, ioas, domain, fault: undefined };
        return new PagingHwpt({ ...parts, automatic: false, pasidCompatible: pasids });
      },
      (hwpt) => hwpt.fill(),
    );
  }

  /** A page table of the user on top of a parent. */
  nested(
    { host }: IommufdDevice,
    parent: PagingHwpt,
    flags: number,
    type: number,
    bytes: Uint8Array,
    fault: FaultQueue | undefined,
  ): NestedHwpt {
    const { context } = this;
    const { driver } = host;
    const { allocNested } = driver;
    if (allocNested === undefined) refuse('EOPNOTSUPP', `${driver.name} does not nest`);
    return this.#make((id) => {
      const domain = allocDomain(context, () =>
        allocNested.call(driver, host, parent.domain, flags, kernelData(type, bytes)),
      );
      return new NestedHwpt({
        id,
        context,
        parent,
        viommu: undefined,
        domain,
        pasidCompatible: true,
        fault,
      });
    });
  }

  viommu({ host }: IommufdDevice, parent: PagingHwpt, type: number): Viommu {
    const { context } = this;
    const { driver } = host;
    const { allocViommu } = driver;
    if (allocViommu === undefined) refuse('EOPNOTSUPP', `${driver.name} does not nest`);
    return this.#make((id) => {
      const made = allocDomain(context, () => allocViommu.call(driver, host, type, parent.domain, undefined));
      return new Viommu({ id, context, type, parent, unit: host.unit, driver: made });
    });
  }

  vdevice(device: IommufdDevice, viommu: Viommu, virtId: bigint): Vdevice {
    return this.#make((id) => new Vdevice(id, this.context, viommu, device, virtId));
  }

  /** A page table of the user on top of a vIOMMU. */
  onViommu(
    { host }: IommufdDevice,
    viommu: Viommu,
    type: number,
    bytes: Uint8Array,
    fault: FaultQueue | undefined,
  ): NestedHwpt {
    const { context } = this;
    return this.#make((id) => {
      const domain = allocDomain(context, () => viommu.driver.allocNested(host, 0, kernelData(type, bytes)));
      const { parent } = viommu;
      return new NestedHwpt({
        id,
        context,
        parent,
        viommu,
        domain,
        pasidCompatible: false,
        fault,
      });
    });
  }

  drop(object: Hwpt | Ioas | Viommu | Vdevice): void {
    object.users--;
    // Event queues of the user keep a vIOMMU, and that its parent: they go with the container.
    if (object.users === 0) this.context.objects.remove(object);
  }

  #make<T extends IommufdObject>(make: (id: number) => T, ready: (object: T) => void = () => {}): T {
    return this.context.create(
      (id) => make(id),
      (object) => {
        ready(object);
        object.users++;
      },
    );
  }
}

/** Data for a driver that the kernel itself has put together. */
function kernelData(type: number, bytes: Uint8Array): UserData {
  const own = { bytes: (at: bigint, length: number) => bytes.subarray(Number(at), Number(at) + length) };
  return new UserData(own, type, 0n, bytes.length);
}
