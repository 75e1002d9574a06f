import type { SavedUnit } from './define.ts';

/** Something that has state of its own in a snapshot: a device, the clock, the processor. */
export interface SnapshotUnit {
  /** Unique in its machine: `edu0`, `edu0.pci`, `clock`. */
  readonly id: string;
  save(): SavedUnit;
  /** @throws TsvmmError when the unit is of another kind, a newer version, or damaged */
  load(unit: SavedUnit): void;
  /** Bytes too many for JSON: they lie in a file of their own, `<id>.bin`. */
  readonly bulk?: {
    /** Called after `save`. */
    save(): Uint8Array;
    /** Called before `load`. */
    load(bytes: Uint8Array): void;
  };
  /** Called when RAM and every unit are in place: caches are built here. */
  loaded?(): void;
}
