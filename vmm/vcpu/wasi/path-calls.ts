/** Calls that take paths or list directories; imported only for guests that use them (see files.ts). */

import { Directory, File, type Inode, OpenDirectory, type OpenFile } from '@bjorn3/browser_wasi_shim';
import { ERRNO, FILETYPE, SIZE } from './abi.ts';
import type { DescriptorTable, FileOps } from './descriptors.ts';
import { writeFilestat } from './fd-calls.ts';
import { describe } from './files.ts';
import { WasiErrno, type WasiView } from './memory.ts';

/** PATH_MAX. */
const MAX_PATH = 4096;

type DirectoryOps = FileOps & OpenDirectory;

export function pathCalls(view: WasiView, table: DescriptorTable) {
  const directory = (fd: number): DirectoryOps => {
    const { ops } = table.get(fd);
    if (!(ops instanceof OpenDirectory)) throw new WasiErrno(ERRNO.notdir);
    return ops;
  };
  const path = (pointer: number, length: number): string => {
    if (length >>> 0 > MAX_PATH) throw new WasiErrno(ERRNO.nametoolong);
    return new TextDecoder().decode(view.read(pointer, length));
  };
  const lookup = (from: DirectoryOps, name: string): Inode => {
    const { ret, inode_obj } = from.path_lookup(name, 0);
    if (inode_obj === null) throw new WasiErrno(ret);
    return inode_obj;
  };
  const exists = (from: DirectoryOps, name: string): boolean => from.path_lookup(name, 0).inode_obj !== null;

  return {
    path_open(
      fd: number,
      dirflags: number,
      pointer: number,
      length: number,
      oflags: number,
      rights: bigint,
      inheriting: bigint,
      flags: number,
      result: number,
    ): number {
      view.check(result, 4);
      const from = directory(fd);
      const name = path(pointer, length);
      if (table.full) return ERRNO.mfile;
      const opened = from.path_open(dirflags, name, oflags, rights, inheriting, flags);
      if (opened.ret !== ERRNO.success || opened.fd_obj === null) return opened.ret;
      const fdObject = opened.fd_obj as OpenFile | OpenDirectory;
      const inode = fdObject instanceof OpenDirectory ? fdObject.dir : fdObject.file;
      view.setU32(result, table.add(describe(fdObject, inode, flags)));
      return ERRNO.success;
    },
    path_create_directory(fd: number, pointer: number, length: number): number {
      const from = directory(fd);
      const name = path(pointer, length);
      return exists(from, name) ? ERRNO.exist : from.path_create_directory(name);
    },
    path_filestat_get(fd: number, _flags: number, pointer: number, length: number, result: number): number {
      const inode = lookup(directory(fd), path(pointer, length));
      const isFile = inode instanceof File;
      const filetype = isFile ? FILETYPE.regularFile : FILETYPE.directory;
      writeFilestat(view, result, { filetype, ino: inode.ino }, isFile ? inode.size : 0n);
      return ERRNO.success;
    },
    // LIMIT: files carry no times.
    path_filestat_set_times(
      fd: number,
      _flags: number,
      pointer: number,
      length: number,
      _atim: bigint,
      _mtim: bigint,
      _fstFlags: number,
    ): number {
      lookup(directory(fd), path(pointer, length));
      return ERRNO.notsup;
    },
    path_link(
      oldFd: number,
      _flags: number,
      oldPointer: number,
      oldLength: number,
      newFd: number,
      newPointer: number,
      newLength: number,
    ): number {
      const inode = lookup(directory(oldFd), path(oldPointer, oldLength));
      const to = directory(newFd);
      const name = path(newPointer, newLength);
      return exists(to, name) ? ERRNO.exist : to.path_link(name, inode, false);
    },
    path_rename(
      oldFd: number,
      oldPointer: number,
      oldLength: number,
      newFd: number,
      newPointer: number,
      newLength: number,
    ): number {
      const from = directory(oldFd);
      const to = directory(newFd);
      return rename(
        from,
        withoutSlash(path(oldPointer, oldLength)),
        to,
        withoutSlash(path(newPointer, newLength)),
      );
    },
    path_remove_directory: (fd: number, pointer: number, length: number) =>
      directory(fd).path_remove_directory(path(pointer, length)),
    path_unlink_file: (fd: number, pointer: number, length: number) =>
      directory(fd).path_unlink_file(path(pointer, length)),
    // LIMIT: no symbolic links: none can be made, so none can be read.
    path_symlink(_old: number, _oldLength: number, fd: number, _new: number, _newLength: number): number {
      directory(fd);
      return ERRNO.notsup;
    },
    path_readlink(
      fd: number,
      pointer: number,
      length: number,
      _buffer: number,
      _size: number,
      _result: number,
    ): number {
      lookup(directory(fd), path(pointer, length));
      return ERRNO.inval;
    },
    fd_readdir: (fd: number, buffer: number, length: number, cookie: bigint, result: number) =>
      readdir(view, directory(fd).dir, buffer, length, cookie, result),
  };
}

const withoutSlash = (path: string): string => path.replace(/\/+$/, '') || path;

/** Unlinking first keeps a directory from being moved into itself; a failure puts it back. */
function rename(from: DirectoryOps, oldName: string, to: DirectoryOps, newName: string): number {
  const { ret, inode_obj: source } = from.path_lookup(oldName, 0);
  if (source === null) return ret;
  if (to.path_lookup(newName, 0).inode_obj === source) return ERRNO.success;
  const unlinked = from.path_unlink(oldName);
  if (unlinked.inode_obj === null) return unlinked.ret;
  const linked = to.path_link(newName, source, true);
  if (linked === ERRNO.success) {
    if (source instanceof Directory) Object.assign(source, { parent: parentOf(to, newName) });
  } else {
    from.path_link(oldName, source, true);
  }
  return linked;
}

function parentOf(from: DirectoryOps, name: string): Directory {
  const parent = from.path_lookup(`${name}/..`, 0).inode_obj;
  return parent instanceof Directory ? parent : from.dir;
}

/** WASI fd_readdir: entries are cut where the buffer ends; a full buffer means there is more. */
function readdir(
  view: WasiView,
  dir: Directory,
  buffer: number,
  length: number,
  cookie: bigint,
  result: number,
): number {
  const room = length >>> 0;
  view.check(buffer, room);
  view.check(result, 4);
  let used = 0;
  let next = 0n;
  for (const [name, inode] of entries(dir)) {
    next++;
    if (next <= BigInt.asUintN(64, cookie)) continue;
    const bytes = dirent(next, name, inode);
    const part = bytes.subarray(0, room - used);
    view.write((buffer >>> 0) + used, part);
    used += part.length;
    if (used === room) break;
  }
  view.setU32(result, used);
  return ERRNO.success;
}

function* entries(dir: Directory): Iterable<[string, { readonly ino: bigint; readonly isFile: boolean }]> {
  yield ['.', { ino: dir.ino, isFile: false }];
  yield ['..', { ino: dir.parent_ino(), isFile: false }];
  for (const [name, inode] of dir.contents) yield [name, { ino: inode.ino, isFile: inode instanceof File }];
}

function dirent(next: bigint, name: string, inode: { ino: bigint; isFile: boolean }): Uint8Array {
  const text = Buffer.from(name, 'utf8');
  const bytes = new Uint8Array(SIZE.dirent + text.length);
  const head = new DataView(bytes.buffer);
  head.setBigUint64(0, next, true);
  head.setBigUint64(8, inode.ino, true);
  head.setUint32(16, text.length, true);
  head.setUint8(20, inode.isFile ? FILETYPE.regularFile : FILETYPE.directory);
  bytes.set(text, SIZE.dirent);
  return bytes;
}
