/**
 * The guest's in-memory files: @bjorn3/browser_wasi_shim's file classes with what they lack for a VMM.
 *
 * - Writing at the end of a file reallocates it each time in the shim: here capacity doubles.
 * - Inode numbers come from a counter of the process in the shim: here from one of the guest, so that runs repeat.
 * - A seek far out and a write would ask for terabytes: files and their sum are bounded, the guest sees EFBIG or ENOSPC.
 * - FDFLAGS_APPEND holds for every write; creating a directory that exists is EEXIST.
 *
 * Loading the shim takes 5 to 7 ms: this module is imported only for guests that use paths.
 */

import { Directory, File, type Inode, OpenDirectory, OpenFile } from '@bjorn3/browser_wasi_shim';
import { TsvmmError } from '../../core/errors.ts';
import { ERRNO, FDFLAG_APPEND, FILETYPE } from './abi.ts';
import type { Descriptor } from './descriptors.ts';

/** Bytes of all files together. */
export const MAX_TOTAL_BYTES = 256 * 1024 * 1024;
const MAX_INODES = 65536;
const OFLAGS_TRUNC = 8;
const RIGHT_FD_WRITE = 1n << 6n;

/** One guest's file system. */
export class FileSystem {
  readonly root: MemDirectory;
  #nextIno: bigint;
  #bytes = 0;
  #inodes = 0;
  /** Files that are open though they may have no name any more. */
  openFiles: () => Iterable<Inode> = () => [];

  constructor(nextIno: bigint) {
    this.#nextIno = nextIno;
    this.root = new MemDirectory(this);
  }

  issueIno(): bigint {
    this.#inodes++;
    return this.#nextIno++;
  }

  /** For snapshots: what is issued and used so far. */
  get counters(): { readonly nextIno: bigint; readonly bytes: number; readonly inodes: number } {
    return { nextIno: this.#nextIno, bytes: this.#bytes, inodes: this.#inodes };
  }

  set counters({ nextIno, bytes, inodes }: { nextIno: bigint; bytes: number; inodes: number }) {
    this.#nextIno = nextIno;
    this.#bytes = bytes;
    this.#inodes = inodes;
  }

  /** False when there is no room for `inodes` more files or `bytes` more content. */
  reserve(bytes: number, inodes: number): boolean {
    if (this.#bytes + bytes > MAX_TOTAL_BYTES || this.#inodes + inodes > MAX_INODES) this.#recount();
    if (this.#bytes + bytes > MAX_TOTAL_BYTES || this.#inodes + inodes > MAX_INODES) return false;
    this.#bytes += bytes;
    return true;
  }

  /** What deleted files held becomes free only here: links and open descriptors are not counted as they come and go. */
  #recount(): void {
    const seen = new Set<Inode>();
    const queue: Inode[] = [this.root, ...this.openFiles()];
    this.#bytes = 0;
    for (let inode = queue.pop(); inode !== undefined; inode = queue.pop()) {
      if (seen.has(inode)) continue;
      seen.add(inode);
      if (inode instanceof Directory) queue.push(...inode.contents.values());
      else if (inode instanceof File) this.#bytes += inode.data.buffer.byteLength;
    }
    this.#inodes = seen.size;
  }

  /** Adds a host-given file, making its directories. @throws TsvmmError when the path cannot be. */
  add(path: string, bytes: Uint8Array): void {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    const name = parts.pop();
    if (name === undefined || parts.includes('..') || name === '..' || path.includes('\0')) {
      throw new TsvmmError({ code: 'guest-file-path', object: path, why: 'is no path for a guest file' });
    }
    let directory: Directory = this.root;
    for (const part of parts) {
      const next = directory.contents.get(part) ?? new MemDirectory(this, directory);
      if (!(next instanceof Directory)) {
        throw new TsvmmError({
          code: 'guest-file-path',
          object: path,
          why: `${part} is a file, not a directory`,
        });
      }
      directory.contents.set(part, next);
      directory = next;
    }
    if (!this.reserve(bytes.length, 1)) {
      throw new TsvmmError({
        code: 'guest-files-full',
        object: path,
        why: 'guest files take more than 256 MiB',
      });
    }
    directory.contents.set(name, new MemFile(this, bytes));
  }

  preopen(name: string): Descriptor {
    return { ...describe(new OpenDirectory(this.root), this.root, 0), preopen: name };
  }
}

export class MemFile extends File {
  readonly fs: FileSystem;

  constructor(fs: FileSystem, data: Uint8Array = new Uint8Array(0)) {
    super(data);
    this.fs = fs;
    this.ino = fs.issueIno();
  }

  override path_open(oflags: number, rights: bigint, flags: number): { ret: number; fd_obj: OpenFile } {
    const refused = this.readonly && ((rights & RIGHT_FD_WRITE) !== 0n || (oflags & OFLAGS_TRUNC) !== 0);
    const opened = new MemOpenFile(this, flags);
    if (refused) return { ret: ERRNO.perm, fd_obj: opened };
    if ((oflags & OFLAGS_TRUNC) !== 0) this.resize(0n);
    return { ret: ERRNO.success, fd_obj: opened };
  }

  /** Sets the length; new bytes are zero. */
  resize(size: bigint): number {
    if (size > BigInt(MAX_TOTAL_BYTES)) return ERRNO.fbig;
    const length = Number(size);
    const old = this.data;
    if (length <= old.length) {
      old.fill(0, length);
      this.data = new Uint8Array(old.buffer, 0, length);
      return ERRNO.success;
    }
    const capacity = old.buffer.byteLength;
    if (length <= capacity) {
      this.data = new Uint8Array(old.buffer, 0, length);
      return ERRNO.success;
    }
    const larger = Math.min(MAX_TOTAL_BYTES, Math.max(length, capacity * 2, 256));
    if (!this.fs.reserve(larger - capacity, 0)) return ERRNO.nospc;
    const grown = new Uint8Array(larger);
    grown.set(old);
    this.data = grown.subarray(0, length);
    return ERRNO.success;
  }

  writeAt(at: bigint, bytes: Uint8Array): number {
    if (this.readonly) return ERRNO.badf;
    if (bytes.length === 0) return ERRNO.success;
    const end = at + BigInt(bytes.length);
    if (end > this.size) {
      const ret = this.resize(end);
      if (ret !== ERRNO.success) return ret;
    }
    this.data.set(bytes, Number(at));
    return ERRNO.success;
  }
}

export class MemOpenFile extends OpenFile {
  readonly #file: MemFile;
  /** FDFLAG_*; the descriptor that owns this file shares it. */
  flags: number;

  constructor(file: MemFile, flags: number) {
    super(file);
    this.#file = file;
    this.flags = flags;
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    const at = (this.flags & FDFLAG_APPEND) !== 0 ? this.#file.size : this.file_pos;
    const ret = this.#file.writeAt(at, data);
    if (ret !== ERRNO.success) return { ret, nwritten: 0 };
    this.file_pos = at + BigInt(data.length);
    return { ret, nwritten: data.length };
  }

  override fd_pwrite(data: Uint8Array, offset: bigint): { ret: number; nwritten: number } {
    const ret = this.#file.writeAt(offset, data);
    return { ret, nwritten: ret === ERRNO.success ? data.length : 0 };
  }

  override fd_allocate(offset: bigint, length: bigint): number {
    const end = offset + length;
    return end <= this.#file.size ? ERRNO.success : this.fd_filestat_set_size(end);
  }

  override fd_filestat_set_size(size: bigint): number {
    return this.#file.readonly ? ERRNO.badf : this.#file.resize(size);
  }

  override fd_seek(offset: bigint, whence: number): { ret: number; offset: bigint } {
    const before = this.file_pos;
    const result = super.fd_seek(offset, whence);
    if (result.offset < 1n << 63n) return result;
    this.file_pos = before;
    return { ret: ERRNO.inval, offset: before };
  }
}

export class MemDirectory extends Directory {
  readonly fs: FileSystem;

  constructor(fs: FileSystem, parent?: Directory) {
    super(new Map<string, Inode>());
    this.fs = fs;
    this.ino = fs.issueIno();
    // The shim sets it only for entries that are there when the parent is made, and declares it private.
    Object.assign(this, { parent: parent ?? null });
  }

  /** As the shim's, with this room's inode classes. */
  override create_entry_for_path(path: string, isDirectory: boolean): { ret: number; entry: Inode | null } {
    const trimmed = path.replace(/\/+$/, '');
    if (trimmed !== path && !isDirectory) return { ret: ERRNO.isdir, entry: null };
    const made = super.create_entry_for_path(trimmed, isDirectory);
    if (made.entry === null) return made;
    const parent = this.#holder(trimmed, made.entry);
    if (parent === undefined || !this.fs.reserve(0, 1)) {
      parent?.[0].contents.delete(parent[1]);
      return { ret: ERRNO.nospc, entry: null };
    }
    const [directory, name] = parent;
    const entry = isDirectory ? new MemDirectory(this.fs, directory) : new MemFile(this.fs);
    directory.contents.set(name, entry);
    return { ret: ERRNO.success, entry };
  }

  /** Where `create_entry_for_path` has just put an inode. */
  #holder(path: string, inode: Inode): [Directory, string] | undefined {
    const parts: string[] = [];
    for (const part of path.split('/')) {
      if (part === '..') parts.pop();
      else if (part !== '' && part !== '.') parts.push(part);
    }
    const name = parts.pop();
    let directory: Inode | undefined = this;
    for (const part of parts)
      directory = directory instanceof Directory ? directory.contents.get(part) : undefined;
    if (name === undefined || !(directory instanceof Directory)) return undefined;
    return directory.contents.get(name) === inode ? [directory, name] : undefined;
  }
}

/** An opened file of the shim as a descriptor. */
export function describe(opened: OpenFile | OpenDirectory, inode: Inode, flags: number): Descriptor {
  if (!(opened instanceof MemOpenFile))
    return { filetype: FILETYPE.directory, ino: inode.ino, flags, ops: opened };
  return {
    filetype: FILETYPE.regularFile,
    ino: inode.ino,
    ops: opened,
    get flags() {
      return opened.flags;
    },
    set flags(value) {
      opened.flags = value;
    },
  };
}

/** What a descriptor's operations stand on, for files of this room. */
export function inodeOf(descriptor: Descriptor): Inode | undefined {
  if (descriptor.ops instanceof OpenFile) return descriptor.ops.file;
  return descriptor.ops instanceof OpenDirectory ? descriptor.ops.dir : undefined;
}
