import { MonitorError } from './error.ts';

export type RunStatus = 'prelaunch' | 'running' | 'paused' | 'shutdown';

/** What a monitor can do with whatever runs the machine. */
export interface RunControl {
  readonly status: RunStatus;
  /** A guest runs on the machine, or is to. */
  readonly hasGuest: boolean;
  /** Function and line where the guest is, if one runs. */
  here(): string | undefined;
  stop(): void;
  cont(): void;
  /** Runs until `count` trace events have happened. @throws MonitorError without a guest */
  step(count: number): void;
  /** Runs until a trace event happens whose name matches. @throws MonitorError */
  runUntil(glob: string): void;
  /** Resets, or has it done as soon as the guest can be left. */
  reset(): void;
  quit(): void;
}

/** A machine without a guest: it has a state of running or not, and nothing that runs. */
export class IdleControl implements RunControl {
  readonly hasGuest = false;
  status: RunStatus;
  readonly #act: { readonly reset: () => void; readonly quit: () => void };
  readonly #tell: (event: 'STOP' | 'RESUME') => void;

  constructor(
    status: RunStatus,
    act: { readonly reset: () => void; readonly quit: () => void },
    tell: (event: 'STOP' | 'RESUME') => void,
  ) {
    this.status = status;
    this.#act = act;
    this.#tell = tell;
  }

  here(): undefined {
    return undefined;
  }

  stop(): void {
    if (this.status !== 'running') return;
    this.status = 'paused';
    this.#tell('STOP');
  }

  cont(): void {
    if (this.status === 'running') return;
    this.status = 'running';
    this.#tell('RESUME');
  }

  step(): never {
    throw noGuest();
  }

  runUntil(): never {
    throw noGuest();
  }

  reset(): void {
    this.#act.reset();
  }

  quit(): void {
    this.status = 'shutdown';
    this.#act.quit();
  }
}

function noGuest(): MonitorError {
  return new MonitorError('no guest runs on this machine');
}
