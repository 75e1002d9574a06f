import { createRequire } from 'node:module';
import type { Zod } from '../core/zod.ts';

let loaded: Zod | undefined;

/** A monitor has no event loop to wait for an import() in; most of its commands do without zod altogether. */
export function loadZodNow(): Zod {
  return (loaded ??= createRequire(import.meta.url)('zod') as Zod);
}
