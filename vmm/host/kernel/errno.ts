/** Linux's error numbers (generic architectures), as far as the modelled interfaces return them. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLOCK: 35,
  ENOMSG: 42,
  EBADE: 52,
  EOVERFLOW: 75,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
} as const;

export type ErrnoName = keyof typeof ERRNO;

/**
 * How the modelled kernel refuses: an error number and, because tsvmm is there to say why, a reason. Not an `Error`: refusals
 * are ordinary answers of the interface, and a stack trace each would cost more than the call.
 */
export class Refusal {
  readonly errno: ErrnoName;
  readonly why: string;

  constructor(errno: ErrnoName, why: string) {
    this.errno = errno;
    this.why = why;
  }

  /** What a system call returns. */
  get code(): number {
    return -ERRNO[this.errno];
  }
}

export function refuse(errno: ErrnoName, why: string): never {
  throw new Refusal(errno, why);
}

/** `refuse` where the condition does not hold. */
export function demand(holds: boolean, errno: ErrnoName, why: string): asserts holds {
  if (!holds) refuse(errno, why);
}
