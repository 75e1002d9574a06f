import { ERRNO, FDFLAG_APPEND, FDFLAG_NONBLOCK, FILETYPE, RIGHTS_ALL, RIGHTS_CONSOLE, SIZE } from './abi.ts';
import type { Descriptor, DescriptorTable } from './descriptors.ts';
import { WasiErrno, type WasiView } from './memory.ts';

/** As IOV_MAX on most systems. */
const MAX_IOVECS = 1024;

interface Slice {
  readonly pointer: number;
  readonly length: number;
}

/** The buffers of a scattered transfer, every one checked before the first byte moves. */
function iovecs(view: WasiView, pointer: number, count: number): Slice[] {
  const n = count >>> 0;
  if (n > MAX_IOVECS) throw new WasiErrno(ERRNO.inval);
  view.check(pointer, n * SIZE.iovec);
  let total = 0;
  const slices = Array.from({ length: n }, (_, i) => {
    const at = (pointer >>> 0) + i * SIZE.iovec;
    const slice = { pointer: view.u32(at), length: view.u32(at + 4) };
    view.check(slice.pointer, slice.length);
    total += slice.length;
    return slice;
  });
  // Overlapping buffers can add up to more than there is memory.
  if (total > view.size) throw new WasiErrno(ERRNO.inval);
  return slices;
}

/** Each operation does one buffer and says how much it moved; a short one ends the transfer. */
function transfer(slices: readonly Slice[], one: (slice: Slice, done: number) => number): number {
  let done = 0;
  for (const slice of slices) {
    const moved = one(slice, done);
    done += moved;
    if (moved !== slice.length) break;
  }
  return done;
}

/** An error after some bytes moved is reported by the next call, as a short count now. */
function unlessMoved(ret: number, done: number): number {
  if (ret !== ERRNO.success && done === 0) throw new WasiErrno(ret);
  return ret;
}

const isConsole = (descriptor: Descriptor): boolean => descriptor.filetype === FILETYPE.characterDevice;

export function fdCalls(view: WasiView, table: DescriptorTable) {
  const read = (
    pointer: number,
    count: number,
    result: number,
    one: (length: number, done: number) => { ret: number; data: Uint8Array } | undefined,
  ): number => {
    view.check(result, 4);
    const done = transfer(iovecs(view, pointer, count), (slice, before) => {
      const part = one(slice.length, before);
      if (part === undefined) throw new WasiErrno(ERRNO.badf);
      if (unlessMoved(part.ret, before) !== ERRNO.success) return 0;
      view.write(slice.pointer, part.data);
      return part.data.length;
    });
    view.setU32(result, done);
    return ERRNO.success;
  };
  const write = (
    pointer: number,
    count: number,
    result: number,
    one: (data: Uint8Array, done: number) => { ret: number; nwritten: number } | undefined,
  ): number => {
    view.check(result, 4);
    const done = transfer(iovecs(view, pointer, count), (slice, before) => {
      const part = one(view.read(slice.pointer, slice.length), before);
      if (part === undefined) throw new WasiErrno(ERRNO.badf);
      return unlessMoved(part.ret, before) === ERRNO.success ? part.nwritten : 0;
    });
    view.setU32(result, done);
    return ERRNO.success;
  };
  /** Positioned operations make no sense on a stream. */
  const seekable = (fd: number): Descriptor => {
    const descriptor = table.get(fd);
    if (isConsole(descriptor)) throw new WasiErrno(ERRNO.spipe);
    return descriptor;
  };

  return {
    fd_read: (fd: number, pointer: number, count: number, result: number) => {
      const { ops } = table.get(fd);
      return read(pointer, count, result, (length) => ops.fd_read?.(length));
    },
    fd_write: (fd: number, pointer: number, count: number, result: number) => {
      const { ops } = table.get(fd);
      return write(pointer, count, result, (data) => ops.fd_write?.(data));
    },
    fd_pread: (fd: number, pointer: number, count: number, offset: bigint, result: number) => {
      const { ops } = seekable(fd);
      const from = BigInt.asUintN(64, offset);
      return read(pointer, count, result, (length, done) => ops.fd_pread?.(length, from + BigInt(done)));
    },
    fd_pwrite: (fd: number, pointer: number, count: number, offset: bigint, result: number) => {
      const { ops } = seekable(fd);
      const from = BigInt.asUintN(64, offset);
      return write(pointer, count, result, (data, done) => ops.fd_pwrite?.(data, from + BigInt(done)));
    },
    fd_seek(fd: number, offset: bigint, whence: number, result: number): number {
      view.check(result, 8);
      const moved = seekable(fd).ops.fd_seek?.(offset, whence) ?? { ret: ERRNO.spipe, offset: 0n };
      if (moved.ret === ERRNO.success) view.setU64(result, moved.offset);
      return moved.ret;
    },
    fd_tell(fd: number, result: number): number {
      view.check(result, 8);
      const told = seekable(fd).ops.fd_tell?.() ?? { ret: ERRNO.spipe, offset: 0n };
      if (told.ret === ERRNO.success) view.setU64(result, told.offset);
      return told.ret;
    },
    fd_close(fd: number): number {
      table.close(fd);
      return ERRNO.success;
    },
    fd_renumber(from: number, to: number): number {
      table.renumber(from, to);
      return ERRNO.success;
    },
    fd_sync: (fd: number) => valid(table, fd),
    fd_datasync: (fd: number) => valid(table, fd),
    // Advice may be ignored: there is nothing to prefetch.
    fd_advise: (fd: number, _offset: bigint, _length: bigint, _advice: number) => valid(table, fd),
    fd_allocate(fd: number, offset: bigint, length: bigint): number {
      return (
        seekable(fd).ops.fd_allocate?.(BigInt.asUintN(64, offset), BigInt.asUintN(64, length)) ?? ERRNO.badf
      );
    },
    fd_filestat_set_size(fd: number, size: bigint): number {
      return table.get(fd).ops.fd_filestat_set_size?.(BigInt.asUintN(64, size)) ?? ERRNO.inval;
    },
    // LIMIT: files carry no times.
    fd_filestat_set_times(fd: number, _atim: bigint, _mtim: bigint, _flags: number): number {
      table.get(fd);
      return ERRNO.notsup;
    },
    fd_fdstat_get(fd: number, result: number): number {
      const descriptor = table.get(fd);
      const rights = isConsole(descriptor) ? RIGHTS_CONSOLE : RIGHTS_ALL;
      const bytes = new Uint8Array(SIZE.fdstat);
      const stat = new DataView(bytes.buffer);
      stat.setUint8(0, descriptor.filetype);
      stat.setUint16(2, descriptor.flags, true);
      stat.setBigUint64(8, rights, true);
      stat.setBigUint64(16, rights, true);
      view.write(result, bytes);
      return ERRNO.success;
    },
    fd_fdstat_set_flags(fd: number, flags: number): number {
      const descriptor = table.get(fd);
      if ((flags & ~(FDFLAG_APPEND | FDFLAG_NONBLOCK)) !== 0) return ERRNO.notsup;
      descriptor.flags = flags;
      return ERRNO.success;
    },
    // LIMIT: rights are not kept; the C library gave them up too.
    fd_fdstat_set_rights(fd: number, _base: bigint, _inheriting: bigint): number {
      table.get(fd);
      return ERRNO.notsup;
    },
    fd_filestat_get(fd: number, result: number): number {
      const descriptor = table.get(fd);
      const size = descriptor.ops.fd_filestat_get?.().filestat?.size ?? 0n;
      writeFilestat(view, result, descriptor, size);
      return ERRNO.success;
    },
    fd_prestat_get(fd: number, result: number): number {
      const { preopen } = table.get(fd);
      if (preopen === undefined) return ERRNO.badf;
      const bytes = new Uint8Array(SIZE.prestat);
      new DataView(bytes.buffer).setUint32(4, Buffer.byteLength(preopen), true);
      view.write(result, bytes);
      return ERRNO.success;
    },
    fd_prestat_dir_name(fd: number, path: number, length: number): number {
      const { preopen } = table.get(fd);
      if (preopen === undefined) return ERRNO.badf;
      const bytes = Buffer.from(preopen, 'utf8');
      if (bytes.length > length >>> 0) return ERRNO.nametoolong;
      view.write(path, bytes);
      return ERRNO.success;
    },
    sock_accept: (fd: number, _flags: number, _result: number) => notSocket(table, fd),
    sock_recv: (fd: number, _data: number, _n: number, _flags: number, _size: number, _out: number) =>
      notSocket(table, fd),
    sock_send: (fd: number, _data: number, _n: number, _flags: number, _size: number) => notSocket(table, fd),
    sock_shutdown: (fd: number, _how: number) => notSocket(table, fd),
  };
}

export function writeFilestat(
  view: WasiView,
  result: number,
  inode: { readonly filetype: number; readonly ino: bigint },
  size: bigint,
): void {
  const bytes = new Uint8Array(SIZE.filestat);
  const stat = new DataView(bytes.buffer);
  stat.setBigUint64(8, inode.ino, true);
  stat.setUint8(16, inode.filetype);
  stat.setBigUint64(24, 1n, true);
  stat.setBigUint64(32, size, true);
  view.write(result, bytes);
}

function valid(table: DescriptorTable, fd: number): number {
  table.get(fd);
  return ERRNO.success;
}

function notSocket(table: DescriptorTable, fd: number): number {
  table.get(fd);
  return ERRNO.notsock;
}
