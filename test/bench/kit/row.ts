import { writeFileSync } from 'node:fs';
import { median, ratioOf } from './rounds.ts';

export type Unit = 'ns' | 'ms' | 'bytes' | 'x';

/** A line of the result table. */
export interface Row {
  readonly what: string;
  readonly unit: Unit;
  /** Median over the rounds. */
  readonly measured: number;
  readonly minimum: number;
  readonly baseline?: {
    readonly name: string;
    readonly unit?: Unit;
    readonly median: number;
    readonly minimum: number;
  };
  /** Median of the ratios round by round, and the ratio of the minima. */
  readonly ratio?: number;
  readonly ratioOfMinima?: number;
  /** As the table of goals words it; absent: for information. */
  readonly target?: string;
  readonly met?: boolean;
  readonly note?: string;
}

export interface Skip {
  readonly what: string;
  readonly skipped: string;
}

export interface Limit {
  readonly text: string;
  /** Greatest ratio. */
  readonly ratio?: number;
  /** Greatest value, in the row's unit. */
  readonly value?: number;
}

const ROWS: (Row | Skip)[] = [];

/** A figure against a baseline of the same rounds. */
export function compare(
  what: string,
  unit: Unit,
  values: readonly number[],
  against: { readonly name: string; readonly values: readonly number[] },
  limit?: Limit,
  note?: string,
): Row {
  const ratio = ratioOf(values, against.values);
  const [minimum, least] = [Math.min(...values), Math.min(...against.values)];
  return report({
    what,
    unit,
    measured: median(values),
    minimum,
    baseline: { name: against.name, median: median(against.values), minimum: least },
    ratio,
    ratioOfMinima: minimum / least,
    ...judged(limit, ratio, median(values)),
    ...(note === undefined ? {} : { note }),
  });
}

/** A figure that stands for itself. */
export function figure(
  what: string,
  unit: Unit,
  values: readonly number[],
  limit?: Limit,
  note?: string,
): Row {
  const measured = median(values);
  return report({
    what,
    unit,
    measured,
    minimum: Math.min(...values),
    ...judged(limit, undefined, measured),
    ...(note === undefined ? {} : { note }),
  });
}

export function skip(what: string, skipped: string): void {
  ROWS.push({ what, skipped });
}

export function report(row: Row): Row {
  ROWS.push(row);
  return row;
}

function judged(limit: Limit | undefined, ratio: number | undefined, value: number) {
  if (limit === undefined) return {};
  const met =
    (limit.ratio === undefined || (ratio !== undefined && ratio <= limit.ratio)) &&
    (limit.value === undefined || value <= limit.value);
  return { target: limit.text, met };
}

/** Hands the rows to the runner, or prints them where there is none. */
export function finish(): void {
  const file = process.env['BENCH_OUT'];
  if (file === undefined) console.log(JSON.stringify(ROWS, null, 1));
  else writeFileSync(file, JSON.stringify(ROWS));
}
