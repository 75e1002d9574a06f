/** The verdict of a run: as an object, as a line, as an exit code. */

import type { ExplainedFault } from '../bus/iommu.ts';
import { EXIT, type ExitCode } from '../core/errors.ts';
import { judge, type TapResult } from '../machine/tap.ts';
import type { RunOutcome } from './backend.ts';

export type VerdictWord = 'passed' | 'failed' | 'crashed' | 'hung' | 'saved' | 'stopped';

/** What --json prints; its schema is verdictSchema in schemas.ts. */
export interface Verdict {
  readonly verdict: VerdictWord;
  /** The exit code of tsvmm. */
  readonly exitCode: ExitCode;
  readonly guest: string;
  /** Exit status of the guest; null when it did not exit. */
  readonly exitStatus: number | null;
  /** Why, when it did not pass. */
  readonly reason: string | null;
  readonly tap: TapJson | null;
  readonly virtualNs: number;
  readonly instructions: number;
  readonly seed: number | null;
  readonly faults: readonly ExplainedFault[];
  /** The crash or hang report for people. */
  readonly report: string | null;
  /** The command that does the same run again; null when it passed, or cannot be repeated. */
  readonly replay: string | null;
  /** Everything the guest printed. */
  readonly console: string;
}

export interface TapJson {
  readonly planned: number | null;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly todo: number;
  readonly failures: readonly { readonly number: number; readonly description: string }[];
  readonly bailOut: string | null;
  readonly problems: readonly string[];
}

export interface Judged {
  readonly guest: string;
  readonly seed: number | null;
  readonly outcome: RunOutcome;
  readonly tap: TapResult | undefined;
  readonly console: string;
}

const EXIT_OF: Readonly<Record<VerdictWord, ExitCode>> = {
  passed: EXIT.ok,
  saved: EXIT.ok,
  stopped: EXIT.ok,
  failed: EXIT.guestFailed,
  crashed: EXIT.guestFailed,
  hung: EXIT.guestHung,
};

export function verdictOf({ guest, seed, outcome, tap, console }: Judged): Verdict {
  const word = outcome.end === 'exited' ? judge(outcome.exitStatus ?? 0, tap) : outcome.end;
  return {
    verdict: word,
    exitCode: EXIT_OF[word],
    guest,
    exitStatus: outcome.end === 'exited' ? (outcome.exitStatus ?? 0) : null,
    reason:
      word === 'passed' || word === 'saved'
        ? null
        : (outcome.reason ?? failureReason(outcome.exitStatus ?? 0, tap)),
    tap: tap === undefined ? null : tapJson(tap),
    virtualNs: outcome.virtualNs,
    instructions: outcome.instructions,
    seed,
    faults: outcome.faults,
    report: outcome.report ?? null,
    replay: null,
    console,
  };
}

function tapJson(tap: TapResult): TapJson {
  return { ...tap, planned: tap.planned ?? null, bailOut: tap.bailOut ?? null };
}

function failureReason(exitStatus: number, tap: TapResult | undefined): string {
  const reasons: string[] = [];
  if (tap?.bailOut !== undefined) reasons.push(`bailed out${tap.bailOut === '' ? '' : `: ${tap.bailOut}`}`);
  if (tap !== undefined && tap.failed > 0) reasons.push(failedTests(tap));
  reasons.push(...(tap?.problems ?? []));
  if (exitStatus !== 0) reasons.push(`exit status ${exitStatus}`);
  return reasons.join('; ');
}

function failedTests(tap: TapResult): string {
  const [first] = tap.failures;
  const name =
    first === undefined
      ? ''
      : ` (${first.number}${first.description === '' ? '' : ` ${first.description}`}${tap.failed > 1 ? ', ...' : ''})`;
  return `${tap.failed} ${tap.failed === 1 ? 'test' : 'tests'} failed${name}`;
}

/** `passed driver.c: 12 tests, 1 skipped; 1.20 ms of virtual time, 45678 instructions`. */
export function verdictLine(v: Verdict): string {
  const facts = [
    v.reason,
    tapText(v.tap),
    `${timeText(v.virtualNs)} of virtual time, ${v.instructions} instructions`,
  ];
  return `${v.guest}: ${facts.filter((f) => f !== null).join('; ')}`;
}

function tapText(tap: TapJson | null): string | null {
  if (tap === null) return null;
  const counts: [number, string][] = [
    [tap.passed, 'passed'],
    [tap.failed, 'failed'],
    [tap.skipped, 'skipped'],
    [tap.todo, 'todo'],
  ];
  const text = counts.filter(([n], i) => i === 0 || n > 0).map(([n, what]) => `${n} ${what}`);
  return `tests: ${text.join(', ')}`;
}

export function timeText(ns: number): string {
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(2)} us`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(2)} ms`;
  return `${(ns / 1e9).toFixed(3)} s`;
}
