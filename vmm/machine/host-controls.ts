import type { Host } from '../host/model/create.ts';

/**
 * PASID, ATS and page requests of functions whose requests are caught: the host switches on all that they have, for as long as they
 * are caught, and the guest switches only what it sees. Virtual functions have ATS of their own; PASIDs and page requests are their
 * physical function's (PCI Express Base: SR-IOV): there page requests are on for as long as one of them is caught.
 */
export class HostControls {
  readonly #functions: Host['functions'];
  /** Virtual functions that are caught, by physical function. */
  readonly #caught = new Map<string, Set<string>>();

  constructor(functions: Host['functions']) {
    this.#functions = functions;
  }

  /** Not caught: as the host's own driver has them. */
  set(address: string, caught: boolean): void {
    const { host: device, described } = this.#functions.get(address)!;
    const physical = described.entry.of;
    if (physical !== undefined) this.#setShared(physical, address, caught);
    const { pasidWidth, ats, pri } = caught ? described.own : device;
    // PCI Express Base: PASID Control Register: it changes only while ATS is off.
    device.controls.ats?.(false);
    device.controls.pasid?.(pasidWidth > 0);
    device.controls.pri?.(pri);
    device.controls.ats?.(ats);
  }

  /** A caught device has switched its page requests off because of a Response Failure: the host switches them on again. */
  rearm(address: string): void {
    const { host: device, described } = this.#functions.get(address)!;
    const { of } = described.entry;
    if (of !== undefined) this.#functions.get(of)?.host.controls.pri?.(true);
    else if (described.own.pri) device.controls.pri?.(true);
  }

  #setShared(physical: string, address: string, caught: boolean): void {
    const all = this.#caught.get(physical) ?? new Set();
    this.#caught.set(physical, all);
    const before = all.size > 0;
    if (caught) all.add(address);
    else all.delete(address);
    const now = all.size > 0;
    if (now !== before) this.#functions.get(physical)?.host.controls.pri?.(now);
  }
}
