import { MonitorError } from './error.ts';

export type RunStatus = 'prelaunch' | 'running' | 'paused' | 'shutdown';

/** Where to go back to: the start, before the last `events` trace events, or the last event before here that matches. */
export type Backward =
  | { readonly to: 'start' }
  | { readonly to: 'step'; readonly events: number }
  | { readonly to: 'event'; readonly glob: string };

export interface SaveRequest {
  readonly dir: string;
  /** Replace a snapshot that is there. */
  readonly force: boolean;
  /** Called once, with what went wrong if something did. */
  readonly done: (error?: string) => void;
}

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
  /** Takes the machine back to an earlier time. @throws MonitorError without a guest */
  reverse(to: Backward): void;
  /** Saves the guest where it waits next. @throws MonitorError without a guest */
  save(request: SaveRequest): void;
  /** Makes the machine and its guest what a snapshot says. @throws MonitorError without a guest, TsvmmError for the snapshot */
  load(dir: string): void;
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

  reverse(): never {
    throw noGuest();
  }

  save(): never {
    throw noGuest();
  }

  load(): never {
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
