import type { PageRequest } from '../iommufd/driver.ts';
import { Refusal } from '../kernel/errno.ts';
import type { PhysicalDevice } from './device.ts';

/** PASIDs have 20 bits, groups 9. */
const GROUPS = 512;
const keyOf = (pasid: number | undefined, group: number) => ((pasid ?? -1) + 1) * GROUPS + group;

/** Page requests until their group is complete; then they go to whoever has the device, or are answered INVALID. */
export class PageRequestGroups {
  readonly #deviceOf: (requester: number) => PhysicalDevice | undefined;
  readonly #refuse: (requester: number, pasid: number | undefined, group: number) => void;

  constructor(
    deviceOf: (requester: number) => PhysicalDevice | undefined,
    refuse: (requester: number, pasid: number | undefined, group: number) => void,
  ) {
    this.#deviceOf = deviceOf;
    this.#refuse = refuse;
  }

  add(requester: number, request: PageRequest): void {
    const device = this.#deviceOf(requester);
    const key = keyOf(request.pasid, request.group);
    const open = device?.openGroups.get(key) ?? [];
    open.push(request);
    if (!request.last) {
      device?.openGroups.set(key, open);
      return;
    }
    device?.openGroups.delete(key);
    if (device === undefined || !this.report(device, open))
      this.#refuse(requester, request.pasid, request.group);
  }

  forget(device: PhysicalDevice, pasid: number): void {
    for (const [key, [first]] of [...device.openGroups])
      if ((first?.pasid ?? 0) === pasid) device.openGroups.delete(key);
  }

  abandon(device: PhysicalDevice): void {
    device.openGroups.clear();
  }

  /** False: nobody wants them. Without memory for them requests are answered INVALID, as Linux does. A nested table with its own PASIDs has those of the requester. */
  report(device: PhysicalDevice, requests: readonly PageRequest[]): boolean {
    const pasid = requests[0]?.pasid ?? 0;
    const owner = device.attached.has(pasid) ? pasid : device.pasidsAreUsers ? 0 : pasid;
    try {
      return device.sink?.report(owner, requests) ?? false;
    } catch (cause) {
      if (cause instanceof Refusal) return false;
      throw cause;
    }
  }
}
