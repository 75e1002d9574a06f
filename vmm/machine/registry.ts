import type { PciDeviceKind } from '../../devices/pci/kind.ts';
import type { IommuKind } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';

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

/** The kinds of devices and IOMMUs a machine can be built from: the built-in ones and those of plugins. */
export class Registry {
  readonly #pci = new Map<string, AnyPciKind>();
  readonly #iommu = new Map<string, AnyIommuKind>();

  constructor(devices: readonly AnyPciKind[], iommus: readonly AnyIommuKind[]) {
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
