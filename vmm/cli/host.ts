/** The process as the commands see it: streams written at once, environment, terminal. */

import { fstatSync, statSync, writeSync } from 'node:fs';
import { EXIT, TsvmmError } from '../core/errors.ts';

export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Stderr is a terminal: progress is shown. */
  readonly interactive: boolean;
  /** Messages on stderr have colour. */
  readonly color: boolean;
  /** Results on stdout have colour: it may be a pipe where stderr is a terminal. */
  readonly outColor: boolean;
  /** @throws OutputClosed when nobody reads any more */
  out(data: string | Uint8Array): void;
  err(data: string | Uint8Array): void;
}

/** The reader of our output has gone, as `head` does: no message, nobody would read it. */
export class OutputClosed extends Error {}

export function processHost(): Host {
  let terminal: boolean | undefined;
  const isInteractive = (): boolean => (terminal ??= isTerminal(2));
  return {
    env: process.env,
    cwd: process.cwd(),
    get interactive() {
      return isInteractive();
    },
    get color() {
      return wantsColor(process.env, isInteractive);
    },
    get outColor() {
      return wantsColor(process.env, () => isTerminal(1));
    },
    out: (data) => writeAll(1, 'stdout', data),
    err: (data) => writeAll(2, 'stderr', data),
  };
}

/** node:tty takes over a millisecond to load: only when the answer matters, and about what can be a terminal at all. */
function isTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    if (!stat.isCharacterDevice()) return false;
    const { devNull } = process.getBuiltinModule('node:os');
    if (stat.rdev === statSync(devNull).rdev) return false;
  } catch {
    return false;
  }
  return process.getBuiltinModule('node:tty').isatty(fd);
}

/** no-color.org and the FORCE_COLOR that Node itself knows, which wins. */
export function wantsColor(
  env: Readonly<Record<string, string | undefined>>,
  interactive: () => boolean,
): boolean {
  const force = env['FORCE_COLOR'];
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  return env['TERM'] !== 'dumb' && interactive();
}

/**
 * Synchronous, so that nothing is left to flush and console and messages keep their order. Creating process.stdout would
 * also cost 2 ms of the start.
 */
export function writeAll(fd: number, name: string, data: string | Uint8Array): void {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done, bytes.length - done);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EAGAIN') pause();
      else if (code === 'EPIPE') throw new OutputClosed(name);
      else throw cannotWrite(name, code, cause);
    }
  }
}

export function cannotWrite(object: string, code: string | undefined, cause: unknown): TsvmmError {
  const whys: Readonly<Record<string, readonly [string, string]>> = {
    ENOSPC: ['the disk is full', 'make room'],
    EDQUOT: ['the disk quota is used up', 'make room'],
    EACCES: ['may not be written', 'choose another place'],
    EPERM: ['may not be written', 'choose another place'],
    EROFS: ['is on a read-only file system', 'choose another place'],
    ENOENT: ['its directory does not exist', 'make the directory first'],
    ENOTDIR: ['its directory is a file', 'choose another place'],
    EISDIR: ['is a directory', 'name a file'],
  };
  const [why, mend] = whys[code ?? ''] ?? [
    `cannot be written (${code ?? String(cause)})`,
    'choose another place',
  ];
  const exit = ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(code ?? '') ? EXIT.usage : EXIT.hostRefused;
  return new TsvmmError({ code: 'cannot-write', object, why, mend, exit, cause });
}

/** A pipe in non-blocking mode is full: wait for its reader without spinning. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}
