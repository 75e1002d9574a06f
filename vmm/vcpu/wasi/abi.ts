/** Numbers of the WASI preview 1 interface. WASI: wasi_snapshot_preview1. */

export const WASI_MODULE = 'wasi_snapshot_preview1';

export const ERRNO = {
  success: 0,
  badf: 8,
  exist: 20,
  fault: 21,
  fbig: 22,
  inval: 28,
  isdir: 31,
  mfile: 33,
  nametoolong: 37,
  noent: 44,
  nospc: 51,
  notdir: 54,
  notsock: 57,
  notsup: 58,
  perm: 63,
  spipe: 70,
} as const;

export const FILETYPE = { characterDevice: 2, directory: 3, regularFile: 4 } as const;

export const CLOCK = { realtime: 0, monotonic: 1, processCpu: 2, threadCpu: 3 } as const;

export const EVENT = { clock: 0, fdRead: 1, fdWrite: 2 } as const;
export const SUBSCRIPTION_ABSTIME = 1;

export const FDFLAG_APPEND = 1;
export const FDFLAG_NONBLOCK = 4;

export const RIGHTS_CONSOLE = (1n << 1n) | (1n << 6n);
/** Every right of the interface. */
export const RIGHTS_ALL = (1n << 30n) - 1n;

export const SIZE = {
  iovec: 8,
  fdstat: 24,
  filestat: 64,
  prestat: 8,
  dirent: 24,
  subscription: 48,
  event: 32,
} as const;
