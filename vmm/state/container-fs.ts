import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';

/** What the container does to the disk; a test puts a full one in its place. */
export interface ContainerFs {
  mkdirSync(path: string): unknown;
  openSync(path: string, flags: string): number;
  writeSync(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  fsyncSync(fd: number): void;
  closeSync(fd: number): void;
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { recursive: true; force: true }): void;
  readdirSync(path: string): string[];
  readFileSync(path: string): Uint8Array;
  lstatSync(path: string): { readonly size: number; isDirectory(): boolean; isFile(): boolean };
}

export const DISK: ContainerFs = {
  mkdirSync: (path) => mkdirSync(path, 0o777),
  openSync: (path, flags) => openSync(path, flags),
  writeSync: (fd, bytes, offset, length) => writeSync(fd, bytes, offset, length),
  fsyncSync,
  closeSync,
  renameSync,
  rmSync: (path, options) => rmSync(path, options),
  readdirSync: (path) => readdirSync(path),
  // Not a Buffer, whose slice shares where a Uint8Array's copies.
  readFileSync(path) {
    const { buffer, byteOffset, length } = readFileSync(path);
    return new Uint8Array(buffer, byteOffset, length);
  },
  lstatSync: (path) => lstatSync(path),
};

/** ENOSPC and friends in words. */
export function ioText(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOSPC':
      return 'the disk is full';
    case 'EDQUOT':
      return 'the disk quota is used up';
    case 'EACCES':
    case 'EPERM':
      return 'permission is denied';
    case 'EROFS':
      return 'the file system is read-only';
    case 'ENOENT':
      return 'there is no such directory';
    case 'ENOTDIR':
      return 'a part of the path is not a directory';
    default:
      return code ?? String(error);
  }
}

export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
