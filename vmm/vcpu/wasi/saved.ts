/** WASI's share of a snapshot: which descriptors are open, and on what. Files add theirs in saved-files.ts. */

import { TsvmmError } from '../../core/errors.ts';
import { defineState } from '../../state/define.ts';
import { bool, count, list, text, u32 } from '../../state/schema.ts';
import { FILETYPE } from './abi.ts';
import type { Descriptor } from './descriptors.ts';

export const WASI_STATE = defineState('wasi', 1, {
  descriptors: list({
    /** One of KIND. */
    kind: text,
    ino: count,
    flags: u32,
    /** Of a file: where it is read and written next, in hexadecimal. */
    position: text,
    /** Of a directory given at start: its name. */
    preopen: text,
  }),
  /** Every file and directory that has a name or is open; contents lie in the bulk file, one behind the other. */
  inodes: list({
    ino: count,
    directory: bool,
    readonly: bool,
    /** Of a directory: the one above; 0 for none. */
    parent: count,
    entries: list({ name: text, ino: count }),
    bytes: count,
    /** Room that has been set aside for the file: it counts against the limit. */
    capacity: count,
  }),
  nextIno: count,
  usedBytes: count,
  usedInodes: count,
});

export type WasiState = ReturnType<typeof WASI_STATE.fresh>;
export type SavedDescriptor = WasiState['descriptors'][number];

export const KIND = { closed: 'closed', console: 'console', file: 'file', directory: 'directory' } as const;

export function closedDescriptor(): SavedDescriptor {
  return { kind: KIND.closed, ino: 0, flags: 0, position: '0', preopen: '' };
}

/** A descriptor without what only files know of it. */
export function savedDescriptor(slot: Descriptor | undefined): SavedDescriptor {
  if (slot === undefined) return closedDescriptor();
  const console = slot.filetype === FILETYPE.characterDevice;
  const kind = console ? KIND.console : slot.filetype === FILETYPE.directory ? KIND.directory : KIND.file;
  return { kind, ino: Number(slot.ino), flags: slot.flags, position: '0', preopen: slot.preopen ?? '' };
}

/** The console of that inode number. */
export function consoleOf(saved: SavedDescriptor, consoles: readonly Descriptor[]): Descriptor {
  const found = consoles.find((c) => Number(c.ino) === saved.ino);
  if (found === undefined) throw badWasi(`has no console ${saved.ino}`);
  found.flags = saved.flags;
  return found;
}

export function badWasi(why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-state',
    object: 'wasi',
    why,
    mend: 'the snapshot is damaged or was made by another program',
  });
}
