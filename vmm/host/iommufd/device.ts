import { demand, Refusal, refuse } from '../kernel/errno.ts';
import { transact } from '../kernel/undo.ts';
import type { IommufdContext } from './context.ts';
import type { HostDevice, HostGroup, PageRequest } from './driver.ts';
import { allocDomain, type Hwpt, PagingHwpt, pagingOf } from './hwpt.ts';
import type { Ioas } from './ioas.ts';
import type { IommufdObject } from './objects.ts';

/** One attachment of a group: the page table, and the devices that asked for it. */
interface Attachment {
  hwpt: Hwpt;
  readonly devices: Set<IommufdDevice>;
}

/** What one iommufd knows of a group: its attachments by PASID; 0 is the requester itself. */
export class IommufdGroup {
  readonly host: HostGroup;
  readonly attachments = new Map<number, Attachment>();
  devices = 0;

  constructor(host: HostGroup) {
    this.host = host;
  }
}

/** A host device that is bound to an iommufd. Its driver in the kernel is a user: user space cannot destroy it. */
export class IommufdDevice implements IommufdObject {
  readonly kind = 'device';
  readonly id: number;
  users = 1;
  readonly host: HostDevice;
  readonly group: IommufdGroup;
  readonly context: IommufdContext;
  /** The virtual device that stands for it in a vIOMMU. */
  vdevice: { readonly id: number; bury(): void } | undefined;
  #faultUsers = 0;
  /** Whether it keeps the iommufd: a device of the selftest lives inside of it. */
  readonly #holds: boolean;

  private constructor(
    id: number,
    context: IommufdContext,
    host: HostDevice,
    group: IommufdGroup,
    holds: boolean,
  ) {
    this.id = id;
    this.#holds = holds;
    this.context = context;
    this.host = host;
    this.group = group;
  }

  /**
   * Takes a device from the host. `trusted`: interrupts need not be isolated.
   * Throws EINVAL (not coherent), EPERM (no isolated interrupts, or another iommufd owns the group), EBUSY (a kernel driver does).
   */
  static bind(context: IommufdContext, host: HostDevice, trusted = false): IommufdDevice {
    demand(host.coherent, 'EINVAL', `${host.name} is not cache coherent`);
    const isolated = host.isolatedMsi || context.host.allowUnsafeInterrupts;
    demand(trusted || isolated, 'EPERM', `the interrupts of ${host.name} are not isolated`);
    const device = context.create((id) => {
      const { owner } = host.group;
      if (owner !== undefined && owner !== context) {
        refuse(isContext(owner) ? 'EPERM' : 'EBUSY', `group ${host.group.number} belongs to somebody else`);
      }
      const group = groupOf(context, host.group);
      group.devices++;
      host.group.owner = context;
      return new IommufdDevice(id, context, host, group, !trusted);
    });
    host.sink = device;
    if (!trusted) context.hold();
    return device;
  }

  /** Gives the device back: everything of it is detached first. */
  unbind(): void {
    for (const pasid of [...this.group.attachments.keys()].filter((one) => one !== 0)) this.detach(pasid);
    this.detach(0);
    this.vdevice?.bury();
    this.host.sink = undefined;
    this.users--;
    this.context.objects.remove(this);
    if (this.#holds) this.context.drop();
  }

  destroy(): void {
    if (--this.group.devices > 0) return;
    this.group.host.owner = undefined;
    this.context.groups.delete(this.group.host);
    this.context.allocations.give('group');
  }

  /**
   * Attaches the requester (`pasid` 0) or a PASID to a page table or an IOAS; returns the page table's id.
   * Throws ENOENT, EINVAL, EBUSY, EADDRINUSE, EOPNOTSUPP and what the driver refuses.
   */
  attach(pasid: number, target: number): number {
    return this.#toTarget(target, (hwpt) => this.#attachTo(pasid, hwpt));
  }

  /** Another page table in one step: where it is refused, the old one stays. Throws EINVAL where nothing is attached. */
  replace(pasid: number, target: number): number {
    return this.#toTarget(target, (hwpt) => this.#replaceWith(pasid, hwpt));
  }

  /** Success also where nothing is attached. */
  detach(pasid: number): void {
    const attachment = this.#attachment(pasid);
    if (attachment === undefined) return;
    const { hwpt, devices } = attachment;
    devices.delete(this);
    hwpt.fault?.flush(hwpt, this);
    if (devices.size === 0) {
      this.host.driver.detach(this.host, pasid);
      this.group.attachments.delete(pasid);
    }
    if (hwpt.fault !== undefined) this.#faultsOff();
    if (pasid === 0) pagingOf(hwpt).ioas.table.release(this);
    this.context.allocations.give('attach');
    this.#put(hwpt);
  }

  /** The page table that a PASID (0: the requester) has through this device. */
  hwptOf(pasid: number): Hwpt | undefined {
    return this.#attachment(pasid)?.hwpt;
  }

  /** PASIDs that this device attached, ascending, without 0. */
  pasids(): number[] {
    return [...this.group.attachments.keys()]
      .filter((pasid) => pasid !== 0 && this.hwptOf(pasid))
      .sort((a, b) => a - b);
  }

  /** A group of page requests of the device. Nobody to ask: answered INVALID, as the hardware would be told. */
  report(pasid: number, requests: readonly PageRequest[]): boolean {
    const hwpt = this.hwptOf(pasid);
    if (hwpt?.fault === undefined) return false;
    hwpt.fault.push(hwpt, this, requests);
    return true;
  }

  #attachment(pasid: number): Attachment | undefined {
    const attachment = this.group.attachments.get(pasid);
    return attachment?.devices.has(this) === true ? attachment : undefined;
  }

  #toTarget(target: number, use: (hwpt: Hwpt) => void): number {
    const object = this.context.objects.find(target) ?? refuse('ENOENT', `there is no object ${target}`);
    switch (object.kind) {
      case 'hwpt-paging':
      case 'hwpt-nested':
        use(object as Hwpt);
        return object.id;
      case 'ioas':
        return this.#automatic(object as Ioas, use);
      default:
        return refuse('EINVAL', `${object.kind} ${target} is neither IOAS nor page table`);
    }
  }

  /** A page table that was made for this IOAS before, or a new one. EINVAL means that one does not suit the device. */
  #automatic(ioas: Ioas, use: (hwpt: Hwpt) => void): number {
    for (const id of [...ioas.automatic]) {
      try {
        use(this.context.get<PagingHwpt>(id, ['hwpt-paging']));
        return id;
      } catch (cause) {
        if (!(cause instanceof Refusal) || cause.errno !== 'EINVAL') throw cause;
      }
    }
    const { context } = this;
    const made = context.create(
      (id) => {
        const domain = allocDomain(context, () => this.host.driver.allocPaging(this.host, 0, undefined));
        const parts = {
          id,
          context,
          ioas,
          domain,
          automatic: true,
          pasidCompatible: false,
          fault: undefined,
        };
        return new PagingHwpt(parts);
      },
      (hwpt) => {
        hwpt.fill();
        use(hwpt);
      },
    );
    return made.id;
  }

  #attachTo(pasid: number, hwpt: Hwpt): void {
    this.#checkCompatible(pasid, hwpt);
    const present = this.group.attachments.get(pasid);
    demand(
      present === undefined || present.hwpt === hwpt,
      'EINVAL',
      'the group is attached to another page table',
    );
    demand(present?.devices.has(this) !== true, 'EBUSY', `${this.host.name} is attached already`);
    transact((undo) => {
      this.context.allocations.take('attach');
      undo(() => this.context.allocations.give('attach'));
      if (pasid === 0) this.#reserve(hwpt, undo);
      if (hwpt.fault !== undefined) {
        this.#faultsOn();
        undo(() => this.#faultsOff());
      }
      if (present === undefined) {
        this.host.driver.attach(this.host, pasid, hwpt.domain);
        this.group.attachments.set(pasid, { hwpt, devices: new Set([this]) });
      } else present.devices.add(this);
      hwpt.users++;
    });
  }

  #replaceWith(pasid: number, hwpt: Hwpt): void {
    const attachment =
      this.#attachment(pasid) ?? refuse('EINVAL', `${this.host.name} has nothing attached to replace`);
    const old = attachment.hwpt;
    if (old === hwpt) return;
    this.#checkCompatible(pasid, hwpt);
    const devices = [...attachment.devices];
    transact((undo) => {
      this.context.allocations.point('attach');
      const moves = pasid === 0 && pagingOf(old).ioas !== pagingOf(hwpt).ioas;
      if (moves) for (const device of devices) device.#reserve(hwpt, undo);
      if (hwpt.fault !== undefined && old.fault === undefined) {
        for (const device of devices) {
          device.#faultsOn();
          undo(() => device.#faultsOff());
        }
      }
      this.host.driver.attach(this.host, pasid, hwpt.domain);
      if (moves) for (const device of devices) pagingOf(old).ioas.table.release(device);
    });
    attachment.hwpt = hwpt;
    hwpt.users += devices.length;
    for (const device of devices) {
      old.fault?.flush(old, device);
      if (old.fault !== undefined && hwpt.fault === undefined) device.#faultsOff();
      this.#put(old);
    }
  }

  /** PASIDs and what the requester is attached to must go together. */
  #checkCompatible(pasid: number, hwpt: Hwpt): void {
    const others = [...this.group.attachments.keys()].some((one) => one !== 0);
    if (pasid === 0) {
      demand(
        hwpt.pasidCompatible || !others,
        'EINVAL',
        'PASIDs are attached, and this page table does not go with PASIDs',
      );
      return;
    }
    demand(hwpt.pasidCompatible, 'EINVAL', 'the page table was not made for PASIDs');
    const own = this.group.attachments.get(0)?.hwpt;
    demand(
      own === undefined || own.pasidCompatible,
      'EINVAL',
      "the requester's page table does not go with PASIDs",
    );
    demand(this.host.pasidWidth > 0, 'EOPNOTSUPP', `${this.host.name} has no PASIDs`);
    demand(
      pasid < 2 ** this.host.pasidWidth,
      'EINVAL',
      `PASID ${pasid} is wider than ${this.host.pasidWidth} bits`,
    );
  }

  #reserve(hwpt: Hwpt, undo: (step: () => void) => void): void {
    const { table } = pagingOf(hwpt).ioas;
    undo(() => table.release(this));
    for (const { start, last } of this.host.reserved) table.reserve(start, last, this);
  }

  #faultsOn(): void {
    demand(
      !this.host.sharedPri,
      'EINVAL',
      `${this.host.name} shares the page requests of its physical function`,
    );
    if (this.#faultUsers++ === 0) this.host.driver.enableFaults?.(this.host);
  }

  #faultsOff(): void {
    if (--this.#faultUsers === 0) this.host.driver.disableFaults?.(this.host);
  }

  /** A device less; a page table that came by itself goes by itself. */
  #put(hwpt: Hwpt): void {
    hwpt.users--;
    if (hwpt.users === 0 && hwpt.kind === 'hwpt-paging' && hwpt.automatic) this.context.objects.remove(hwpt);
  }
}

function groupOf(context: IommufdContext, host: HostGroup): IommufdGroup {
  const known = context.groups.get(host);
  if (known !== undefined) return known;
  context.allocations.take('group');
  const group = new IommufdGroup(host);
  context.groups.set(host, group);
  return group;
}

/** An owner that is an iommufd, as opposed to a driver of the kernel. */
const isContext = (owner: object): boolean => 'objects' in owner;
