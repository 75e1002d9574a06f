import { demand, refuse } from '../kernel/errno.ts';
import type { HostFile } from '../kernel/files.ts';
import type { Access } from './access.ts';

/** Pages that user space asked the mock access to pin. */
interface Item {
  readonly id: number;
  readonly iova: bigint;
  readonly length: bigint;
}

/** The file behind which the mock access lives: closing it ends the access. */
export class SelftestAccess implements HostFile {
  readonly name = '[iommufd_test_staccess]';
  #access: Access | undefined;
  #items: Item[] = [];
  #nextId = 1;

  set access(access: Access) {
    this.#access = access;
  }

  get access(): Access {
    return this.#access ?? refuse('EBADFD', 'the access was never made');
  }

  /** Pins and remembers; returns the item's id. */
  add(iova: bigint, length: bigint): number {
    const id = this.#nextId++;
    this.#items.push({ id, iova, length });
    return id;
  }

  /** Throws ENOENT. */
  remove(id: number): void {
    const item = this.#items.find((one) => one.id === id);
    demand(item !== undefined, 'ENOENT', `there are no pinned pages ${id}`);
    this.#drop(item);
  }

  /** Everything that touches the range is let go. */
  unmap(iova: bigint, length: bigint): void {
    const last = iova + length - 1n;
    for (const item of [...this.#items]) {
      if (iova <= item.iova + item.length - 1n && last >= item.iova) this.#drop(item);
    }
  }

  release(): void {
    this.#access?.end();
  }

  #drop(item: Item): void {
    this.#items = this.#items.filter((one) => one !== item);
    this.access.unpin(item.iova, item.length);
  }
}
