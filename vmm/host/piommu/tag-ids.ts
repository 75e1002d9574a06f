import { refuse } from '../kernel/errno.ts';

/** Identifiers that a unit tags its caches with: domain-ids, VMIDs, ASIDs. The lowest free one each time. */
export class TagIds {
  readonly #taken = new Set<number>();
  readonly #first: number;
  readonly #end: number;
  readonly #what: string;
  #hint: number;

  constructor(what: string, first: number, end: number) {
    this.#what = what;
    this.#first = first;
    this.#end = end;
    this.#hint = first;
  }

  /** Throws ENOSPC. */
  take(): number {
    let id = this.#hint;
    while (this.#taken.has(id)) id++;
    if (id >= this.#end) refuse('ENOSPC', `all ${this.#end - this.#first} ${this.#what}s are in use`);
    this.#taken.add(id);
    this.#hint = id + 1;
    return id;
  }

  /** After the unit has forgotten everything that is tagged with it. */
  give(id: number): void {
    this.#taken.delete(id);
    if (id < this.#hint) this.#hint = id;
  }

  get live(): number {
    return this.#taken.size;
  }
}
