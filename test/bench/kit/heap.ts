import { sink } from './rounds.ts';
import { report } from './row.ts';

export const OPERATIONS = 1_000_000;
/**
 * V8 is done with the code of a ring of invalidations after eight times, and leaves 10 to 1,000 KB on the way. Afterwards 10^7 of
 * them leave as many bytes as 10^6: 256, which are the measuring's.
 */
const WARM_UPS = 12;
/** So many are enough where they take this long. */
const LEAST_WARM_UPS = 4;
const SETTLED_NS = 1e9;
const ATTEMPTS = 5;
/** A ring's doorbell may box its address: less than one box in 1000 operations counts as nothing. */
const MOST = (OPERATIONS / 1000) * 16;

const collect = (globalThis as { gc?: () => void }).gc;

/** Bytes the heap grows by while `run` works; the runner makes the young generation so large that none is collected. */
function heapAfter(run: () => unknown): number {
  collect!();
  const before = process.memoryUsage().heapUsed;
  sink(run());
  return process.memoryUsage().heapUsed - before;
}

/** A number that is boxed must be seen, else the figures mean nothing. */
export function checkMethod(): void {
  if (collect === undefined) throw new Error('run with --expose-gc');
  const box = { value: 0 as unknown };
  const seen = heapAfter(() => {
    for (let i = 0; i < OPERATIONS; i++) box.value = { i };
  });
  if (seen < OPERATIONS * 16) throw new Error(`of 10^6 objects only ${seen} bytes were seen`);
}

/** Reports what 10^6 operations leave. `nothing`: the same without operations, whose own cost is taken off. */
export function check(what: string, run: () => unknown, nothing: () => unknown = () => 0): void {
  const start = process.hrtime.bigint();
  for (let i = 0; i < WARM_UPS; i++) {
    if (i >= LEAST_WARM_UPS && process.hrtime.bigint() - start > SETTLED_NS) break;
    sink(run());
  }
  sink(nothing());
  const deltas = Array.from({ length: ATTEMPTS }, () => heapAfter(run) - heapAfter(nothing));
  // Code that is optimized meanwhile leaves something once; what an operation allocates comes back every time.
  const least = Math.min(...deltas);
  const met = least < MOST;
  report({
    what: `heap after 10^6: ${what}`,
    unit: 'bytes',
    measured: least,
    minimum: least,
    target: '0 (below 16000: a box in 1000)',
    met,
    ...(met ? {} : { note: `${(least / OPERATIONS).toFixed(1)} bytes an operation` }),
  });
}
