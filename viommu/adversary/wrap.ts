import type { DmaTranslator } from '../../vmm/bus/dma.ts';
import type { SystemMemory } from '../../vmm/bus/memory.ts';
import type { CachePolicy } from '../spec/cache-policies.ts';
import { type AdverseUnit, EagerCaches, ForgetfulCaches } from './adverse-caches.ts';

/** What requests go through: the unit itself, but for the policies that touch its caches between two requests. */
export function withPolicy(
  unit: AdverseUnit,
  options: { readonly cache: CachePolicy; readonly 'cache-seed': number },
  memory: SystemMemory,
): DmaTranslator {
  if (options.cache === 'random') return new ForgetfulCaches(unit, options['cache-seed']);
  return options.cache === 'prefetch' ? new EagerCaches(unit, memory) : unit;
}
