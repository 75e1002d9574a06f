/** The process: the only place that ends it. */

import type { Context } from './context.ts';
import { dispatch, report } from './dispatch.ts';
import { processHost } from './host.ts';
import type { AcceptedBefore } from './machine-options.ts';

/** Replaced by the build with a hash of the bundle: what zod accepted is remembered for one build only. */
declare const TSVMM_BUILD: string | undefined;

/** @param beforeExit what the launcher wants done when everything else is */
export async function main(beforeExit?: () => void): Promise<never> {
  const host = processHost();
  const context: Context = {
    host,
    backend: async () => (await import('./machine-backend.ts')).machineBackend(),
    accepted: acceptedBefore,
  };
  process.on('uncaughtException', (error) => process.exit(report(error, context, false)));
  const code = await dispatch(process.argv.slice(2), context);
  beforeExit?.();
  // Everything was written synchronously: there is nothing left to flush.
  process.exit(code);
}

async function acceptedBefore(): Promise<AcceptedBefore | undefined> {
  if (typeof TSVMM_BUILD === 'undefined') return undefined;
  const { cacheKey, openCache } = await import('../vcpu/cache/disk-cache.ts');
  const cache = openCache();
  const key = (description: string) => cacheKey(['options', TSVMM_BUILD!, description]);
  return {
    has: (description) => cache.get('accepted', key(description)) !== undefined,
    add: (description) => cache.put('accepted', key(description), Uint8Array.of(1)),
  };
}
