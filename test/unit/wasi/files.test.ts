import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { BASE, END, type Guest, guest } from './fixture.ts';

const [EBADF, EEXIST, EFAULT, EFBIG, EINVAL, EISDIR, EMFILE] = [8, 20, 21, 22, 28, 31, 33];
const [ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, ENOTSUP, ESPIPE, ENOTCAPABLE] = [37, 44, 54, 55, 58, 70, 76];
const CREAT = 1;
const DIRECTORY = 2;
const EXCL = 4;
const TRUNC = 8;
const APPEND = 1;
const NAME = BASE + 0x100;
const NAME2 = BASE + 0x300;
const IOV = BASE + 0x500;
const RESULT = BASE + 0x600;
const DATA = BASE + 0x1000;

function open(g: Guest, name: string, oflags = 0, flags = 0): number {
  const length = g.memory.put(NAME, name);
  const errno = g.call('path_open', 3, 0, NAME, length, oflags, -1n, -1n, flags, RESULT);
  return errno === 0 ? g.memory.view.getUint32(RESULT, true) : -errno;
}
function write(g: Guest, fd: number, text: string): number {
  g.memory.iovec(IOV, DATA, g.memory.put(DATA, text));
  return g.call('fd_write', fd, IOV, 1, RESULT);
}
function read(g: Guest, fd: number, length: number): string {
  g.memory.iovec(IOV, DATA, length);
  expect(g.call('fd_read', fd, IOV, 1, RESULT)).toBe(0);
  return g.memory.text(DATA, g.memory.view.getUint32(RESULT, true));
}
function onPath(g: Guest, call: string, name: string): number {
  return g.call(call, 3, NAME, g.memory.put(NAME, name));
}
function onPaths(g: Guest, from: string, to: string): number {
  const a = g.memory.put(NAME, from);
  const b = g.memory.put(NAME2, to);
  return g.call('path_rename', 3, NAME, a, 3, NAME2, b);
}
function list(g: Guest, fd: number): string[] {
  expect(g.call('fd_readdir', fd, DATA, 4096, 0n, RESULT)).toBe(0);
  const end = DATA + g.memory.view.getUint32(RESULT, true);
  const names: string[] = [];
  for (let at = DATA; at < end; ) {
    const length = g.memory.view.getUint32(at + 16, true);
    names.push(g.memory.text(at + 24, length));
    at += 24 + length;
  }
  return names;
}

describe('console', () => {
  test('writes arrive in order, as copies, and nothing is marked dirty but the count', async () => {
    const g = await guest();
    g.memory.put(DATA, 'hello world');
    g.memory.iovec(IOV, DATA, 6);
    g.memory.iovec(IOV + 8, DATA + 6, 5);
    expect(g.call('fd_write', 1, IOV, 2, RESULT)).toBe(0);
    expect(g.call('fd_write', 2, IOV, 1, RESULT)).toBe(0);
    expect(g.out).toEqual(['1:hello ', '1:world', '2:hello ']);
    expect(g.memory.writes).toEqual([
      [RESULT, 4],
      [RESULT, 4],
    ]);
  });

  test('it is a terminal for isatty: a character device without seek or tell', async () => {
    const g = await guest();
    expect(g.call('fd_fdstat_get', 1, DATA)).toBe(0);
    expect(g.memory.u8[DATA]).toBe(2);
    expect(g.memory.view.getBigUint64(DATA + 8, true) & ((1n << 2n) | (1n << 5n))).toBe(0n);
    expect(g.call('fd_seek', 1, 0n, 0, RESULT)).toBe(ESPIPE);
    expect(g.call('fd_tell', 1, RESULT)).toBe(ESPIPE);
    expect(g.call('fd_pread', 0, IOV, 0, 0n, RESULT)).toBe(ESPIPE);
  });

  test('input comes as asked for and ends', async () => {
    let left = Buffer.from('abc');
    const g = await guest({
      stdin: (size) => {
        const part = left.subarray(0, size);
        left = left.subarray(size);
        return part;
      },
    });
    expect(read(g, 0, 2)).toBe('ab');
    expect(read(g, 0, 2)).toBe('c');
    expect(read(g, 0, 2)).toBe('');
    expect(read(await guest(), 0, 2)).toBe('');
  });

  test('reading from stdout or writing to stdin is EBADF', async () => {
    const g = await guest();
    g.memory.iovec(IOV, DATA, 1);
    expect(g.call('fd_read', 1, IOV, 1, RESULT)).toBe(EBADF);
    expect(g.call('fd_write', 0, IOV, 1, RESULT)).toBe(EBADF);
  });
});

describe('given files', () => {
  const files = new Map([
    ['fw/blob.bin', Buffer.from('BLOB')],
    ['/notes.txt', Buffer.from('notes')],
  ]);

  test('are found below the preopened root', async () => {
    const g = await guest({ files });
    expect(g.call('fd_prestat_get', 3, DATA)).toBe(0);
    expect(g.memory.view.getUint32(DATA + 4, true)).toBe(1);
    expect(g.call('fd_prestat_dir_name', 3, DATA, 1)).toBe(0);
    expect(g.memory.text(DATA, 1)).toBe('/');
    expect(g.call('fd_prestat_dir_name', 3, DATA, 0)).toBe(ENAMETOOLONG);
    expect(g.call('fd_prestat_get', 4, DATA)).toBe(EBADF);
    expect(read(g, open(g, 'fw/blob.bin'), 100)).toBe('BLOB');
    expect(list(g, open(g, '.', DIRECTORY))).toEqual(['.', '..', 'fw', 'notes.txt']);
  });

  test('a path that is none is refused on the host side', async () => {
    await expect(guest({ files: new Map([['../up', new Uint8Array(0)]]) })).rejects.toThrow(TsvmmError);
    await expect(guest({ files: new Map([['', new Uint8Array(0)]]) })).rejects.toThrow(TsvmmError);
    const both = new Map([
      ['a', new Uint8Array(0)],
      ['a/b', new Uint8Array(0)],
    ]);
    await expect(guest({ files: both })).rejects.toThrow('a is a file');
  });
});

describe('files', () => {
  test('what is written is read back, at positions and at the end', async () => {
    const g = await guest();
    const fd = open(g, 'log', CREAT);
    write(g, fd, 'hello');
    expect(g.call('fd_seek', fd, -2n, 2, RESULT)).toBe(0);
    expect(g.memory.view.getBigUint64(RESULT, true)).toBe(3n);
    expect(read(g, fd, 9)).toBe('lo');
    g.memory.iovec(IOV, DATA, g.memory.put(DATA, 'XY'));
    expect(g.call('fd_pwrite', fd, IOV, 1, 1n, RESULT)).toBe(0);
    g.memory.iovec(IOV, DATA, 9);
    expect(g.call('fd_pread', fd, IOV, 1, 0n, RESULT)).toBe(0);
    expect(g.memory.text(DATA, 5)).toBe('hXYlo');
    expect(g.call('fd_tell', fd, RESULT)).toBe(0);
    expect(g.memory.view.getBigUint64(RESULT, true)).toBe(5n);
  });

  test('a hole reads as zeros, and so does what was cut off and grown again', async () => {
    const g = await guest();
    const fd = open(g, 'f', CREAT);
    write(g, fd, 'abcdef');
    expect(g.call('fd_filestat_set_size', fd, 2n)).toBe(0);
    expect(g.call('fd_filestat_set_size', fd, 4n)).toBe(0);
    expect(g.call('fd_allocate', fd, 4n, 2n)).toBe(0);
    expect(g.call('fd_allocate', fd, 0n, 2n)).toBe(0);
    g.call('fd_seek', fd, 0n, 0, RESULT);
    expect(read(g, fd, 99)).toBe('ab\0\0\0\0');
  });

  test('appending holds for every write, also when switched on later', async () => {
    const g = await guest();
    const a = open(g, 'f', CREAT, APPEND);
    write(g, a, 'one');
    const b = open(g, 'f');
    write(g, b, 'T');
    write(g, a, '+');
    expect(g.call('fd_fdstat_set_flags', b, APPEND)).toBe(0);
    write(g, b, '!');
    const c = open(g, 'f');
    expect(read(g, c, 99)).toBe('Tne+!');
    expect(g.call('fd_fdstat_set_flags', c, 2)).toBe(ENOTSUP);
    g.call('fd_fdstat_get', b, DATA);
    expect(g.memory.view.getUint16(DATA + 2, true)).toBe(APPEND);
  });

  test('a growing file costs time in proportion to its size', async () => {
    const g = await guest();
    const fd = open(g, 'big', CREAT);
    g.memory.iovec(IOV, DATA, 4096);
    for (let i = 0; i < 8192; i++) g.call('fd_write', fd, IOV, 1, RESULT); // 32 MiB: minutes when quadratic
    g.call('fd_filestat_get', fd, DATA);
    expect(g.memory.view.getBigUint64(DATA + 32, true)).toBe(33554432n);
  });

  test('a file of terabytes is EFBIG and a position below zero EINVAL', async () => {
    const g = await guest();
    const fd = open(g, 'f', CREAT);
    expect(g.call('fd_seek', fd, 1n << 50n, 0, RESULT)).toBe(0);
    expect(write(g, fd, 'x')).toBe(EFBIG);
    expect(g.call('fd_filestat_set_size', fd, -1n)).toBe(EFBIG);
    expect(g.call('fd_allocate', fd, 1n, -1n)).toBe(EFBIG);
    expect(g.call('fd_seek', fd, -1n, 0, RESULT)).toBe(EINVAL);
    expect(g.call('fd_seek', fd, (1n << 63n) - 1n, 0, RESULT)).toBe(0);
    expect(g.call('fd_seek', fd, (1n << 63n) - 1n, 1, RESULT)).toBe(EINVAL);
    expect(g.call('fd_seek', fd, 0n, 3, RESULT)).toBe(EINVAL);
  });

  test('together they have 256 MiB, and deleting one makes room', async () => {
    const g = await guest();
    const a = open(g, 'a', CREAT);
    expect(g.call('fd_allocate', a, 0n, 200n << 20n)).toBe(0);
    const b = open(g, 'b', CREAT);
    expect(g.call('fd_allocate', b, 0n, 100n << 20n)).toBe(51);
    g.call('fd_close', a);
    expect(onPath(g, 'path_unlink_file', 'a')).toBe(0);
    expect(g.call('fd_allocate', b, 0n, 100n << 20n)).toBe(0);
  });

  test('an error after the first buffer is a short count', async () => {
    const g = await guest();
    const fd = open(g, 'f', CREAT);
    g.call('fd_seek', fd, (256n << 20n) - 1n, 0, RESULT);
    g.memory.iovec(IOV, DATA, 1);
    g.memory.iovec(IOV + 8, DATA, 1);
    expect(g.call('fd_write', fd, IOV, 2, RESULT)).toBe(0);
    expect(g.memory.view.getUint32(RESULT, true)).toBe(1);
  });

  test('stat tells kind, size and an inode number that does not depend on other guests', async () => {
    await guest();
    const g = await guest({ files: new Map([['f', Buffer.from('12345')]]) });
    const length = g.memory.put(NAME, 'f');
    expect(g.call('path_filestat_get', 3, 0, NAME, length, DATA)).toBe(0);
    expect(g.memory.view.getBigUint64(DATA + 8, true)).toBe(5n);
    expect(g.memory.u8[DATA + 16]).toBe(4);
    expect(g.memory.view.getBigUint64(DATA + 32, true)).toBe(5n);
    expect(g.memory.view.getBigUint64(DATA + 40, true)).toBe(0n);
    g.call('fd_filestat_get', 1, DATA);
    expect(g.memory.u8[DATA + 16]).toBe(2);
    g.call('fd_filestat_get', 3, DATA);
    expect(g.memory.u8[DATA + 16]).toBe(3);
  });
});

describe('descriptors', () => {
  test('the lowest free number is used again', async () => {
    const g = await guest();
    expect([open(g, 'a', CREAT), open(g, 'b', CREAT), open(g, 'c', CREAT)]).toEqual([4, 5, 6]);
    expect(g.call('fd_close', 5)).toBe(0);
    expect(g.call('fd_close', 5)).toBe(EBADF);
    expect(open(g, 'a')).toBe(5);
    g.call('fd_close', 0);
    expect(open(g, 'a')).toBe(0);
  });

  test('renumbering replaces and closes, onto itself it changes nothing', async () => {
    const g = await guest();
    const fd = open(g, 'a', CREAT);
    expect(g.call('fd_renumber', fd, fd)).toBe(0);
    expect(g.call('fd_renumber', fd, 1)).toBe(0);
    expect(write(g, fd, 'x')).toBe(EBADF);
    expect(write(g, 1, 'x')).toBe(0);
    expect(g.out).toEqual([]);
    expect(g.call('fd_renumber', 1, 77)).toBe(EBADF);
  });

  test('there are 1024 of them', async () => {
    const g = await guest();
    const opened = Array.from({ length: 1021 }, () => open(g, 'a', CREAT));
    expect(opened.at(-2)).toBe(1023);
    expect(opened.at(-1)).toBe(-EMFILE);
  });

  test('calls on a closed number are EBADF and hints on an open one succeed', async () => {
    const g = await guest();
    expect([g.call('fd_sync', 1), g.call('fd_datasync', 1), g.call('fd_advise', 1, 0n, 0n, 0)]).toEqual([
      0, 0, 0,
    ]);
    expect([g.call('fd_sync', -1), g.call('fd_fdstat_get', 4, DATA)]).toEqual([EBADF, EBADF]);
    expect(g.call('fd_fdstat_set_rights', 1, 0n, 0n)).toBe(ENOTSUP);
    expect(g.call('fd_filestat_set_times', 1, 0n, 0n, 0)).toBe(ENOTSUP);
  });
});

describe('directories', () => {
  test('are made once, listed in pieces, and removed when empty', async () => {
    const g = await guest();
    expect(onPath(g, 'path_create_directory', 'd')).toBe(0);
    expect(onPath(g, 'path_create_directory', 'd')).toBe(EEXIST);
    expect(onPath(g, 'path_create_directory', 'x/y')).toBe(ENOENT);
    expect(open(g, 'd/inner', CREAT)).toBe(4);
    expect(onPath(g, 'path_remove_directory', 'd')).toBe(ENOTEMPTY);
    expect(onPath(g, 'path_unlink_file', 'd')).toBe(EISDIR);
    expect(onPath(g, 'path_unlink_file', 'd/inner')).toBe(0);
    expect(onPath(g, 'path_remove_directory', 'd')).toBe(0);
    expect(list(g, 3)).toEqual(['.', '..']);
  });

  test('a short buffer is filled to its end and the next call continues after its last whole entry', async () => {
    const g = await guest({ files: new Map([['name', new Uint8Array(0)]]) });
    expect(g.call('fd_readdir', 3, DATA, 30, 0n, RESULT)).toBe(0);
    expect(g.memory.view.getUint32(RESULT, true)).toBe(30);
    expect(g.call('fd_readdir', 3, DATA, 4096, 2n, RESULT)).toBe(0);
    expect(g.memory.view.getUint32(RESULT, true)).toBe(28);
    expect(g.memory.text(DATA + 24, 4)).toBe('name');
    expect(g.call('fd_readdir', 3, DATA, 4096, 3n, RESULT)).toBe(0);
    expect(g.memory.view.getUint32(RESULT, true)).toBe(0);
  });

  test('open flags: exclusive, truncate, directory, missing', async () => {
    const g = await guest({ files: new Map([['f', Buffer.from('data')]]) });
    expect(open(g, 'f', CREAT | EXCL)).toBe(-EEXIST);
    expect(open(g, 'f', DIRECTORY)).toBe(-ENOTDIR);
    expect(open(g, 'none')).toBe(-ENOENT);
    expect(open(g, 'f/x')).toBe(-ENOTDIR);
    expect(open(g, 'new/', CREAT)).toBe(-EISDIR);
    expect(read(g, open(g, 'f', TRUNC), 9)).toBe('');
  });

  test('paths cannot leave the root or hold a NUL', async () => {
    const g = await guest();
    expect(open(g, '../x')).toBe(-ENOTCAPABLE);
    expect(open(g, '/etc/passwd')).toBe(-ENOTCAPABLE);
    expect(open(g, 'a\0b', CREAT)).toBe(-EINVAL);
    expect(g.call('path_create_directory', 3, NAME, 4097)).toBe(ENAMETOOLONG);
    expect(g.call('path_create_directory', 1, NAME, 1)).toBe(ENOTDIR);
  });

  test('renaming moves files and directories, replaces files, and never loses one', async () => {
    const g = await guest({
      files: new Map([
        ['a', Buffer.from('A')],
        ['b', Buffer.from('B')],
        ['d/e/f', Buffer.from('F')],
      ]),
    });
    expect(onPaths(g, 'a', 'b')).toBe(0);
    expect(read(g, open(g, 'b'), 9)).toBe('A');
    expect(onPaths(g, 'b', 'b')).toBe(0);
    expect(onPaths(g, 'none', 'b')).toBe(ENOENT);
    expect(onPaths(g, 'd', 'd/e/sub')).not.toBe(0);
    expect(onPaths(g, 'd/', 'b')).not.toBe(0);
    expect(read(g, open(g, 'd/e/f'), 9)).toBe('F');
    expect(onPaths(g, 'd/e', 'top/')).toBe(0);
    expect(list(g, 3)).toEqual(['.', '..', 'b', 'd', 'top']);
    expect(read(g, open(g, 'top/f'), 9)).toBe('F');
  });

  test('links share content, symbolic links are not there', async () => {
    const g = await guest({ files: new Map([['a', Buffer.from('A')]]) });
    const a = g.memory.put(NAME, 'a');
    const b = g.memory.put(NAME2, 'b');
    expect(g.call('path_link', 3, 0, NAME, a, 3, NAME2, b)).toBe(0);
    expect(g.call('path_link', 3, 0, NAME, a, 3, NAME2, b)).toBe(EEXIST);
    write(g, open(g, 'b'), 'Z');
    expect(read(g, open(g, 'a'), 9)).toBe('Z');
    expect(g.call('path_symlink', NAME, a, 3, NAME2, b)).toBe(ENOTSUP);
    expect(g.call('path_readlink', 3, NAME, 1, DATA, 10, RESULT)).toBe(EINVAL);
    expect(g.call('path_filestat_set_times', 3, 0, NAME, 1, 0n, 0n, 0)).toBe(ENOTSUP);
  });
});

describe('pointers', () => {
  test('a buffer may end at the end of RAM but not one byte later', async () => {
    const g = await guest();
    g.memory.iovec(IOV, END - 4, 4);
    expect(g.call('fd_write', 1, IOV, 1, RESULT)).toBe(0);
    g.memory.iovec(IOV, END - 4, 5);
    expect(g.call('fd_write', 1, IOV, 1, RESULT)).toBe(EFAULT);
    g.memory.iovec(IOV, BASE - 1, 1);
    expect(g.call('fd_write', 1, IOV, 1, RESULT)).toBe(EFAULT);
    g.memory.iovec(IOV, 0xffffffff, 0);
    expect(g.call('fd_write', 1, IOV, 1, RESULT)).toBe(0);
    expect(g.call('fd_write', 1, END - 4, 1, RESULT)).toBe(EFAULT);
    expect(g.call('fd_write', 1, IOV, 1025, RESULT)).toBe(EINVAL);
  });

  test('nothing is written when the count has no place to go', async () => {
    const g = await guest();
    g.memory.iovec(IOV, DATA, 1);
    expect(g.call('fd_write', 1, IOV, 1, END)).toBe(EFAULT);
    expect(g.out).toEqual([]);
  });

  test('buffers that overlap to more than all of RAM are EINVAL', async () => {
    const g = await guest();
    g.memory.iovec(IOV, BASE, 0x10000);
    g.memory.iovec(IOV + 8, BASE, 0x10000);
    g.memory.iovec(IOV, BASE, 0x10000);
    expect(g.call('fd_write', 1, IOV, 2, RESULT)).toBe(EINVAL);
  });
});
