/** Exit codes of the CLI (stable): see docs/cli.md. */
export const EXIT = {
  ok: 0,
  guestFailed: 1,
  usage: 2,
  hostRefused: 3,
  guestHung: 4,
  verifyDiffers: 5,
  bug: 70,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface ErrorParts {
  /** Stable identifier, kebab-case: scripts match on it. */
  readonly code: string;
  /** What the message is about: a file, an option, a device id. */
  readonly object: string;
  /** Why it is refused, without the object and without a full stop. */
  readonly why: string;
  /** How to mend it, as an imperative clause. */
  readonly mend?: string;
  readonly exit?: ExitCode;
  readonly cause?: unknown;
}

/** Host-side misuse or bad input: one line that names the object, says why and how to mend it. */
export class TsvmmError extends Error {
  readonly code: string;
  readonly object: string;
  readonly exit: ExitCode;

  constructor(parts: ErrorParts) {
    super(`${parts.object}: ${parts.why}${parts.mend === undefined ? '' : `; ${parts.mend}`}`, {
      cause: parts.cause,
    });
    this.name = 'TsvmmError';
    this.code = parts.code;
    this.object = parts.object;
    this.exit = parts.exit ?? EXIT.usage;
  }
}

/** A broken invariant of tsvmm itself; never caused by a guest or by input. */
export class Bug extends Error {
  override readonly name = 'Bug';
}
