import type { DeviceFacts } from '../../devices/vconfig/facts.ts';
import { portOf, type ViommuPort } from '../../viommu/port/port.ts';
import type { DeviceView } from '../bus/device.ts';
import { DMA_OK, type DmaTranslator, NO_PASID, PAGE_RESPONSE_INVALID } from '../bus/dma.ts';
import { DEVICE_TLB_DONE, type Iommu } from '../bus/iommu.ts';
import { EXIT, TsvmmError } from '../core/errors.ts';
import type { Syscalls } from '../host/kernel/syscalls.ts';
import type { GuestRam } from '../mem/ram.ts';
import { AddressSpace } from './address-space.ts';
import { AssignedDevice } from './assigned-device.ts';
import type { Channel, ChannelName, DevicePaths } from './channel.ts';
import type { CommandPasids } from './command-pasids.ts';
import { type Forwarders, forwardersFor } from './forwarders.ts';
import type { GuestDevice, PathMode } from './guest-device.ts';
import { HostCalls, HostRefused } from './host-calls.ts';
import { PassthroughLog } from './log.ts';
import { type Choice, choose, type ModeWish } from './modes.ts';
import { PageFaults } from './page-faults.ts';
import { SoftwarePath } from './software.ts';
import { SvmChannel } from './svm-channel.ts';
import { Verification } from './verify.ts';
import { passthroughViews } from './views.ts';

/** What a host gives to the VMM that runs on it. */
export interface PassthroughHost {
  /** The VMM's own process: its memory is the guest's linear memory. */
  readonly sys: Syscalls;
  /** The files of a device that VFIO has, and of its group, by its address; undefined: no such device. */
  pathsOf(address: string): DevicePaths | undefined;
  /** Addresses of devices that VFIO has. */
  readonly devices: readonly string[];
  /** Lets another translate what a device sends: undefined puts the host's IOMMU back. */
  route(address: string, translator: DmaTranslator | undefined): void;
  /** A message of an IOMMU to the device, for as long as another than the host's translates what it sends. */
  endpoint(address: string): DeviceEndpoint;
  /** What a device has in hardware, whether its IOMMU lets it use that or not: what catching its requests makes possible. */
  own(address: string): DeviceFacts;
  /** The device's requests are caught from now on, or not any more: then PASID, ATS and page requests are as its driver has them. */
  caught(address: string, caught: boolean): void;
  /** A caught device was told of a Response Failure, with which it makes no page requests any more: it may again. */
  rearm(address: string): void;
  /** Tells of requests that an IOMMU of the host refused for good: what its kernel writes to its log. */
  onFault(listener: (fault: HostFault) => void): void;
  /** The IOMMU that a device is behind. */
  hardware(address: string): DmaTranslator;
  /** What the hardware translates is compared with what the guest's IOMMU model says (`--verify`). */
  readonly verify: boolean;
  /** A machine on this host is built with `--fallback`. */
  readonly fallback: Fallback;
  /** Why the guest's IOMMU is as it is, where it is made after a unit of the host. */
  readonly viommu: { readonly json: object; readonly text: readonly string[] } | undefined;
}

/** A request that an IOMMU of the host refused. */
export interface HostFault {
  /** Address of the device on the host. */
  readonly device: string;
  /** NO_PASID where it had none. */
  readonly pasid: number;
  readonly lo: number;
  readonly hi: number;
  /** A set of READ, WRITE, EXEC. */
  readonly access: number;
  readonly what: string;
  /** Of the fault, as the specification writes it: `71h`. */
  readonly code: string;
}

/** Whether a device may be served by a lesser path than the hardware's. */
export type Fallback = 'forbid' | 'explain';

/** DmaEndpoints for one device. */
export interface DeviceEndpoint {
  invalidate(pasid: number, lo: number, hi: number, order: number, tag: number): number;
  pageResponse(pasid: number, group: number, code: number): void;
  resume(tag: number, retry: boolean): void;
}

/** What a vfio-pci device asks for. */
export interface AssignmentWish {
  readonly id: string;
  readonly address: string;
  readonly mode: ModeWish;
  /** Keys of capabilities that guests have seen of it, or are to see. */
  readonly planned: readonly string[];
}

export interface Assignment {
  readonly device: GuestDevice;
  readonly choice: Choice;
}

/** All assigned devices of a machine: their files, their page tables, and who forwards what the guest does with its IOMMU. */
export class Passthrough {
  readonly log = new PassthroughLog();
  readonly views: readonly DeviceView[];
  readonly assignments: Assignment[] = [];
  readonly #host: PassthroughHost;
  readonly #ram: GuestRam;
  readonly #iommu: Iommu | undefined;
  #space: AddressSpace | undefined;
  #svm: SvmChannel | undefined;
  #faults: PageFaults | undefined;
  #forwarders: Forwarders | undefined;
  #software: SoftwarePath | undefined;
  /** With `--verify`, from the first device on that the hardware serves. */
  verification: Verification | undefined;
  /** Files of devices, by the id of the guest's. */
  readonly #open = new Map<string, AssignedDevice>();
  /** Devices that were taken off the hardware because of what the guest did, and why. */
  readonly #degraded = new Map<string, readonly string[]>();

  constructor(host: PassthroughHost, ram: GuestRam, iommu: Iommu | undefined) {
    this.#host = host;
    this.#ram = ram;
    this.#iommu = iommu;
    this.views = passthroughViews(this, host.viommu);
    host.onFault((met) => {
      const fault = { ...met, pasid: this.#guestPasid(met.pasid) };
      this.verification?.faulted(fault);
      this.#faulted(fault);
    });
  }

  /**
   * A device's request was refused on the host. iommufd has no way to tell a VMM of VT-d's faults (Linux: no vEVENTQ of that type),
   * only the host's log has them. The guest's unit meets the request in its turn, and records what it finds wrong.
   */
  #faulted({ device, pasid, lo, hi, access, what }: HostFault): void {
    const found = this.assignments.find((one) => one.device.host.name === device);
    if (found === undefined || this.#software?.has(found.device) === true) return;
    // Events of nested SMMUv3 streams come by iommufd.
    if (this.port?.architecture === 'smmuv3' && this.pathOf(found) === 'nested') return;
    const { dma } = found.device;
    const before = dma.pasid;
    dma.pasid = pasid;
    const status = this.#iommu?.translator.translate(dma, lo, hi, access);
    dma.pasid = before;
    this.#refusedAt(found.device, pasid, lo, hi);
    if (status === DMA_OK) this.log.note(`${device}: ${what}; the guest's unit would have let it pass`);
  }

  /** Opens a device of the host. @throws TsvmmError where there is none, or the host refuses it */
  open(id: string, address: string, channel: ChannelName = 'iommufd'): AssignedDevice {
    const paths = this.#host.pathsOf(address);
    if (paths === undefined) {
      throw new TsvmmError({
        code: 'no-host-device',
        object: `${id}: host=${address}`,
        why: 'the host has no such device for VFIO',
        mend: `use one of: ${this.#host.devices.join(', ')}`,
      });
    }
    for (const [other, { name }] of this.#open) {
      if (name !== address) continue;
      throw new TsvmmError({
        code: 'host-device-twice',
        object: `${id}: host=${address}`,
        why: `${other} is this device of the host already`,
        mend: 'assign each device of the host once',
      });
    }
    return refusedAs(id, () => {
      const device = new AssignedDevice(this.space.calls, this.#channel(channel), address, paths);
      this.#open.set(id, device);
      return device;
    });
  }

  #channel(name: ChannelName): Channel {
    if (name === 'iommufd') return this.space;
    this.#svm ??= new SvmChannel(this.space, this.#ram, ({ id }, fd) => this.faults?.listen(fd, id));
    return this.#svm;
  }

  get space(): AddressSpace {
    this.#space ??= new AddressSpace(new HostCalls(this.#host.sys, this.#ram), this.#ram);
    return this.#space;
  }

  get port(): ViommuPort | undefined {
    return this.#iommu === undefined ? undefined : portOf(this.#iommu);
  }

  /** Which path is to serve a device. @param shown what the host lets it do @throws TsvmmError where the policy forbids it */
  choose(wish: AssignmentWish, host: AssignedDevice, shown: DeviceFacts): Choice {
    const beside = this.#besideOf(host);
    const abilities = { own: this.#host.own(wish.address), shown, planned: wish.planned, beside };
    const choice = choose(host.info, this.port, wish.mode, abilities);
    const { mode, reasons, lacks } = choice;
    const against = wish.mode === 'auto' && mode === 'software' ? reasons : lacks;
    if (against.length > 0 && this.#host.fallback === 'forbid') {
      throw new TsvmmError({
        code: 'no-nesting',
        object: `${wish.id}: host=${wish.address}`,
        why: `cannot be served by the hardware: ${against.join('; ')}`,
        mend: 'take another host or vIOMMU, or --fallback explain',
        exit: EXIT.hostRefused,
      });
    }
    if (beside !== undefined && mode !== 'software') {
      throw new TsvmmError({
        code: 'host-refused',
        object: `${wish.id}: host=${wish.address}`,
        why: `mode=${mode}: ${lacks.join('; ')}`,
        mend: "have the host's hardware serve one device of the group only",
        exit: EXIT.hostRefused,
      });
    }
    return choice;
  }

  #besideOf(host: AssignedDevice): string | undefined {
    for (const other of this.#open.values())
      if (other !== host && other.group === host.group) return other.name;
    return undefined;
  }

  /** What a device can do for its guest on the path that is to serve it. */
  factsOf(address: string, { mode }: Choice, shown: DeviceFacts): DeviceFacts {
    return mode === 'software' ? this.#host.own(address) : shown;
  }

  /** Puts the device on its path. @throws TsvmmError where the host refuses */
  assign(device: GuestDevice, choice: Choice): void {
    refusedAs(device.id, () => this.#connect(device, choice.mode));
    this.assignments.push({ device, choice });
  }

  pathOf({ device, choice }: Assignment): PathMode {
    if (this.#software?.has(device) === true) return 'software';
    return this.#forwarders?.modeOf(device) ?? choice.mode;
  }

  reasonsOf({ device, choice: { reasons, lacks } }: Assignment): readonly string[] {
    return [...new Set([...reasons, ...lacks, ...(this.#degraded.get(device.id) ?? [])])];
  }

  #connect(device: GuestDevice, mode: PathMode): void {
    if (mode === 'software') this.software.add(device);
    else {
      this.forwarders.add(device, mode);
      this.verification?.add(device);
    }
    this.faults?.add(device);
  }

  get software(): SoftwarePath {
    const guestPasid = (pasid: number) => this.#guestPasid(pasid);
    const translator = this.#iommu?.translator;
    this.#software ??= new SoftwarePath(translator, this.#ram, this.space, this.#host, guestPasid);
    return this.#software;
  }

  get forwarders(): Forwarders {
    this.#forwarders ??= forwardersFor(this.port, {
      space: this.space,
      ram: this.#ram,
      log: this.log,
      verification: this.port === undefined ? undefined : this.#verify(this.port),
      needs: {
        faultsWanted: () => this.faults?.listen(this.space.faults.fd),
        unbound: (device: GuestDevice, pasid: number) => this.#faults?.unbound(device, pasid),
        unsupported: (device: GuestDevice, why: string) => this.#degrade(device, why),
      },
    });
    return this.#forwarders;
  }

  #verify(port: ViommuPort): Verification | undefined {
    if (!this.#host.verify) return undefined;
    this.verification = new Verification({
      host: this.#host,
      port,
      ram: this.#ram,
      offset: this.space.physical - this.#ram.base,
      guestPasid: (pasid) => this.#guestPasid(pasid),
      attachments: (device) => this.attachments(device),
    });
    return this.verification;
  }

  /** The guest did what the path cannot follow: a lesser one serves the device from now on, in the end its IOMMU model. */
  #degrade(device: GuestDevice, why: string): void {
    if (this.#software?.has(device) === true) return;
    if (this.forwarders.toShadow(device)) {
      this.#degraded.set(device.id, [why, ...(this.#degraded.get(device.id) ?? [])]);
      return;
    }
    if (this.#host.fallback === 'forbid') {
      this.log.note(`${device.id}: stays blocked, because software is forbidden: ${why}`);
      return;
    }
    this.#degraded.set(device.id, [...(this.#degraded.get(device.id) ?? []), why]);
    this.#forwarders?.remove(device);
    this.verification?.remove(device);
    this.software.add(device);
  }

  get faults(): PageFaults | undefined {
    if (this.#iommu === undefined) return undefined;
    if (this.#faults === undefined) {
      const { port } = this;
      const hold = port?.architecture === 'smmuv3' && port.stalls ? port.hold : undefined;
      this.#faults = new PageFaults({
        calls: this.space.calls,
        translator: this.#iommu.translator,
        hold,
        guestPasid: (pasid) => this.#guestPasid(pasid),
        log: this.log,
        asked: (device, pasid, lo, hi) => this.#refusedAt(device, pasid, lo, hi),
      });
    }
    return this.#faults;
  }

  /** The PASIDs of commands, where there are such: of VT-d. */
  get #commands(): CommandPasids | undefined {
    return this.#forwarders?.commands;
  }

  #guestPasid(pasid: number): number {
    return pasid === NO_PASID ? pasid : (this.#commands?.guestOf(pasid) ?? pasid);
  }

  /** The PASID that a command (ENQCMD) to the device has when it gets there; -1: the host has none left, and it is to be tried again. */
  commandPasid(device: GuestDevice, pasid: number): number {
    const commands = this.#commands;
    if (commands === undefined || !commands.has(device)) return pasid;
    const host = commands.translate(pasid);
    // What was attached for it may have taken the device to another path.
    return commands.has(device) ? host : pasid;
  }

  /** Before a store of the guest reaches a device. */
  settle(): void {
    this.#forwarders?.settle();
    this.verification?.readAhead();
  }

  /** What the device is attached to on the host, by PASID (-1: the requester), for people. */
  attachments(device: GuestDevice) {
    return this.#forwarders?.attachments(device) ?? [];
  }

  /** A device-TLB invalidation. The host drops what its devices keep along with what it invalidates itself. */
  invalidateDevice(
    device: GuestDevice,
    pasid: number,
    lo: number,
    hi: number,
    order: number,
    tag: number,
  ): number {
    if (this.#software?.has(device) !== true) return DEVICE_TLB_DONE;
    return this.#host.endpoint(device.host.name).invalidate(pasid, lo, hi, order, tag);
  }

  /** PCI Express Base: ATS Control Register: with each change of Enable the device forgets its translations. */
  dropDeviceTlb(device: GuestDevice): void {
    if (this.#software?.forget(device) !== true) this.#forwarders?.forget(device);
  }

  respond(device: GuestDevice, pasid: number, group: number, code: number): void {
    device.requests.answered(group);
    if (this.#software?.has(device) === true) {
      this.#host.endpoint(device.host.name).pageResponse(pasid, group, code);
      if (code <= PAGE_RESPONSE_INVALID) return;
      // PCI Express Base: PRG Response Message: a Response Failure disables page requests: those that the guest sees.
      device.pageRequestsFailed();
      this.#host.rearm(device.host.name);
    } else {
      this.settle();
      this.#faults?.respond(device, pasid, group, code);
    }
  }

  #refusedAt(device: GuestDevice, pasid: number, lo: number, hi: number): void {
    this.#forwarders?.refusedAt(device, pasid, lo, hi);
  }

  resume(device: GuestDevice, tag: number, retry: boolean): void {
    if (this.#software?.has(device) === true) this.#host.endpoint(device.host.name).resume(tag, retry);
    else this.#faults?.resume(device, tag, retry);
  }

  /** The guest sees a device that has asked for nothing yet. */
  dropPageRequests(device: GuestDevice): void {
    this.#faults?.drop(device);
    this.#commands?.reset(device);
  }

  /**
   * Throws away all that the host has for the guest's IOMMU, and makes it anew from the registers of that and the tables in the
   * guest's RAM, as a machine that arrives has to. Caches are empty then. What cannot be made anew stays: files of devices, PASIDs
   * that commands have on the host, and the path that each device is on.
   * @throws TsvmmError where the host waits for answers of the guest: iommufd would give them itself, and the device would see it
   */
  rebuild(): void {
    const devices = this.assignments.map(({ device }) => device);
    const served = devices.flatMap((device) => {
      const mode = this.#forwarders?.modeOf(device);
      return mode === undefined ? [] : [{ device, mode }];
    });
    for (const { device } of served) if (this.#faults?.busy(device) === true) throw waits(device);
    this.#forwarders?.clear();
    this.#told(() => this.#dropFaults());
    for (const { device, mode } of served) this.#again(device, mode);
    // What is detached is blocked, too.
    for (const device of devices) this.#told(() => this.#software?.rebuild(device));
    this.verification?.readAhead();
  }

  #told(work: () => void): void {
    try {
      work();
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      this.log.refused(cause);
    }
  }

  #dropFaults(): void {
    const fd = this.#space?.dropFaults();
    if (fd !== undefined) this.#faults?.unlisten(fd);
  }

  /** A host that refuses what it had before has less now: then a lesser path serves the device. */
  #again(device: GuestDevice, mode: PathMode): void {
    try {
      this.forwarders.add(device, mode);
    } catch (cause) {
      if (!(cause instanceof HostRefused)) throw cause;
      this.log.refused(cause);
      this.#degrade(device, `the host refused: ${cause.message}`);
    }
  }

  /** The machine was reset, its IOMMU and devices one by one. */
  afterReset(): void {
    for (const { device } of this.assignments) device.follow();
    this.settle();
  }

  /** The device of this id is gone from the machine, or never came to be part of it. */
  releaseId(id: string): void {
    const found = this.assignments.find(({ device }) => device.id === id);
    if (found !== undefined) this.#release(found);
    this.#degraded.delete(id);
    this.#open.get(id)?.close();
    this.#open.delete(id);
  }

  #release(assignment: Assignment): void {
    const { device } = assignment;
    this.assignments.splice(this.assignments.indexOf(assignment), 1);
    this.#forwarders?.remove(device);
    this.verification?.remove(device);
    this.#software?.remove(device);
    this.#faults?.remove(device);
    device.close();
  }
}

const waits = ({ id }: GuestDevice) =>
  new TsvmmError({
    code: 'requests-wait',
    object: id,
    why: 'page requests or held transactions of it wait for an answer of the guest',
    mend: 'try again when the guest has answered',
  });

/** What the host refuses while a machine is built is the user's to mend. */
function refusedAs<T>(id: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof HostRefused)) throw cause;
    throw new TsvmmError({
      code: 'host-refused',
      object: id,
      why: `the host refused: ${cause.message}`,
      exit: EXIT.hostRefused,
      cause,
    });
  }
}
