/** What a run leaves for a report: a JSON file of its own, and the contents of the page. */

import type { ExplainedFault, TableTree } from '../bus/iommu.ts';
import type { Requester } from '../machine/requesters.ts';
import type { Timeline } from '../trace/timeline.ts';

/** Changes whenever a field changes its meaning or goes. */
export const RUN_VERSION = 1;

/** The tables as they were when something happened. */
export interface Moment {
  /** `first fault, end of the run` */
  readonly label: string;
  /** Virtual time in ns. */
  readonly at: number;
  readonly tables: Omit<TableTree, 'pages'>;
}

/** What the machine saw of a run. */
export interface RunInside {
  readonly requesters: readonly Requester[];
  readonly timeline: Timeline;
  /** In order of time. */
  readonly moments: readonly Moment[];
}

/** How the run ended; the command line's verdict has all of it. */
export interface RunVerdict {
  readonly verdict: string;
  readonly exitCode: number;
  readonly guest: string;
  readonly exitStatus: number | null;
  readonly reason: string | null;
  readonly tap: {
    readonly planned: number | null;
    readonly passed: number;
    readonly failed: number;
    readonly skipped: number;
    readonly todo: number;
    readonly failures: readonly { readonly number: number; readonly description: string }[];
    readonly bailOut: string | null;
    readonly problems: readonly string[];
  } | null;
  readonly virtualNs: number;
  readonly instructions: number;
  readonly seed: number | null;
  readonly faults: readonly ExplainedFault[];
  readonly report: string | null;
  /** The command that does a failed run again. */
  readonly replay: string | null;
  readonly console: string;
}

export interface RunData {
  readonly tsvmmRun: typeof RUN_VERSION;
  /** Version of tsvmm. */
  readonly program: string;
  readonly verdict: RunVerdict;
  /** The machine description, as --config reads it. */
  readonly machine: unknown;
  readonly inside: RunInside;
}

/** Characters of the console that are kept: its end. */
const MOST_CONSOLE = 1 << 18;

export function runData(program: string, verdict: RunVerdict, machine: unknown, inside: RunInside): RunData {
  return {
    tsvmmRun: RUN_VERSION,
    program,
    verdict: { ...verdict, console: tail(verdict.console) },
    machine,
    inside,
  };
}

function tail(text: string): string {
  const cut = text.length - MOST_CONSOLE;
  return cut <= 0 ? text : `[${cut} characters before this are left out]\n${text.slice(cut)}`;
}
