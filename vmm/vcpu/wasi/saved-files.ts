/** The guest's files in a snapshot; imported only for guests that use paths (see files.ts). */

import { Directory, File, type Inode, OpenDirectory } from '@bjorn3/browser_wasi_shim';
import type { Descriptor } from './descriptors.ts';
import {
  describe,
  type FileSystem,
  inodeOf,
  MAX_TOTAL_BYTES,
  MemDirectory,
  MemFile,
  MemOpenFile,
} from './files.ts';
import { badWasi, KIND, type SavedDescriptor, savedDescriptor, type WasiState } from './saved.ts';

type SavedInode = WasiState['inodes'][number];

export function saveFileDescriptor(slot: Descriptor | undefined): SavedDescriptor {
  const saved = savedDescriptor(slot);
  if (slot?.ops instanceof MemOpenFile) saved.position = slot.ops.file_pos.toString(16);
  return saved;
}

/** Writes the file system into `state`; the result is the contents. */
export function saveFiles(fs: FileSystem, open: Iterable<Inode>, state: WasiState): Uint8Array {
  const contents: Uint8Array[] = [];
  for (const inode of reachable(fs, open)) {
    state.inodes.push(saveInode(inode));
    if (inode instanceof File) contents.push(inode.data);
  }
  const { nextIno, bytes, inodes } = fs.counters;
  state.nextIno = Number(nextIno);
  state.usedBytes = bytes;
  state.usedInodes = inodes;
  return Buffer.concat(contents);
}

/** The root first, each inode once. */
function reachable(fs: FileSystem, open: Iterable<Inode>): Set<Inode> {
  const seen = new Set<Inode>();
  const queue: Inode[] = [fs.root, ...open];
  for (let inode = queue.shift(); inode !== undefined; inode = queue.shift()) {
    if (seen.has(inode)) continue;
    seen.add(inode);
    if (!(inode instanceof Directory)) continue;
    const parent = parentOf(inode);
    queue.push(...inode.contents.values(), ...(parent === null ? [] : [parent]));
  }
  return seen;
}

/** The shim declares it private. */
function parentOf(directory: Directory): Directory | null {
  return (directory as unknown as { parent: Directory | null }).parent;
}

function saveInode(inode: Inode): SavedInode {
  const ino = Number(inode.ino);
  if (inode instanceof Directory) {
    const entries = [...inode.contents].map(([name, entry]) => ({ name, ino: Number(entry.ino) }));
    const parent = Number(parentOf(inode)?.ino ?? 0n);
    return { ino, directory: true, readonly: false, parent, entries, bytes: 0, capacity: 0 };
  }
  const { data, readonly } = inode as File;
  const capacity = data.buffer.byteLength;
  return { ino, directory: false, readonly, parent: 0, entries: [], bytes: data.length, capacity };
}

/** Makes `fs` what was saved; the inodes by number. */
export function loadFiles(fs: FileSystem, state: WasiState, bulk: Uint8Array): Map<number, Inode> {
  const inodes = new Map<number, Inode>();
  let at = 0;
  for (const saved of state.inodes) {
    if (inodes.has(saved.ino)) throw badWasi(`has two inodes ${saved.ino}`);
    inodes.set(saved.ino, makeInode(fs, saved, bulk, at, inodes.size === 0));
    at += saved.bytes;
  }
  if (inodes.size === 0 || at !== bulk.length) throw badWasi('has files that do not match their contents');
  for (const saved of state.inodes) if (saved.directory) fillDirectory(saved, inodes);
  fs.counters = { nextIno: BigInt(state.nextIno), bytes: state.usedBytes, inodes: state.usedInodes };
  return inodes;
}

function makeInode(fs: FileSystem, saved: SavedInode, bulk: Uint8Array, at: number, root: boolean): Inode {
  if (root && !saved.directory) throw badWasi('has a root that is no directory');
  const inode = root ? fs.root : saved.directory ? new MemDirectory(fs) : new MemFile(fs);
  inode.ino = BigInt(saved.ino);
  if (!(inode instanceof MemFile)) return inode;
  const { capacity, bytes } = saved;
  if (capacity > MAX_TOTAL_BYTES || capacity < bytes || at + bytes > bulk.length)
    throw badWasi(`has a file ${saved.ino} that is longer than its contents`);
  const data = new Uint8Array(capacity);
  data.set(bulk.subarray(at, at + bytes));
  inode.data = data.subarray(0, bytes);
  inode.readonly = saved.readonly;
  return inode;
}

function fillDirectory(saved: SavedInode, inodes: ReadonlyMap<number, Inode>): void {
  const directory = inodes.get(saved.ino) as MemDirectory;
  directory.contents.clear();
  for (const { name, ino } of saved.entries) directory.contents.set(name, inodeNumbered(ino, inodes));
  const parent = saved.parent === 0 ? null : inodeNumbered(saved.parent, inodes);
  Object.assign(directory, { parent });
}

function inodeNumbered(ino: number, inodes: ReadonlyMap<number, Inode>): Inode {
  const inode = inodes.get(ino);
  if (inode === undefined) throw badWasi(`has no inode ${ino}`);
  return inode;
}

/** An open file or directory as it was. */
export function loadFileDescriptor(saved: SavedDescriptor, inodes: ReadonlyMap<number, Inode>): Descriptor {
  const inode = inodeNumbered(saved.ino, inodes);
  if (saved.kind === KIND.directory && inode instanceof MemDirectory) {
    const opened = describe(new OpenDirectory(inode), inode, saved.flags);
    return saved.preopen === '' ? opened : { ...opened, preopen: saved.preopen };
  }
  if (saved.kind !== KIND.file || !(inode instanceof MemFile) || !/^[0-9a-f]{1,16}$/.test(saved.position))
    throw badWasi(`has a bad descriptor of inode ${saved.ino}`);
  const opened = new MemOpenFile(inode, saved.flags);
  opened.file_pos = BigInt(`0x${saved.position}`);
  return describe(opened, inode, saved.flags);
}

/** What the open descriptors stand on. */
export function openInodes(slots: readonly (Descriptor | undefined)[]): Inode[] {
  return slots.flatMap((slot) => (slot === undefined ? [] : (inodeOf(slot) ?? [])));
}
