import type { Host } from '../host/model/create.ts';
import type { DeviceControls } from '../passthru/guest-device.ts';

/**
 * PASID, ATS and page requests of functions that the guest's IOMMU serves. Virtual functions have ATS of their own; PASIDs and
 * page requests are their physical function's (PCI Express Base: SR-IOV), which is the host's: PASIDs are on, and page requests
 * are for as long as one of them wants them.
 */
export class HostControls {
  readonly #functions: Host['functions'];
  /** Virtual functions that want page requests, by physical function. */
  readonly #wanting = new Map<string, Set<string>>();

  constructor(functions: Host['functions']) {
    this.#functions = functions;
  }

  /** Absent controls: as the host's own driver has them. */
  set(address: string, controls: DeviceControls | undefined): void {
    const { host: device, described } = this.#functions.get(address)!;
    const physical = described.entry.of;
    if (physical !== undefined) this.#setShared(physical, address, controls?.pri === true);
    const { pasidWidth, ats, pri } = device;
    const wanted = controls ?? { pasid: pasidWidth > 0, ats, pri };
    // PCI Express Base: PASID Control Register: it changes only while ATS is off.
    device.controls.ats?.(false);
    device.controls.pasid?.(wanted.pasid);
    device.controls.pri?.(wanted.pri);
    device.controls.ats?.(wanted.ats);
  }

  #setShared(physical: string, address: string, pri: boolean): void {
    const wanting = this.#wanting.get(physical) ?? new Set();
    this.#wanting.set(physical, wanting);
    const before = wanting.size > 0;
    if (pri) wanting.add(address);
    else wanting.delete(address);
    const now = wanting.size > 0;
    if (now !== before) this.#functions.get(physical)?.host.controls.pri?.(now);
  }
}
