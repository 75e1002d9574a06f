import type { ViommuPort } from '../../viommu/port/port.ts';
import type { SmmuBackend, SmmuPort } from '../../viommu/port/smmuv3.ts';
import type { VtdBackend, VtdPort } from '../../viommu/port/vtd.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import type { CommandPasids } from './command-pasids.ts';
import type { Bound, ForwarderNeeds, GuestDevice, PathMode } from './guest-device.ts';
import type { PassthroughLog } from './log.ts';
import { SmmuBackends } from './smmu-backends.ts';
import { SmmuForwarder } from './smmu-forwarder.ts';
import { SmmuShadow } from './smmu-shadow.ts';
import type { Verification } from './verify.ts';
import { VtdForwarder } from './vtd-forwarder.ts';

/** Who forwards for the devices that the hardware serves, nested or by shadows, between them. */
export interface Forwarders {
  /** Whom the guest's IOMMU tells. */
  readonly backend: VtdBackend | SmmuBackend;
  /** PASIDs in commands to devices: of VT-d. */
  readonly commands?: CommandPasids;
  /** @throws HostRefused */
  add(device: GuestDevice, mode: PathMode): void;
  remove(device: GuestDevice): void;
  /** Lets go of all devices, and gives back to the host all that was made for them. */
  clear(): void;
  /** Moves a device to shadows whose host's nesting cannot follow its guest. False: there is no such move. */
  toShadow(device: GuestDevice): boolean;
  /** Which of the two serves it; undefined: neither does. */
  modeOf(device: GuestDevice): PathMode | undefined;
  settle(): void;
  attachments(device: GuestDevice): readonly (readonly [pasid: number, bound: Bound])[];
  /** The device has asked for a page, or was refused it. */
  refusedAt(device: GuestDevice, pasid: number, lo: number, hi: number): void;
  /** The device is to have no translations any more. */
  forget(device: GuestDevice): void;
}

/** What forwarders stand on. */
export interface ForwarderGround {
  readonly space: AddressSpace;
  readonly ram: GuestRam;
  readonly log: PassthroughLog;
  readonly needs: ForwarderNeeds;
  /** Hears what the forwarders hear, where there is one. */
  readonly verification: Verification | undefined;
}

/** @param port absent: the guest has no IOMMU, and devices use its physical addresses */
export function forwardersFor(port: ViommuPort | undefined, ground: ForwarderGround): Forwarders {
  return port?.architecture === 'smmuv3' ? new SmmuForwarders(port, ground) : vtdForwarders(port, ground);
}

/** One does both: what a device's host does not nest is shadowed, binding by binding. */
function vtdForwarders(port: VtdPort | undefined, ground: ForwarderGround): Forwarders {
  const { space, ram, log, needs, verification } = ground;
  const forwarder = new VtdForwarder(space, port, ram, log, needs);
  port?.connect(verification?.aroundVtd(forwarder) ?? forwarder);
  return {
    backend: forwarder,
    commands: forwarder.commands,
    add: (device, mode) => forwarder.add(device, mode === 'nested'),
    remove: (device) => forwarder.remove(device),
    clear: () => forwarder.clear(),
    toShadow: () => false,
    modeOf: (device) => forwarder.modeOf(device),
    settle: () => forwarder.settle(),
    attachments: (device) => forwarder.attachments(device),
    refusedAt: (device, pasid, lo, hi) => forwarder.refusedAt(device, pasid, lo, hi),
    forget: (device) => forwarder.forget(device),
  };
}

/** Made when the first device needs them: each has page tables of its own. */
class SmmuForwarders implements Forwarders {
  readonly #port: SmmuPort;
  readonly #ground: ForwarderGround;
  #nested: SmmuForwarder | undefined;
  #shadow: SmmuShadow | undefined;
  readonly #backends: SmmuBackend[] = [];
  readonly backend = new SmmuBackends(this.#backends);

  constructor(port: SmmuPort, ground: ForwarderGround) {
    this.#port = port;
    this.#ground = ground;
    port.connect(ground.verification?.aroundSmmu(this.backend) ?? this.backend);
  }

  add(device: GuestDevice, mode: PathMode): void {
    if (mode === 'nested') this.#nesting().add(device);
    else this.#shadowing().add(device);
  }

  #nesting(): SmmuForwarder {
    const { space, log, needs } = this.#ground;
    if (this.#nested === undefined) {
      this.#nested = new SmmuForwarder(space, this.#port, log, needs);
      this.#backends.push(this.#nested);
    }
    return this.#nested;
  }

  #shadowing(): SmmuShadow {
    const { space, ram, log, needs } = this.#ground;
    if (this.#shadow === undefined) {
      this.#shadow = new SmmuShadow(space, this.#port, ram, log, needs);
      this.#backends.push(this.#shadow);
    }
    return this.#shadow;
  }

  remove(device: GuestDevice): void {
    this.#nested?.remove(device);
    this.#shadow?.remove(device);
  }

  clear(): void {
    this.#nested?.clear();
    this.#shadow?.clear();
  }

  toShadow(device: GuestDevice): boolean {
    if (this.modeOf(device) !== 'nested' || !device.host.channel.shadows) return false;
    this.#nested!.remove(device);
    this.add(device, 'shadow');
    return true;
  }

  modeOf(device: GuestDevice): PathMode | undefined {
    if (this.#shadow?.has(device) === true) return 'shadow';
    return this.#nested?.has(device) === true ? 'nested' : undefined;
  }

  settle(): void {
    this.#nested?.settle();
    this.#shadow?.settle();
  }

  attachments(device: GuestDevice) {
    const nested = this.#nested?.attachments(device) ?? [];
    return nested.length > 0 ? nested : (this.#shadow?.attachments(device) ?? []);
  }

  refusedAt(device: GuestDevice, pasid: number, lo: number, hi: number): void {
    this.#shadow?.refusedAt(device, pasid, lo, hi);
  }

  forget(device: GuestDevice): void {
    this.#nested?.forget(device);
  }
}
