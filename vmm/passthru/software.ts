import {
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  type DmaTranslator,
  NO_PASID,
} from '../bus/dma.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { DeviceControls, GuestDevice } from './guest-device.ts';

/** What of a host the path needs. */
export interface CatchingHost {
  route(address: string, to: DmaTranslator | undefined): void;
  control(address: string, controls: DeviceControls | undefined): void;
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
  readonly #devices = new Map<string, CaughtDma>();

  constructor(translator: DmaTranslator | undefined, ram: GuestRam, space: AddressSpace, host: CatchingHost) {
    this.#translator = translator;
    this.#ram = ram;
    this.#space = space;
    this.#host = host;
  }

  add(device: GuestDevice): void {
    const caught = new CaughtDma(device.dma, this.#translator, this.#ram, this.#physical());
    this.#devices.set(device.id, caught);
    // The host's IOMMU lets nothing through: what is not caught is not done.
    device.host.attach(0, this.#space.empty);
    this.#host.route(device.host.name, caught);
    // The device does what its guest has switched on, and nothing that the host would use it for.
    this.#host.control(device.host.name, device.controls());
  }

  /** Where the host has the first byte of guest RAM; the others follow it. */
  #physical(): number {
    const { process } = this.#space.calls.sys;
    return Number(process.frame(BigInt(this.#ram.base), true)) * 4096;
  }

  remove(device: GuestDevice): void {
    if (!this.#devices.delete(device.id)) return;
    this.#host.control(device.host.name, undefined);
    this.#host.route(device.host.name, undefined);
  }

  has(device: GuestDevice): boolean {
    return this.#devices.has(device.id);
  }
}

/** The requests of one device. */
class CaughtDma implements DmaTranslator {
  readonly #guest: DmaPort;
  readonly #translator: DmaTranslator | undefined;
  readonly #ram: GuestRam;
  /** From a place in the linear memory to the host's physical address. */
  readonly #offset: number;

  constructor(guest: DmaPort, translator: DmaTranslator | undefined, ram: GuestRam, physical: number) {
    this.#guest = guest;
    this.#translator = translator;
    this.#ram = ram;
    this.#offset = physical - ram.base;
  }

  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const guest = this.#guest;
    this.#qualify(port);
    const status = this.#translate(lo, hi, access);
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

  #qualify(port: DmaPort): void {
    const guest = this.#guest;
    guest.pasid = port.pasid;
    guest.privileged = port.privileged;
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
    this.#qualify(port);
    const status = guest.pageRequest(lo, hi, access, group, last);
    guest.pasid = NO_PASID;
    guest.privileged = false;
    return status;
  }

  invalidationComplete(_port: DmaPort, tag: number): void {
    this.#guest.invalidationComplete(tag);
  }
}
