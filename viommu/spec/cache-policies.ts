/**
 * How the caches of a unit behave. The architectures allow all of them, and software that invalidates what it changes sees no
 * difference (VT-d: Caching Translation Information; SMMUv3: Caching).
 */
export const CACHE_POLICIES = ['normal', 'none', 'unbounded', 'random', 'prefetch'] as const;
export type CachePolicy = (typeof CACHE_POLICIES)[number];

export const CACHE_POLICY_TEXT =
  'caches: as hardware has them, none, never full, small ones that lose entries at random, or filled ahead with what lies beside';
export const CACHE_SEED_TEXT = 'cache=random: where its chance begins';
/** Seeds are 32 bits wide and not 0. */
export const MOST_CACHE_SEED = 0xffffffff;
