import { NO_PASID } from '../bus/dma.ts';
import { HWPT_FLAGS } from '../host/iommufd/abi.ts';
import type { AddressSpace } from './address-space.ts';
import type { Channel } from './channel.ts';
import { type Commanded, type CommandPasids, isBeyond } from './command-pasids.ts';
import type { Bound, ForwarderNeeds, GuestDevice } from './guest-device.ts';
import { HostRefused } from './host-calls.ts';
import type { PassthroughLog } from './log.ts';
import type { ShadowSpace } from './shadow-space.ts';
import type { Shadows, ShadowWish } from './shadows.ts';

/** A device, and what it is attached to now. */
export interface Holding extends Commanded {
  /** Page tables with the guest's RAM, and with nothing. The first one stands for the unit that the device is behind, too. */
  readonly parent: number;
  readonly blocked: number;
  rid: Bound;
  readonly bound: Map<number, Bound>;
}

/**
 * What devices of a guest are attached to on the host: the requester always to something, to begin with to nothing mapped. A page
 * table goes when the last that is attached to it does.
 */
export class HostBindings {
  readonly shadows: Shadows;
  readonly #space: AddressSpace;
  readonly #log: PassthroughLog;
  readonly #needs: ForwarderNeeds;
  readonly #commands: CommandPasids | undefined;
  /** Page tables that several devices use, by their flags. */
  readonly #parents = new Map<number, number[]>();
  readonly #blocked = new Map<number, number[]>();

  /** @param commands where devices take commands with PASIDs */
  constructor(
    space: AddressSpace,
    log: PassthroughLog,
    needs: ForwarderNeeds,
    shadows: Shadows,
    commands?: CommandPasids,
  ) {
    this.#commands = commands;
    this.shadows = shadows;
    this.#space = space;
    this.#log = log;
    this.#needs = needs;
  }

  /** Takes a device on. @param nest HWPT_FLAGS.NEST_PARENT, or 0 @throws HostRefused where the host cannot do it */
  hold(device: GuestDevice, nest: number): Holding {
    const space = this.#space;
    const { host } = device;
    const { channel } = host;
    const pasids = host.info.pasidBits > 0;
    const more = pasids ? HWPT_FLAGS.PASID : 0;
    const parent = space.suiting(host, listOf(this.#parents, nest | more), () =>
      channel.paging(host, space.ioas, nest | more),
    );
    const blocked = space.suiting(host, listOf(this.#blocked, more), () =>
      channel.paging(host, space.empty, more),
    );
    const none = { own: false, did: 0, pasid: 0, key: '' };
    const rid = { kind: 'blocked', hwpt: blocked, channel, ...none } as const;
    return { device, parent, blocked, pasids, rid, bound: new Map(), aliases: new Map() };
  }

  /** Lets go of it: it is attached to nothing of the guest's any more. */
  release(one: Holding): void {
    for (const pasid of [...one.bound.keys()]) this.detach(one, pasid);
    this.attachRid(one, this.blocked(one));
  }

  /** Devices are attached to nothing at all, and page tables that were made for them are given back. */
  clear(devices: readonly Holding[]): void {
    for (const one of devices) {
      for (const pasid of [...one.bound.keys()]) this.detach(one, pasid);
      this.guarded(() => one.device.host.detach(0));
      this.#drop(one.rid);
    }
    for (const lists of [this.#parents, this.#blocked]) {
      for (const hwpt of [...lists.values()].flat())
        this.guarded(() => this.#channelOf(hwpt, devices).destroy(hwpt));
      lists.clear();
    }
  }

  /** A page table of iommufd may have outlived the devices that it was made for. */
  #channelOf(hwpt: number, devices: readonly Holding[]): Channel {
    const found = devices.find(({ parent, blocked }) => parent === hwpt || blocked === hwpt);
    return found?.device.host.channel ?? this.#space;
  }

  blocked({ device, blocked }: Holding): Bound {
    const { channel } = device.host;
    return { kind: 'blocked', hwpt: blocked, channel, own: false, did: 0, pasid: 0, key: '' };
  }

  /** To be attached next: tables of the guest, page by page. @param key of the binding @throws HostRefused */
  shadowed(one: Holding, wish: ShadowWish, faults: boolean, key: string, did: number, pasid: number): Bound {
    if (faults) this.#needs.faultsWanted();
    const { host } = one.device;
    const shadow = this.shadows.take(wish);
    try {
      const hwpt = shadow.hwptFor(host, one.parent, one.pasids ? HWPT_FLAGS.PASID : 0, faults);
      return { kind: 'shadow', hwpt, channel: host.channel, own: false, did, pasid, key, shadow };
    } catch (cause) {
      this.shadows.give(shadow);
      throw cause;
    }
  }

  /** @throws HostRefused */
  attachRid(one: Holding, next: Bound): void {
    const old = one.rid;
    this.#attach(one, 0, next);
    one.rid = next;
    this.#needs.unbound(one.device, NO_PASID);
    this.#drop(old);
  }

  /** @throws HostRefused */
  attachPasid(one: Holding, pasid: number, next: Bound): void {
    const old = one.bound.get(pasid);
    this.#attach(one, pasid, next);
    one.bound.set(pasid, next);
    this.#needs.unbound(one.device, pasid);
    try {
      this.attachAlias(one, pasid);
    } finally {
      if (old !== undefined) this.#drop(old);
    }
  }

  /** The PASID that the guest's commands with this one have on the host gets what this one has. @throws HostRefused */
  attachAlias(one: Holding, pasid: number): void {
    const bound = one.bound.get(pasid);
    if (bound !== undefined) this.#commands?.attach(one, pasid, bound.hwpt);
  }

  /** A page table that cannot be attached does not stay. */
  #attach(one: Holding, pasid: number, next: Bound): void {
    try {
      if (!isBeyond(one, pasid)) one.device.host.attach(pasid, next.hwpt);
    } catch (cause) {
      this.#drop(next);
      throw cause;
    }
  }

  detach(one: Holding, pasid: number): void {
    const old = one.bound.get(pasid);
    if (old === undefined) return;
    this.guarded(() => {
      this.#commands?.detach(one, pasid);
      if (!isBeyond(one, pasid)) one.device.host.detach(pasid);
      one.bound.delete(pasid);
      this.#needs.unbound(one.device, pasid);
      this.#drop(old);
    });
  }

  #drop(bound: Bound): void {
    const { shadow } = bound;
    if (shadow !== undefined) this.guarded(() => this.shadows.give(shadow));
    if (bound.own) this.guarded(() => bound.channel.destroy(bound.hwpt));
  }

  /** What the host refuses on the guest's behalf is told, and the binding stays as it was. */
  guarded(work: () => void): HostRefused | undefined {
    try {
      work();
      return undefined;
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      this.#log.refused(cause);
      return cause;
    }
  }
}

/** Those of the devices that use a shadow. */
export function usersOf(shadow: ShadowSpace, devices: readonly Holding[]): GuestDevice[] {
  return devices
    .filter(
      ({ rid, bound }) => rid.shadow === shadow || [...bound.values()].some((one) => one.shadow === shadow),
    )
    .map(({ device }) => device);
}

function listOf(lists: Map<number, number[]>, flags: number): number[] {
  const found = lists.get(flags) ?? [];
  lists.set(flags, found);
  return found;
}
