import type { PciDeviceKind } from '../../devices/pci/kind.ts';
import type { DeviceView } from '../bus/device.ts';
import type { Iommu, IommuKind } from '../bus/iommu.ts';
import type { VirtualClock } from '../core/clock.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import type { Zod } from '../core/zod.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { HostConfig, IommuConfig } from './config.ts';

// biome-ignore lint/suspicious/noExplicitAny: kinds of every configuration type in one list
export type AnyPciKind = PciDeviceKind<any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
export type AnyIommuKind = IommuKind<any>;

/** What a plugin module exports as `plugin`. */
export interface Plugin {
  readonly name: string;
  readonly devices?: readonly AnyPciKind[];
  readonly iommus?: readonly AnyIommuKind[];
}

/** What a host is made from. */
export interface HostParts {
  readonly config: HostConfig;
  readonly registry: Registry;
  /** With room for the memory of a host (HOST_BYTES). */
  readonly ram: GuestRam;
  readonly iommu: Iommu | undefined;
  /** What `iommu` was made from. */
  readonly viommu: IommuConfig | null;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
}

/** The host that a machine runs on, as far as the machine knows it. */
export interface MachineHost {
  /** PciServices.passthrough. */
  readonly passthrough: object;
  /** What runs (vmm/host/model: Host). */
  readonly running: object;
  readonly views: readonly DeviceView[];
  /** More about the guest's IOMMU. */
  readonly iommuViews: readonly DeviceView[];
  /** The device of this id is unplugged, or could not be plugged in. */
  release(id: string): void;
  /** All devices of the machine were reset. */
  afterReset(): void;
  /** Passthrough.rebuild. @throws TsvmmError where it is refused */
  rebuild(): void;
  /** A clock handler of this id is one of the host: no reset of the machine stops it. */
  readonly owns: (dev: string) => boolean;
}

/** An IOMMU made after a unit of a host. */
export interface IommuCopy extends IommuConfig {
  /** Id of the unit. */
  readonly unit: string;
}

/** Machines can run on modelled hosts and have their devices. */
export interface HostSupport {
  /** @throws TsvmmError naming `source` and the place in it */
  check(z: Zod, registry: Registry, json: unknown, source: string): Readonly<Record<string, unknown>>;
  /** The guest's IOMMU, made after the most capable unit that devices of these addresses are behind. */
  copy(config: HostConfig, registry: Registry, devices: readonly string[]): IommuCopy;
  /** @throws TsvmmError */
  create(parts: HostParts): MachineHost;
}

/** Memory of a host for tables and queues of its own. */
export const HOST_BYTES = 16 << 20;

/** The kinds of devices and IOMMUs a machine can be built from: the built-in ones and those of plugins. */
export class Registry {
  readonly #pci = new Map<string, AnyPciKind>();
  readonly #iommu = new Map<string, AnyIommuKind>();

  readonly hosts: HostSupport | undefined;

  constructor(devices: readonly AnyPciKind[], iommus: readonly AnyIommuKind[], hosts?: HostSupport) {
    this.hosts = hosts;
    this.add({ name: 'tsvmm', devices, iommus });
  }

  /** @throws TsvmmError when a kind of that name is there already */
  add(plugin: Plugin): void {
    for (const kind of plugin.devices ?? []) addTo(this.#pci, kind, plugin.name);
    for (const kind of plugin.iommus ?? []) addTo(this.#iommu, kind, plugin.name);
  }

  get pciKinds(): readonly AnyPciKind[] {
    return [...this.#pci.values()];
  }

  get iommuKinds(): readonly AnyIommuKind[] {
    return [...this.#iommu.values()];
  }

  /** @throws TsvmmError with a suggestion; `source` says where the name was used */
  pci(name: string, source = '--device'): AnyPciKind {
    return this.#pci.get(name) ?? unknownKind(source, 'device', name, [...this.#pci.keys()]);
  }

  iommu(name: string, source = '--viommu'): AnyIommuKind {
    return this.#iommu.get(name) ?? unknownKind(source, 'vIOMMU', name, [...this.#iommu.keys(), 'none']);
  }
}

function addTo<K extends { readonly name: string }>(map: Map<string, K>, kind: K, owner: string): void {
  if (map.has(kind.name)) {
    throw new TsvmmError({
      code: 'duplicate-kind',
      object: owner,
      why: `brings a kind '${kind.name}', which exists already`,
      mend: 'give it another name',
    });
  }
  map.set(kind.name, kind);
}

function unknownKind(source: string, what: string, name: string, known: readonly string[]): never {
  throw new TsvmmError({
    code: 'unknown-kind',
    object: source,
    why: `there is no ${what} kind '${name}'`,
    mend: didYouMean(name, known),
  });
}
