/** Part of the cache key of rewritten modules: raised whenever the output or the result's shape changes. */
export const REWRITER_VERSION = 3;
