const QUICK = process.env['TSVMM_QUICK'] === '1';

/** How many cases a test of random ones tries: all of them, but few in `npm run check`, which sets TSVMM_QUICK. */
export function runs(all: number, few = Math.ceil(all / 8)): number {
  return QUICK ? few : all;
}
