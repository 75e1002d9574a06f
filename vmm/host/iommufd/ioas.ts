import type { IommufdContext } from './context.ts';
import { IoPagetable } from './io-pagetable.ts';
import type { IommufdObject } from './objects.ts';

/** An IO address space: mappings that any number of page tables and accesses follow. */
export class Ioas implements IommufdObject {
  readonly kind = 'ioas';
  readonly id: number;
  users = 0;
  readonly table: IoPagetable;
  /** Page tables that were made for this IOAS without being asked for, in the order of their making. */
  readonly automatic: number[] = [];

  constructor(id: number, context: IommufdContext) {
    this.id = id;
    this.table = new IoPagetable(context.wordMax, context.allocations);
  }

  destroy(): void {
    this.table.close();
  }
}
