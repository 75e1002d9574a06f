import {
  ALL_PASIDS,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_DISABLED,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  EXEC,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
} from '../bus/dma.ts';
import { DEVICE_TLB_PENDING } from '../bus/iommu.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { GuestDevice, GuestEnables, OutstandingRequests } from './guest-device.ts';
import { HostRefused } from './host-calls.ts';
import type { DeviceEndpoint } from './passthrough.ts';

const PAGE = 4096;
/** log2 of the pages of all addresses. */
const EVERYTHING = 52;
/** ITag of invalidations that no guest sent: the last one that units give. */
const OWN_TAG = 31;

/** What of a host the path needs. */
export interface CatchingHost {
  route(address: string, to: DmaTranslator | undefined): void;
  caught(address: string, caught: boolean): void;
  endpoint(address: string): Pick<DeviceEndpoint, 'invalidate'>;
}

/**
 * Devices whose DMA the guest's own IOMMU model translates: each request is caught, translated in the name that the guest knows
 * the device by, and carried out on guest RAM where the host has it.
 */
export class SoftwarePath {
  readonly #translator: DmaTranslator | undefined;
  readonly #ram: GuestRam;
  readonly #space: AddressSpace;
  readonly #host: CatchingHost;
  readonly #guestPasid: (pasid: number) => number;
  readonly #devices = new Map<string, CaughtDma>();

  /** @param guestPasid of a command that the device has had since it was on another path */
  constructor(
    translator: DmaTranslator | undefined,
    ram: GuestRam,
    space: AddressSpace,
    host: CatchingHost,
    guestPasid: (pasid: number) => number,
  ) {
    this.#translator = translator;
    this.#ram = ram;
    this.#space = space;
    this.#host = host;
    this.#guestPasid = guestPasid;
  }

  add(device: GuestDevice): void {
    const caught = new CaughtDma({
      guest: device.dma,
      enables: device.enables,
      requests: device.requests,
      translator: this.#translator,
      ram: this.#ram,
      offset: this.#space.physical - this.#ram.base,
      guestPasid: this.#guestPasid,
    });
    this.#devices.set(device.id, caught);
    // The host's IOMMU lets nothing through: what is not caught is not done.
    blockIfAlone(device);
    this.#host.route(device.host.name, caught);
    // The host switches on all that the device has: what of it the guest has switched on counts where its requests are caught.
    this.#host.caught(device.host.name, true);
  }

  remove(device: GuestDevice): void {
    if (!this.#devices.delete(device.id)) return;
    this.#host.caught(device.host.name, false);
    this.#host.route(device.host.name, undefined);
  }

  /** What the host has for the device is made anew: nothing gets through there. What waits is the guest's unit's, and stays. */
  rebuild(device: GuestDevice): void {
    if (!this.has(device)) return;
    device.host.detach(0);
    device.host.channel.block(device.host);
  }

  /** The device drops all its translations. Returns whether it is on this path. */
  forget(device: GuestDevice): boolean {
    const caught = this.#devices.get(device.id);
    if (caught === undefined) return false;
    const done = this.#host.endpoint(device.host.name).invalidate(ALL_PASIDS, 0, 0, EVERYTHING, OWN_TAG);
    caught.completesOwn = done === DEVICE_TLB_PENDING;
    return true;
  }

  has(device: GuestDevice): boolean {
    return this.#devices.has(device.id);
  }
}

/** Where the group has the address space of another device, no request of this one gets there all the same: all are caught. */
function blockIfAlone({ host }: GuestDevice): void {
  try {
    host.channel.block(host);
  } catch (cause) {
    if (!(cause instanceof HostRefused) || cause.errno !== 'EINVAL') throw cause;
  }
}

interface CaughtParts {
  /** The device as the guest's IOMMU knows it. */
  readonly guest: DmaPort;
  readonly enables: GuestEnables;
  readonly requests: OutstandingRequests;
  readonly translator: DmaTranslator | undefined;
  readonly ram: GuestRam;
  /** From a place in the linear memory to the host's physical address. */
  readonly offset: number;
  readonly guestPasid: (pasid: number) => number;
}

/** The requests of one device. */
class CaughtDma implements DmaTranslator {
  /** The next completion of an invalidation with OWN_TAG is none of the guest's. */
  completesOwn = false;
  readonly #guest: DmaPort;
  readonly #enables: GuestEnables;
  readonly #requests: OutstandingRequests;
  readonly #translator: DmaTranslator | undefined;
  readonly #ram: GuestRam;
  readonly #offset: number;
  readonly #guestPasid: (pasid: number) => number;

  constructor({ guest, enables, requests, translator, ram, offset, guestPasid }: CaughtParts) {
    this.#guest = guest;
    this.#enables = enables;
    this.#requests = requests;
    this.#translator = translator;
    this.#ram = ram;
    this.#offset = offset;
    this.#guestPasid = guestPasid;
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const guest = this.#guest;
    const enables = this.#enables;
    // What the guest has switched off does not leave the device.
    if (port.pasid >= 0 && this.#guestPasid(port.pasid) >= enables.pasids) return DMA_DISABLED;
    if (port.at !== AT_UNTRANSLATED && !enables.ats) return this.#withoutAts(port, lo, hi);
    this.#qualify(port);
    const mayExecute = enables.execute || (access & EXEC) === 0;
    const status = this.#translate(lo, hi, mayExecute ? access : access & ~EXEC || READ);
    guest.pasid = NO_PASID;
    guest.privileged = false;
    guest.at = AT_UNTRANSLATED;
    guest.atomic = false;
    port.outAccess = guest.outAccess;
    port.outSize = guest.outSize;
    port.stallTag = guest.stallTag;
    port.outSpan = guest.outSpan;
    port.outLo = guest.outLo;
    port.outHi = guest.outHi;
    if (status !== DMA_OK || port.at === AT_TRANSLATION) return status;
    return this.#place(port);
  }

  /** A translation request is told to send requests untranslated (PCI Express Base: ATS: Translation Completion, U). */
  #withoutAts(port: DmaPort, lo: number, hi: number): number {
    if (port.at !== AT_TRANSLATION) return DMA_UR;
    port.outAccess = UNTRANSLATED_ONLY;
    port.outSize = PAGE;
    port.outSpan = PAGE - (lo & (PAGE - 1));
    port.outLo = lo;
    port.outHi = hi;
    return DMA_OK;
  }

  #qualify(port: DmaPort): void {
    const guest = this.#guest;
    guest.pasid = port.pasid < 0 ? port.pasid : this.#guestPasid(port.pasid);
    guest.privileged = port.privileged && this.#enables.privileged;
    guest.at = port.at;
    guest.atomic = port.atomic;
    guest.mayStall = port.mayStall;
  }

  #translate(lo: number, hi: number, access: number): number {
    const guest = this.#guest;
    if (this.#translator !== undefined) return guest.translate(lo, hi, access);
    guest.outLo = lo >>> 0;
    guest.outHi = hi >>> 0;
    guest.outSpan = 4096 - (lo & 4095);
    return guest.pasid === NO_PASID && guest.at === AT_UNTRANSLATED ? DMA_OK : DMA_UR;
  }

  /** From the guest's physical address to the host's. */
  #place(port: DmaPort): number {
    const page = 4096 - (port.outLo & 4095);
    const ram = this.#ram;
    let span = port.outSpan;
    let at = ram.locate(port.outLo, port.outHi, span);
    if (at < 0) {
      span = Math.min(span, page);
      at = ram.locate(port.outLo, port.outHi, span);
    }
    if (at < 0) return DMA_UR;
    const physical = at + this.#offset;
    port.outLo = physical >>> 0;
    port.outHi = Math.floor(physical / 2 ** 32);
    port.outSpan = span;
    return DMA_OK;
  }

  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number {
    this.#qualify(port);
    return this.#translator?.message(this.#guest, lo, hi, data, length) ?? DMA_UR;
  }

  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    const guest = this.#guest;
    const { pri, ats, pasids, allocation } = this.#enables;
    if (!pri || !ats || allocation === 0 || this.#guestPasid(port.pasid) >= pasids) return DMA_UR;
    this.#qualify(port);
    // A stop marker is not answered; others maybe before this returns.
    const awaited = access !== 0 || !last;
    if (awaited) this.#requests.asked(group);
    const status = guest.pageRequest(lo, hi, access, group, last);
    if (awaited && status !== DMA_OK) this.#requests.answered(group);
    guest.pasid = NO_PASID;
    guest.privileged = false;
    return status;
  }

  invalidationComplete(_port: DmaPort, tag: number): void {
    if (this.completesOwn && tag === OWN_TAG) this.completesOwn = false;
    else this.#guest.invalidationComplete(tag);
  }
}
