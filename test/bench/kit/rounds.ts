import { measure } from 'mitata';

/** Something that is timed: one call of `run` does `operations` operations. */
export interface Contender {
  readonly name: string;
  readonly operations: number;
  readonly run: () => unknown;
  /** The fastest call of a round counts, not the median: for work that nothing but the machine's other work makes slower. */
  readonly fastest?: true;
  /** Called before every call of `run`, outside the timing. */
  readonly prepare?: () => unknown;
}

/** Something that times itself: one call is one round. */
export interface Probe {
  readonly name: string;
  readonly sample: () => number | Promise<number>;
}

/** Nanoseconds an operation took, one value a round: the median of the calls of that round, or the fastest. */
export type Times = Readonly<Record<string, readonly number[]>>;

/** A contender's time in one round must not fall below this, for the clock's sake. */
const ROUND_NS = 5e7;
/** A round in which a fixed piece of work takes this much longer than usual is left out: the host has changed pace. */
const DRIFT = 1.25;
const SPIN_STEPS = 1 << 22;

export function roundsWanted(): number {
  return Number(process.env['BENCH_ROUNDS'] ?? 9);
}

/**
 * Every contender in every round, back to back, so that what the host does in the meantime happens to all of them. Rounds
 * in which the host has changed pace are replaced, up to twice as many.
 */
export async function rounds(
  contenders: readonly (Contender | Probe)[],
  wanted = roundsWanted(),
): Promise<Times> {
  const times: Record<string, number[]> = {};
  for (const c of contenders) await timed(c, ROUND_NS / 2);
  const paces: number[] = [];
  for (let round = 0; round < wanted * 2; round++) {
    const before = spin();
    const result = new Map<string, number>();
    for (const c of contenders) result.set(c.name, await timed(c, ROUND_NS));
    const after = spin();
    paces.push(before, after);
    if (Math.max(before, after) > DRIFT * median(paces)) continue;
    for (const [name, ns] of result) (times[name] ??= []).push(ns);
    if (times[contenders[0]!.name]!.length === wanted) break;
  }
  return times;
}

/** One value: of a contender the median of what calls worth `ns` took, by operation. */
export async function timed(c: Contender | Probe, ns = ROUND_NS): Promise<number> {
  if ('sample' in c) return c.sample();
  const options = { min_cpu_time: ns, min_samples: 3, gc: false };
  const { prepare, run, fastest } = c;
  const stats =
    prepare === undefined
      ? await measure(run, options)
      : await measure(
          function* () {
            yield { 0: prepare, bench: (_: unknown) => run() };
          } as never,
          options,
        );
  return (fastest ? stats.min : stats.p50) / c.operations;
}

/** Nanoseconds of a piece of work that no other code can change. */
function spin(): number {
  const start = process.hrtime.bigint();
  let x = 1;
  for (let i = 0; i < SPIN_STEPS; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  sink(x);
  return Number(process.hrtime.bigint() - start);
}

const sunk: { value: unknown } = { value: undefined };

/** Keeps a result alive. */
export function sink(value: unknown): void {
  sunk.value = value;
}

export function median(values: readonly number[]): number {
  const sorted = values.slice().sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function geomean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

/** Median over the rounds of what two contenders took in the same round: drift that hits both cancels. */
export function ratioOf(a: readonly number[], b: readonly number[]): number {
  return median(a.map((ns, round) => ns / b[round]!));
}
