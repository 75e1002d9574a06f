import { AtsControls } from '../../devices/pci/ats-controls.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { DmaPort } from '../bus/dma.ts';
import type { AssignedDevice } from './assigned-device.ts';
import type { Channel } from './channel.ts';
import type { ShadowSpace } from './shadow-space.ts';

/** Which path serves a device's DMA. */
export type PathMode = 'nested' | 'shadow' | 'software';

/**
 * PASID, ATS and page requests as the guest has switched them on: in what it sees of the device, never in the device itself, whose
 * control registers are the host's.
 */
export class GuestEnables {
  /** Requests may have PASIDs below this. */
  pasids = 0;
  execute = false;
  privileged = false;
  ats = false;
  pri = false;
  /** Page requests that it may have outstanding. */
  allocation = 0;

  /** After a write, a reset or a load. */
  follow(fn: PciFunction): void {
    // Config space may be another after a load.
    const controls = new AtsControls(fn);
    this.pasids = controls.pasids;
    this.execute = controls.executeEnabled;
    this.privileged = controls.privilegedEnabled;
    this.ats = controls.atsEnabled;
    this.pri = controls.priEnabled;
    this.allocation = controls.allocation;
  }
}

/** PCI Express Base: Page Request Group Index: 9 bits. */
const GROUPS = 512;

/** Page requests that the guest has not answered yet: as long as there are any, what it sees of them has not stopped. */
export class OutstandingRequests {
  readonly #fn: PciFunction;
  readonly #byGroup = new Uint16Array(GROUPS);

  constructor(fn: PciFunction) {
    this.#fn = fn;
  }

  asked(group: number): void {
    this.#byGroup[group & (GROUPS - 1)]!++;
    this.#fn.s.pageRequests++;
  }

  /** The group was answered, or nobody took it. */
  answered(group: number): void {
    const { s } = this.#fn;
    s.pageRequests = Math.max(0, s.pageRequests - this.#byGroup[group & (GROUPS - 1)]!);
    this.#byGroup[group & (GROUPS - 1)] = 0;
  }

  get any(): boolean {
    return this.#fn.s.pageRequests > 0;
  }

  /** None is waited for any more. */
  forget(): void {
    this.#byGroup.fill(0);
    this.#fn.s.pageRequests = 0;
  }
}

/** An assigned device as guest and host see it. */
export interface GuestDevice {
  /** Its id in the machine. */
  readonly id: string;
  readonly host: AssignedDevice;
  /** What the guest's IOMMU knows it by: requester id of now, interrupts, page requests. */
  readonly dma: DmaPort;
  /** The guest has switched on page requests of the device, as far as it sees. */
  wantsFaults(): boolean;
  /** What of the device the guest has switched on, as far as it sees. */
  readonly enables: GuestEnables;
  readonly requests: OutstandingRequests;
  /** The guest has answered with Response Failure: what it sees of page requests is off. */
  pageRequestsFailed(): void;
  /** What the guest sees of the device was reset: the host's side follows. */
  follow(): void;
  /** The device is given back to the host: its interrupts have nobody any more. */
  close(): void;
}

/** Whom a forwarder asks for what is not its own. */
export interface ForwarderNeeds {
  /** Page requests may come from now on. */
  readonly faultsWanted: () => void;
  /** A page table was taken off a device or one of its PASIDs: PageFaults.unbound. */
  readonly unbound: (device: GuestDevice, pasid: number) => void;
  /** A device is bound to what the host cannot follow. */
  readonly unsupported: (device: GuestDevice, why: string) => void;
}

/** What a requester, or one PASID of it, is attached to on the host. */
export interface Bound {
  readonly kind: 'blocked' | 'identity' | 'nested' | 'shadow';
  readonly hwpt: number;
  /** Whose number that is. */
  readonly channel: Channel;
  /** The page table is this binding's own: it goes with it. */
  readonly own: boolean;
  /** Of VT-d: domain-id and PASID of the entry. */
  readonly did: number;
  readonly pasid: number;
  /** What the page table was made of: equal texts are equal page tables. */
  readonly key: string;
  /** Of 'shadow': what is mapped in the page table, and whose it is. */
  readonly shadow?: ShadowSpace;
}
