import { Bug } from '../../core/errors.ts';
import type { Allocations } from '../kernel/allocations.ts';
import { refuse } from '../kernel/errno.ts';

export type ObjectKind =
  | 'device'
  | 'ioas'
  | 'hwpt-paging'
  | 'hwpt-nested'
  | 'access'
  | 'fault'
  | 'viommu'
  | 'vdevice'
  | 'veventq'
  | 'hw-queue'
  | 'selftest';

/** Anything with an id. `users` counts what depends on it: while there are any, DESTROY answers EBUSY. */
export interface IommufdObject {
  readonly kind: ObjectKind;
  readonly id: number;
  users: number;
  /** Undoes what making it did. Only called with no users. */
  destroy(): void;
}

/** An id whose object is gone before its owner: looked up it is absent, and it is not given again until it is destroyed. */
interface Tombstone {
  readonly kind: 'tombstone';
}
type Slot = IommufdObject | 'reserved' | Tombstone;

/** Ids are below 2^31 (Linux, drivers/iommu/iommufd/main.c: the limit of its id space). */
const MOST = 2 ** 31 - 1;

/** The objects of one open iommufd: the lowest free id each time. */
export class Objects {
  readonly #slots: (Slot | undefined)[] = [undefined];
  readonly #allocations: Allocations;
  /** No id below it is free. */
  #hint = 1;

  constructor(allocations: Allocations) {
    this.#allocations = allocations;
  }

  /** Takes an id that nobody can look up yet. Throws ENOMEM. `undo` gives it back. */
  reserve(undo: (step: () => void) => void): number {
    this.#allocations.take('object');
    let id = this.#hint;
    while (this.#slots[id] !== undefined) id++;
    if (id > MOST) refuse('ENOSPC', 'no object id is free');
    this.#slots[id] = 'reserved';
    this.#hint = id + 1;
    undo(() => this.#free(id));
    return id;
  }

  /** Makes a reserved id visible. */
  install(object: IommufdObject): void {
    if (this.#slots[object.id] !== 'reserved') throw new Bug(`object id ${object.id} was not reserved`);
    this.#slots[object.id] = object;
  }

  find(id: number): IommufdObject | undefined {
    const slot = this.#slots[id];
    return slot === undefined || slot === 'reserved' || slot.kind === 'tombstone' ? undefined : slot;
  }

  /** Removes an object that has no users, and frees its id. */
  remove(object: IommufdObject): void {
    if (object.users > 0) throw new Bug(`${object.kind} ${object.id} is destroyed in use`);
    object.destroy();
    this.#free(object.id);
  }

  /** Removes an object whose owner went away, but keeps its id taken: user space may still name it. */
  bury(object: IommufdObject): void {
    object.destroy();
    this.#slots[object.id] = { kind: 'tombstone' };
  }

  /** DESTROY. Throws ENOENT, EBUSY. */
  destroy(id: number): void {
    const slot = this.#slots[id];
    if (slot !== undefined && slot !== 'reserved' && slot.kind === 'tombstone') {
      this.#free(id);
      refuse('ENOENT', `object ${id} went with what it belonged to`);
    }
    const object = this.find(id) ?? refuse('ENOENT', `there is no object ${id}`);
    if (object.users > 0) refuse('EBUSY', `${object.kind} ${id} has ${object.users} user(s)`);
    this.remove(object);
  }

  /** When the file is closed: leaves first, until nothing is left. */
  destroyAll(): void {
    for (let progress = true; progress; ) {
      progress = false;
      for (let id = this.#slots.length - 1; id > 0; id--) {
        const slot = this.#slots[id];
        if (slot === undefined || slot === 'reserved') continue;
        if (slot.kind === 'tombstone') this.#free(id);
        else if (slot.users === 0) this.remove(slot);
        else continue;
        progress = true;
      }
    }
    const left = this.#slots.find((slot) => slot !== undefined);
    if (left !== undefined) throw new Bug(`closing an iommufd left ${JSON.stringify(this.list())}`);
  }

  /** What there is, by id: for people and for tests. */
  list(): { id: number; kind: ObjectKind; users: number }[] {
    return this.#slots.flatMap((_, id) => {
      const object = this.find(id);
      return object === undefined ? [] : [{ id, kind: object.kind, users: object.users }];
    });
  }

  #free(id: number): void {
    this.#slots[id] = undefined;
    this.#hint = Math.min(this.#hint, id);
    this.#allocations.give('object');
  }
}
