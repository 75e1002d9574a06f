import { Access } from '../iommufd/access.ts';
import type { IommufdContext } from '../iommufd/context.ts';
import { IommufdDevice } from '../iommufd/device.ts';
import type { HostDevice } from '../iommufd/driver.ts';
import { type Hwpt, pagingOf } from '../iommufd/hwpt.ts';
import type { IoPagetable } from '../iommufd/io-pagetable.ts';
import type { Ioas } from '../iommufd/ioas.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { transact } from '../kernel/undo.ts';
import type { DmaIntents, SoftwareDma } from './intents.ts';
import type { PasidPath } from './topology.ts';

/** How a device reaches its address spaces, once it is bound to an iommufd. */
export interface Binding {
  readonly context: IommufdContext;
  /** The device's id there. */
  readonly id: number;
  /** `pasid` absent: the device itself. A second attach replaces. Returns the id of the page table or IOAS that it got. */
  attach(pasid: number | undefined, target: number): number;
  detach(pasid: number | undefined): void;
  unbind(): void;
}

/** Binds by what the device's driver declared. Throws what IommufdDevice.bind does. */
export function bind(
  context: IommufdContext,
  host: HostDevice,
  intents: DmaIntents,
  path: PasidPath | undefined,
): Binding {
  const { software } = intents;
  return software === undefined
    ? new PhysicalBinding(context, host, intents, path)
    : new SoftwareBinding(context, software);
}

const MOST_PASID = 0x7fff_ffff;

/** Requests of a physical device. */
class PhysicalBinding implements Binding {
  readonly context: IommufdContext;
  readonly #device: IommufdDevice;
  readonly #intents: DmaIntents;
  readonly #path: PasidPath | undefined;
  /** What the user attached: PASIDs, and `undefined` for the device itself. */
  readonly #attached = new Set<number | undefined>();
  /** Where windows of peers are kept out, by PASID. */
  readonly #kept = new Map<number, { readonly table: IoPagetable; readonly owner: object }>();

  constructor(context: IommufdContext, host: HostDevice, intents: DmaIntents, path: PasidPath | undefined) {
    this.context = context;
    this.#intents = intents;
    this.#path = path;
    this.#device = IommufdDevice.bind(context, host);
  }

  get id(): number {
    return this.#device.id;
  }

  attach(pasid: number | undefined, target: number): number {
    const own = this.#pasid(pasid);
    // Linux notes PASIDs in an IDA, which has no numbers above INT_MAX (lib/idr.c: ida_alloc_range).
    demand(own <= MOST_PASID, 'ENOSPC', `${own} is no PASID`);
    return transact((undo) => {
      const kept = own === 0 ? undefined : this.#keepWindows(target, undo);
      const device = this.#device;
      const id = this.#attached.has(pasid) ? device.replace(own, target) : device.attach(own, target);
      this.#attached.add(pasid);
      this.#forget(own);
      if (kept !== undefined) this.#kept.set(own, kept);
      return id;
    });
  }

  detach(pasid: number | undefined): void {
    const own = this.#pasid(pasid);
    if (!this.#attached.delete(pasid)) return;
    this.#device.detach(own);
    this.#forget(own);
  }

  unbind(): void {
    this.#device.unbind();
    for (const own of [...this.#kept.keys()]) this.#forget(own);
  }

  /** The PASID in the device's requests; 0: none, and also what Linux takes for none. Throws EOPNOTSUPP. */
  #pasid(pasid: number | undefined): number {
    if (pasid === undefined) return this.#intents.linkedPasid ?? 0;
    demand(
      this.#intents.intents.includes('pasid-tlp'),
      'EOPNOTSUPP',
      "the device's driver declared no requests with PASIDs of its user",
    );
    return pasid;
  }

  /**
   * Where peers may catch requests with PASID, their registers are kept out of the address space; a table that the host does not fill
   * cannot be kept free of them. Throws EOPNOTSUPP, EADDRINUSE.
   */
  #keepWindows(target: number, undo: (step: () => void) => void) {
    const path = this.#path;
    if (path === undefined || path.verdict === 'free') return undefined;
    demand(path.verdict !== 'refused', 'EOPNOTSUPP', `requests with PASID may go astray: ${path.why}`);
    const object = this.context.objects.find(target);
    if (object?.kind === 'hwpt-nested')
      refuse('EOPNOTSUPP', `a table that the user fills may name addresses of peers: ${path.why}`);
    const table =
      object?.kind === 'ioas'
        ? (object as Ioas).table
        : object?.kind === 'hwpt-paging'
          ? pagingOf(object as Hwpt).ioas.table
          : undefined;
    if (table === undefined) return undefined;
    const owner = {};
    undo(() => table.release(owner));
    for (const { start, last } of path.windows) table.reserve(start, last, owner);
    return { table, owner };
  }

  #forget(pasid: number): void {
    const kept = this.#kept.get(pasid);
    kept?.table.release(kept.owner);
    this.#kept.delete(pasid);
  }
}

/** A device whose driver does its DMA in software: it has an IOAS, and no page table. */
class SoftwareBinding implements Binding {
  readonly context: IommufdContext;
  readonly #access: Access;
  readonly #software: SoftwareDma;

  constructor(context: IommufdContext, software: SoftwareDma) {
    this.context = context;
    this.#software = software;
    const unmap = (iova: bigint, length: bigint) => software.unmap(iova, length);
    this.#access = Access.create(context, { pins: true, unmap });
    software.bound(this.#access);
  }

  get id(): number {
    return this.#access.id;
  }

  attach(pasid: number | undefined, target: number): number {
    demand(pasid === undefined, 'EOPNOTSUPP', 'a device in software has no PASIDs');
    if (this.#access.ioas === undefined) this.#access.attach(target);
    else this.#access.replace(target);
    return target;
  }

  detach(pasid: number | undefined): void {
    demand(pasid === undefined, 'EOPNOTSUPP', 'a device in software has no PASIDs');
    this.#access.detach();
  }

  unbind(): void {
    this.#access.end();
    this.#software.bound(undefined);
  }
}
