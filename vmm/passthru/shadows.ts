import type { GuestTables } from '../../viommu/port/tables.ts';
import type { GuestRam } from '../mem/ram.ts';
import type { AddressSpace } from './address-space.ts';
import { HostRefused } from './host-calls.ts';
import { IoMappings } from './io-mappings.ts';
import { ShadowSpace, type ShadowTag } from './shadow-space.ts';

/** An address space to be shadowed, as a binding has it. */
export interface ShadowWish {
  readonly key: string;
  readonly tag: ShadowTag;
  readonly watched: boolean;
  readonly tables: () => GuestTables;
}

/** The guest's address spaces that are mapped on the host page by page; each is there once, whoever uses it. */
export class Shadows {
  readonly #space: AddressSpace;
  readonly #ram: GuestRam;
  readonly #mappings: IoMappings;
  readonly #failed: (shadow: ShadowSpace, why: string) => void;
  readonly #spaces: ShadowSpace[] = [];

  /** @param failed the host cannot follow a space: who uses it has to go elsewhere */
  constructor(space: AddressSpace, ram: GuestRam, failed: (shadow: ShadowSpace, why: string) => void) {
    this.#space = space;
    this.#ram = ram;
    this.#mappings = new IoMappings(space.calls, space.fd, space.ioas);
    this.#failed = failed;
  }

  get all(): readonly ShadowSpace[] {
    return this.#spaces;
  }

  /** The space of these tables, with what they map now. @throws HostRefused */
  take({ key, tag, watched, tables }: ShadowWish): ShadowSpace {
    let shadow = this.#spaces.find((one) => one.key === key);
    if (shadow === undefined) {
      const made: ShadowSpace = new ShadowSpace({
        space: this.#space,
        mappings: this.#mappings,
        ram: this.#ram,
        tables: tables(),
        tag,
        key,
        watched,
        failed: (why) => {
          // While it is being filled nobody uses it; who asked for it looks for itself.
          if (made.users > 0) this.#failed(made, why);
        },
      });
      this.#spaces.push(made);
      made.replay();
      shadow = made;
    }
    shadow.users++;
    if (shadow.failure === undefined) return shadow;
    const { failure } = shadow;
    this.give(shadow);
    throw new HostRefused('shadow', 'EOPNOTSUPP', failure);
  }

  give(shadow: ShadowSpace): void {
    if (--shadow.users > 0) return;
    this.#spaces.splice(this.#spaces.indexOf(shadow), 1);
    shadow.close();
  }

  /** Before something of the guest reaches a device. */
  settle(): void {
    for (let i = this.#spaces.length - 1; i >= 0; i--) this.#spaces[i]?.settle();
  }
}
