import type { IommufdContext } from '../iommufd/context.ts';
import type { HostDevice } from '../iommufd/driver.ts';
import type { Allocations } from '../kernel/allocations.ts';
import { demand } from '../kernel/errno.ts';
import { type Binding, bind } from './attach.ts';
import type { DmaIntents } from './intents.ts';
import { OpenDevice } from './open-device.ts';
import type { PhysicalFunction } from './physical.ts';
import { capabilityAt, readSpace } from './raw-space.ts';
import type { PasidPath } from './topology.ts';
import { VfTokens } from './vf-token.ts';
import type { VfioGroup } from './vfio-group.ts';

/** A function that a reset of a slot or bus resets, too. */
export interface ResetMember {
  readonly name: string;
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
  /** Number of its group; `undefined`: it has none, and cannot be reset by anybody. */
  readonly group: number | undefined;
}

/** What is reset together: one object for all functions of a slot or bus. */
export interface ResetScope {
  readonly members: readonly ResetMember[];
  /** Resets all of them. */
  reset(): void;
}

/** What a driver registers with VFIO. */
export interface VfioRegistration {
  readonly fn: PhysicalFunction;
  readonly host: HostDevice;
  /** What its driver declares; vfio-pci's if absent. */
  readonly intents?: DmaIntents;
  /** Absent: a device of a root bus, which only its own reset reaches. */
  readonly scope?: ResetScope;
  /** Whether its requests with PASID may stray; absent: they do not. */
  readonly path?: PasidPath;
}

/** A device that VFIO offers, whether somebody uses it or not. */
export class VfioDevice {
  readonly number: number;
  readonly fn: PhysicalFunction;
  readonly host: HostDevice;
  readonly intents: DmaIntents;
  readonly scope: ResetScope | undefined;
  readonly path: PasidPath | undefined;
  readonly group: VfioGroup;
  readonly allocations: Allocations;
  /** Of a physical function that has virtual ones. */
  readonly tokens: VfTokens | undefined;
  /** Its virtual functions were enabled before VFIO had it: a driver of the host has it. */
  readonly #taken: boolean;
  /** Of a virtual function that was made while its physical one belonged to VFIO. */
  readonly physical: VfioDevice | undefined;
  /** Files through which it is open. */
  opens = 0;
  /** It is open by its own file, not by a group's. */
  byCdev = false;
  open: OpenDevice | undefined;
  binding: Binding | undefined;

  constructor(
    number: number,
    registration: VfioRegistration,
    intents: DmaIntents,
    group: VfioGroup,
    physical: VfioDevice | undefined,
    allocations: Allocations,
  ) {
    this.number = number;
    this.fn = registration.fn;
    this.host = registration.host;
    this.intents = intents;
    this.scope = registration.scope;
    this.path = registration.path;
    this.group = group;
    this.#taken = (registration.fn.enabledVirtual ?? 0) > 0;
    this.physical = physical?.ownsVirtual === true ? physical : undefined;
    this.allocations = allocations;
    const { fn } = registration;
    const hasVirtual = fn.virtual === undefined && capabilityAt(readSpace(fn), 'sriov') !== undefined;
    this.tokens = hasVirtual ? new VfTokens() : undefined;
  }

  /** Virtual functions of it are made by its user. */
  get ownsVirtual(): boolean {
    return !this.#taken;
  }

  /** Who may use it, where virtual functions are in play. Throws EACCES, EINVAL. */
  checkToken(token: Uint8Array | undefined): void {
    if (this.fn.virtual !== undefined && this.physical?.tokens !== undefined)
      this.physical.tokens.demandOfVirtual(token);
    else if (this.tokens !== undefined) this.tokens.demandOfPhysical(token);
    else demand(token === undefined, 'EINVAL', `${this.fn.name} has nothing to do with virtual functions`);
  }

  /** The first user binds it to an iommufd and takes it over. Throws what either refuses. */
  first(context: IommufdContext): Binding {
    demand(!this.#taken, 'EBUSY', `${this.fn.name} belongs to the host, which enabled its virtual functions`);
    const binding = bind(context, this.host, this.intents, this.path);
    try {
      this.open = new OpenDevice(this.fn, this.allocations, this.tokens);
    } catch (cause) {
      binding.unbind();
      throw cause;
    }
    this.binding = binding;
    if (this.physical?.tokens !== undefined) this.physical.tokens.users++;
    return binding;
  }

  /** The host wants the device back, and asks its user for it. */
  request(): void {
    this.open?.irqs.request();
  }

  /** The last user is gone: the device first, then its address spaces. */
  last(): void {
    if (this.physical?.tokens !== undefined) this.physical.tokens.users--;
    this.open?.close();
    this.open = undefined;
    if (this.binding !== undefined) this.binding.context.extension?.left(this.binding);
    this.binding?.unbind();
    this.binding = undefined;
  }
}
