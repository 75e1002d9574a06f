import { Refusal } from './errno.ts';

/**
 * A step of a read or write that moves several records: where it is refused after `done` bytes, those count, and the caller is told
 * how many (read(2)); what was consumed must not be lost to an error. `undefined`: stop here.
 */
export function partly<T>(done: number, step: () => T): T | undefined {
  try {
    return step();
  } catch (cause) {
    if (done > 0 && cause instanceof Refusal) return undefined;
    throw cause;
  }
}
