/** What was asked of a machine from outside, and where in the run: with the machine and its guest, the whole run. */

import { MonitorError } from './error.ts';
import { findCommand } from './table.ts';
import { textCommand } from './text.ts';

/**
 * A place between two instructions of the guest where commands are carried out. `executed` alone does not tell one wait from
 * the next, and `polls` alone does not tell places that a step or run-until stopped at; together they name one place.
 */
export interface Place {
  /** Boots of the guest before this one: a system_reset or a loaded snapshot begins the next. */
  readonly run: number;
  /** Times the processor has looked up from the guest by itself in this boot. */
  readonly polls: number;
  /** Instructions executed in this boot. */
  readonly executed: number;
  /** Virtual time in ns; follows from the others. */
  readonly time: number;
}

/** Before the first instruction. */
export const START: Place = { run: 0, polls: 0, executed: 0, time: 0 };

export function samePlace(a: Place, b: Place): boolean {
  return a.run === b.run && a.polls === b.polls && a.executed === b.executed;
}

export function isBefore(a: Place, b: Place): boolean {
  if (a.run !== b.run) return a.run < b.run;
  return a.polls === b.polls ? a.executed < b.executed : a.polls < b.polls;
}

/** A command as a client gave it. */
export type Asked =
  | { readonly via: 'monitor'; readonly line: string }
  | {
      readonly via: 'qmp';
      readonly execute: string;
      readonly arguments: Readonly<Record<string, unknown>>;
    };

export interface AskedAt {
  readonly place: Place;
  readonly asked: Asked;
}

/** Whether the guest, or what follows for it, can differ by this command. */
export function changesMachine(asked: Asked): boolean {
  if (asked.via === 'monitor') return textCommand(asked.line)?.changes === true;
  if (asked.execute !== 'human-monitor-command') return findCommand(asked.execute)?.changes === true;
  const line = asked.arguments['command-line'];
  return typeof line === 'string' && changesMachine({ via: 'monitor', line });
}

/** The words that a refusal names the command by. */
export function nameOf(asked: Asked): string {
  return asked.via === 'monitor' ? asked.line.trim() : asked.execute;
}

/** Told what becomes of the history: a record on disk. */
export interface Recorder {
  asked(entry: AskedAt): void;
  /** Only the first `count` commands stand: the run went back and took another way. */
  cut(count: number): void;
  /** Something was done otherwise than before: what was printed is not what the run prints. */
  branched(): void;
}

/** Commands in the order they were carried out. */
export class History {
  readonly #entries: AskedAt[];
  readonly #recorder: Recorder | undefined;
  /** It was recorded before: nobody adds to it. */
  readonly fixed: boolean;

  constructor(recorded: readonly AskedAt[] | undefined, recorder: Recorder | undefined) {
    this.#entries = [...(recorded ?? [])];
    this.#recorder = recorder;
    this.fixed = recorded !== undefined;
  }

  get entries(): readonly AskedAt[] {
    return this.#entries;
  }

  /**
   * A client gave a command, after the first `applied` of the history.
   * @returns 'ignored' when it is no part of the history; 'branched' when what followed from here is no more
   * @throws MonitorError for a change to what was recorded
   */
  add(entry: AskedAt, applied: number): 'ignored' | 'added' | 'branched' {
    const changes = changesMachine(entry.asked);
    if (this.fixed) {
      if (changes && !isQuit(entry.asked)) throw refused(entry.asked);
      return 'ignored';
    }
    const past = applied < this.#entries.length;
    // Who went back only to look leaves what is to come as it is.
    if (past && !changes) return 'ignored';
    if (past) {
      this.#entries.length = applied;
      this.#recorder?.cut(applied);
    }
    this.#entries.push(entry);
    this.#recorder?.asked(entry);
    return changes ? 'branched' : 'added';
  }
}

function isQuit(asked: Asked): boolean {
  return asked.via === 'qmp' ? asked.execute === 'quit' : textCommand(asked.line)?.name === 'quit';
}

function refused(asked: Asked): MonitorError {
  return new MonitorError(`this is a replay: '${nameOf(asked)}' would make it another run`);
}
