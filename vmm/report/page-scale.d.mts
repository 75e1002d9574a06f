export interface Tick {
  readonly place: number;
  readonly text: string;
}

export interface Scale {
  /** The place of the end. */
  readonly last: number;
  /** As near as one can look. */
  readonly least: number;
  place(ns: number): number;
  ticks(from: number, to: number, most: number): Tick[];
}

export function timeText(ns: number, step?: number): string;
export function roundStep(least: number): number;
export function timeScale(end: number): Scale;
export function orderScale(times: readonly number[]): Scale;
