/** What a monitor command is, as data. QMP, the text monitor, help, completion, schemas and docs/monitor.md all read it. */

import type { Zod } from '../core/zod.ts';
import type { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import type { Asked } from './history.ts';
import type { Jobs } from './jobs.ts';
import type { RunControl } from './run-control.ts';
import type { TraceControl } from './trace-control.ts';
import type { Members, Type } from './types.ts';

/** What a command can reach. */
export interface MonitorContext {
  readonly machine: Machine;
  readonly registry: Registry;
  readonly control: RunControl;
  readonly trace: TraceControl;
  readonly jobs: Jobs;
  /** Loads it when it is first wanted. */
  readonly zod: () => Zod;
  /** Version of tsvmm. */
  readonly program: string;
  readonly machineTypes: readonly MachineType[];
  /** Every part of the state that a snapshot would hold. */
  units(): readonly SnapshotUnit[];
  /** Tells every client. */
  emit(event: EventName, data?: Readonly<Record<string, unknown>>): void;
  /** The text monitor's own answer to a line. */
  execute(line: string): string;
  /** A client gave a command, which is about to be carried out. @throws MonitorError to refuse it */
  asked(asked: Asked): void;
}

export type Values = Readonly<Record<string, unknown>>;

/** How the command looks to people. */
export interface TextForm {
  /** First word. */
  readonly name: string;
  /** After the name, for help. */
  readonly usage: string;
  /** From what stands after the name to arguments; by position and `name=value` if absent. @throws MonitorError */
  readonly parse?: (rest: string, context: MonitorContext) => Values;
  /** Text of the result, without a newline at the end; nothing is printed for an empty text. */
  readonly show: (result: unknown, args: Values, context: MonitorContext) => string;
  /** Candidates for the word that is being typed; `words` are those before it. */
  readonly complete?: (context: MonitorContext, words: readonly string[]) => readonly string[];
}

/** One row of query-machines. */
export interface MachineType {
  readonly name: string;
  readonly alias?: string;
  readonly 'is-default'?: boolean;
  readonly 'cpu-max': number;
  readonly 'hotpluggable-cpus': boolean;
  readonly 'numa-mem-supported': boolean;
  readonly deprecated: boolean;
  readonly acpi: boolean;
}

export interface MonitorCommand {
  /** As QMP calls it. */
  readonly name: string;
  /** One sentence without a full stop. */
  readonly summary: string;
  /** Further sentences for the reference page. */
  readonly details?: string;
  readonly args: Members;
  /** Further arguments are allowed: the command checks them itself. */
  readonly open?: true;
  readonly result: Type;
  /** What the guest does from then on can differ: a replay carries it out again, and takes no such command from anybody else. */
  readonly changes?: true;
  readonly text?: TextForm;
  /** @throws MonitorError or TsvmmError when it is refused */
  readonly run: (context: MonitorContext, args: Values) => unknown;
}

/** Declares a command, its arguments typed by hand where it reads them. */
export function command(decl: MonitorCommand): MonitorCommand {
  return decl;
}

export interface EventDecl {
  readonly doc: string;
  readonly data: Members;
}

export type EventName =
  | 'STOP'
  | 'RESUME'
  | 'RESET'
  | 'SHUTDOWN'
  | 'DEVICE_DELETED'
  | 'JOB_STATUS_CHANGE'
  | 'X_TSVMM_STOPPED';

/** Nothing to say: QMP's `{"return": {}}`. */
export const DONE: Values = Object.freeze({});
