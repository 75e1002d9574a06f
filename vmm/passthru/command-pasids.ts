import type { GuestDevice } from './guest-device.ts';

/** PASIDs of the host that are taken for commands: so many of a device's highest ones, and never more than half of them. */
const MOST = 1 << 16;
/** A directory entry for bits 19:10 of a PASID, a table entry for bits 9:0 (Intel SDM: PASID Translation). */
const INDEX_BITS = 10;
const ENTRIES = 1 << INDEX_BITS;
const VALID = 0x80000000;
const PASID = 0xfffff;

/** One translation: it stays for as long as a command with it may be on its way. */
interface Translation {
  readonly guest: number;
  /** When a command had it last. */
  used: number;
}

/** A device whose bound PASIDs commands may have. */
export interface Commanded {
  readonly device: GuestDevice;
  /** PASIDs are attached to it. */
  readonly pasids: boolean;
  /** By PASID of the guest: what of the host's is attached like it. */
  readonly aliases: Map<number, number>;
}

/** Whether work comes to the device by commands that name PASIDs. */
export const takesCommands = ({ device, pasids }: Commanded): boolean => pasids && device.host.takesCommands;

/** The device has no such PASID on the host: only commands can have it. */
export const isBeyond = (one: Commanded, pasid: number): boolean =>
  takesCommands(one) && pasid >= 2 ** one.device.host.info.pasidBits;

/** Whoever attaches page tables of guest PASIDs. */
export interface CommandBindings {
  /** Attaches what the guest PASID has, on every device that takes commands, to the host's PASID, too. */
  bind(guest: number, host: number): void;
  isBound(guest: number): boolean;
}

/**
 * PASIDs in 64-byte commands (ENQCMD): the guest's are translated to the host's by the processor, in a table of the VMM (Intel SDM:
 * ENQCMD, PASID translation). One that the device has on the host, too, stays as it is: registers of the device name it, and nobody
 * translates those. One that the host's device does not have leads to the VMM, which takes one of the host's for it. Devices work on
 * commands after they have taken them: a host PASID whose guest PASID was unbound is refused by the IOMMU then, and given to no other
 * one before all devices that take commands were reset.
 */
export class CommandPasids {
  readonly #bindings: CommandBindings;
  /** Devices that take commands, with the time of their last reset. */
  readonly #devices = new Map<GuestDevice, number>();
  readonly #directory: (Uint32Array | undefined)[] = [];
  readonly #byHost = new Map<number, Translation>();
  /** The least PASID that is taken for commands, the one after those of the devices, and where to look for a free one. */
  #first = 0;
  #end = 0;
  #next = 0;
  #now = 0;

  constructor(bindings: CommandBindings) {
    this.#bindings = bindings;
  }

  add(device: GuestDevice): void {
    if (!this.#devices.has(device)) this.#devices.set(device, 0);
    if (this.#byHost.size === 0) this.#size();
  }

  remove(device: GuestDevice): void {
    this.#devices.delete(device);
  }

  has(device: GuestDevice): boolean {
    return this.#devices.has(device);
  }

  /** The device has no commands any more. */
  reset(device: GuestDevice): void {
    if (this.#devices.has(device)) this.#devices.set(device, ++this.#now);
  }

  /** What all devices that are there have: the fewest bits count. */
  #size(): void {
    const bits = Math.min(...[...this.#devices.keys()].map(({ host }) => host.info.pasidBits));
    this.#end = 2 ** bits;
    this.#first = this.#end - Math.min(MOST, this.#end / 2);
    this.#next = this.#end;
  }

  /** The host's PASID for a command with the guest's; -1: none is left. */
  translate(guest: number): number {
    const known = this.hostOf(guest);
    if (known < 0 && guest < this.#end && !this.#byHost.has(guest)) return guest;
    const host = known >= 0 ? known : this.#enter(guest);
    if (host >= 0) this.#byHost.get(host)!.used = ++this.#now;
    return host;
  }

  /** The host's PASID, if commands had this one and it is another; or -1. */
  hostOf(guest: number): number {
    const entry = this.#directory[guest >>> INDEX_BITS]?.[guest & (ENTRIES - 1)] ?? 0;
    return (entry & VALID) === 0 ? -1 : entry & PASID;
  }

  /** The guest's PASID in a request of a device that had it from a command; others are as they are. */
  guestOf(host: number): number {
    // Asked for every request that is caught.
    if (this.#byHost.size === 0) return host;
    return this.#byHost.get(host)?.guest ?? host;
  }

  /** The PASID is taken for commands with another one: the guest's own cannot be attached to the device. */
  keeps(one: Commanded, pasid: number): boolean {
    return takesCommands(one) && this.#byHost.has(pasid);
  }

  /**
   * Attaches what a guest's PASID has to the host's, too, if commands have that PASID. Where the host refuses, nothing is left there.
   * @throws HostRefused
   */
  attach(one: Commanded, pasid: number, hwpt: number): void {
    const host = takesCommands(one) ? this.hostOf(pasid) : -1;
    if (host < 0) return;
    try {
      one.device.host.attach(host, hwpt);
      one.aliases.set(pasid, host);
    } catch (cause) {
      this.detach(one, pasid);
      throw cause;
    }
  }

  /** @throws HostRefused */
  detach(one: Commanded, pasid: number): void {
    const host = one.aliases.get(pasid);
    if (host === undefined) return;
    one.device.host.detach(host);
    one.aliases.delete(pasid);
  }

  /** The table has no such entry: a VM exit. */
  #enter(guest: number): number {
    const host = this.#free();
    if (host < 0) return -1;
    this.#byHost.set(host, { guest, used: 0 });
    const table = (this.#directory[guest >>> INDEX_BITS] ??= new Uint32Array(ENTRIES));
    table[guest & (ENTRIES - 1)] = VALID | host;
    this.#bindings.bind(guest, host);
    return host;
  }

  /** From the highest one down, past those that the guest has bound; then what nobody has any more. */
  #free(): number {
    while (this.#next > this.#first) {
      this.#next--;
      if (!this.#bindings.isBound(this.#next)) return this.#next;
    }
    return this.#reclaimed();
  }

  /** One that no device can have a command of any more, and that is bound to nothing. */
  #reclaimed(): number {
    const before = Math.min(...this.#devices.values());
    for (const [host, { guest, used }] of this.#byHost) {
      if (used >= before || this.#bindings.isBound(guest)) continue;
      this.#byHost.delete(host);
      this.#directory[guest >>> INDEX_BITS]![guest & (ENTRIES - 1)] = 0;
      return host;
    }
    return -1;
  }
}
