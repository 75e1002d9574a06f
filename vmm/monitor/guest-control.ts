/** Control of a machine whose guest runs on this thread: it is held between two instructions, inside a call of the vCPU. */

import { guestOf } from '../machine/snapshot.ts';
import { checkSaveable } from '../machine/snapshot-check.ts';
import { checkSameConfig } from '../machine/snapshot-machine.ts';
import { readSnapshot, type Snapshot } from '../state/container.ts';
import { globToRegExp, recordText, type TraceRecord } from '../trace/tracer.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { Vcpu } from '../vcpu/run/vcpu.ts';
import { MonitorError } from './error.ts';
import type { Monitor } from './monitor.ts';
import type { Backward, RunControl, RunStatus, SaveRequest } from './run-control.ts';

type StopReason = 'stop' | 'step' | 'run-until' | 'reverse' | 'end';

/** What the guest's call stack must be left for. */
export type Leave =
  | { readonly kind: 'back'; readonly to: Backward }
  | { readonly kind: 'save'; readonly request: SaveRequest }
  | Load;

interface Load {
  readonly kind: 'load';
  readonly dir: string;
  readonly snapshot: Snapshot;
}

/** A stop that is due at the next instruction, or has been. */
interface Stop {
  readonly reason: StopReason;
  readonly event?: string;
}

export class GuestControl implements RunControl {
  readonly hasGuest = true;
  /** The last stop because of an event. */
  stoppedAfter: string | undefined;
  #status: RunStatus;
  readonly #monitor: Monitor;
  readonly #stopsAtEnd: boolean;
  #vcpu: Vcpu | undefined;
  #ending: 'quit' | 'reset' | 'leave' | undefined;
  #leave: Leave | undefined;
  /** `yields`: those of the guest when it was asked for. */
  #save: { readonly request: SaveRequest; readonly yields: number } | undefined;
  #over = false;
  /** A step or run-until, with the events that are left. */
  #watched:
    | { readonly reason: StopReason; readonly wants: (name: string) => boolean; left: number }
    | undefined;
  #ignore: () => void = () => {};
  /** Why the guest is to stop at the next instruction. */
  #due: Stop | undefined;

  /** @param stopsAtEnd the guest's end is a stop like any other: one can go back from it */
  constructor(monitor: Monitor, held: boolean, stopsAtEnd = false) {
    this.#monitor = monitor;
    this.#status = held ? 'prelaunch' : 'running';
    this.#stopsAtEnd = stopsAtEnd;
  }

  get status(): RunStatus {
    return this.#status;
  }

  /** The processor that runs from now on. */
  attach(vcpu: Vcpu): void {
    this.#vcpu = vcpu;
    this.#ending = undefined;
    this.#over = false;
    // The wait it is saved at is the next one of what runs now.
    if (this.#save !== undefined) this.#save = { ...this.#save, yields: this.#yields() };
  }

  /** How the guest is to end, when a client asked for it. */
  get end(): GuestEnd | undefined {
    return this.#ending === undefined ? undefined : { kind: 'stopped', reason: this.#ending };
  }

  /** On its way to a place where it is to stop. */
  get stepping(): boolean {
    if (this.#ending === 'leave') return true;
    return this.#watched !== undefined && this.#status === 'running' && this.#ending === undefined;
  }

  /** It will stop, if only at its end: a script waits for that. */
  get stopsSomewhere(): boolean {
    return this.stepping || (this.#stopsAtEnd && this.#status === 'running' && this.#ending === undefined);
  }

  get held(): boolean {
    return this.#ending === undefined && this.#status !== 'running';
  }

  here(): string | undefined {
    return this.#over ? undefined : this.#vcpu?.stores.here();
  }

  stop(): void {
    if (this.#status === 'running') this.#stopped({ reason: 'stop' });
  }

  cont(): void {
    if (this.#status === 'running') return;
    if (this.#over) throw new MonitorError('the guest has ended');
    this.#unwatch();
    this.#status = 'running';
    this.#monitor.emit('RESUME');
  }

  step(count: number): void {
    this.cont();
    this.#watch('step', () => true, count);
  }

  /** @param count at which of the events that match */
  runUntil(glob: string, count = 1): void {
    this.cont();
    const pattern = globToRegExp(glob);
    this.#watch('run-until', (name) => pattern.test(name), count);
  }

  #watch(reason: StopReason, wants: (name: string) => boolean, count: number): void {
    this.#unwatch();
    this.#watched = { reason, wants, left: count };
    this.rewatch();
  }

  /** The machine is another one: the rest of a step or run-until is to happen on it. */
  rewatch(): void {
    const watched = this.#watched;
    if (watched === undefined) return;
    this.#ignore();
    this.#ignore = this.#monitor.machine.tracer.watch(watched.wants, (record: TraceRecord) => {
      if (this.#due !== undefined || --watched.left > 0) return;
      this.#due = { reason: watched.reason, event: recordText(record).trim() };
      this.#vcpu?.attend();
    });
  }

  #unwatch(): void {
    this.#watched = undefined;
    this.#ignore();
    this.#ignore = () => {};
  }

  /** Between two instructions: the stop that has become due, or the wait that a snapshot was to be taken at. */
  settle(): void {
    const due = this.#due;
    if (due !== undefined) {
      this.#due = undefined;
      this.#unwatch();
      if (this.#status === 'running') this.#stopped(due);
    }
    const save = this.#save;
    if (save === undefined || this.#ending !== undefined || this.#yields() === save.yields) return;
    this.#save = undefined;
    this.#leaveFor({ kind: 'save', request: save.request });
  }

  #stopped({ reason, event }: Stop): void {
    this.#unwatch();
    this.#status = 'paused';
    this.stoppedAfter = event;
    this.#monitor.emit('STOP');
    const at = this.here();
    this.#monitor.emit('X_TSVMM_STOPPED', {
      reason,
      ...(event === undefined ? {} : { event }),
      ...(at === undefined ? {} : { at }),
    });
    const after = event === undefined ? '' : ` after ${event}`;
    this.#monitor.print(`stopped${after}${at === undefined ? '' : ` in ${at}`}`);
  }

  /** The machine has been taken to another time, where it stands still. */
  arrived(event: string | undefined): void {
    this.#due = undefined;
    if (this.#save !== undefined) this.#save = { ...this.#save, yields: this.#yields() };
    this.#stopped({ reason: 'reverse', ...(event === undefined ? {} : { event }) });
  }

  /** As it was before it was left. */
  returned(status: RunStatus): void {
    this.#status = status;
  }

  reverse(to: Backward): void {
    this.#unwatch();
    this.#leaveFor({ kind: 'back', to });
  }

  save(request: SaveRequest): void {
    if (this.#save !== undefined) throw new MonitorError('a snapshot is to be taken already');
    if (this.#over) throw new MonitorError('the guest has ended');
    this.#save = { request, yields: this.#yields() };
  }

  /** What became of a snapshot. */
  saved({ dir, done }: SaveRequest, error?: string): void {
    done(error);
    this.#monitor.print(error === undefined ? `saved in ${dir}` : `Error: ${dir} is not saved: ${error}`);
  }

  load(dir: string): void {
    checkSaveable(this.#monitor.machine);
    const snapshot = readSnapshot(dir);
    checkSameConfig(this.#monitor.machine, snapshot, dir);
    guestOf(snapshot, dir);
    this.#leaveFor({ kind: 'load', dir, snapshot });
  }

  #yields(): number {
    const s = this.#vcpu?.s;
    return s === undefined ? 0 : s.waits + s.yields;
  }

  #leaveFor(leave: Leave): void {
    if (this.#ending !== undefined)
      throw new MonitorError('the machine is being taken to another place already');
    this.#leave = leave;
    this.#ending = 'leave';
  }

  /** What the guest was left for, other than a snapshot that is to be loaded. */
  takeLeave(): Exclude<Leave, Load> | undefined {
    const leave = this.#leave;
    if (leave?.kind === 'load') return undefined;
    this.#leave = undefined;
    return leave;
  }

  takeLoad(): Load | undefined {
    const leave = this.#leave;
    if (leave?.kind !== 'load') return undefined;
    this.#leave = undefined;
    return leave;
  }

  reset(): void {
    if (this.#over) throw new MonitorError('the guest has ended');
    this.#endBy('reset');
  }

  quit(): void {
    this.#endBy('quit');
    this.#monitor.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
  }

  /** Comes before whatever the guest was to be left for. */
  #endBy(reason: 'reset' | 'quit'): void {
    this.#ending = reason;
    const leave = this.#leave;
    this.#leave = undefined;
    if (leave?.kind === 'save') this.saved(leave.request, 'the machine was reset or ended');
  }

  /** The guest has ended by itself. */
  ended(end: GuestEnd): void {
    this.#unwatch();
    this.#due = undefined;
    this.#over = true;
    const save = this.#save;
    this.#save = undefined;
    if (save !== undefined) this.saved(save.request, 'the guest ended before it waited');
    this.#status = 'shutdown';
    if (end.kind === 'stopped') return;
    const reason = end.kind === 'exit' ? 'guest-shutdown' : 'guest-panic';
    this.#monitor.emit('SHUTDOWN', { guest: true, reason });
  }

  /** It has ended, and clients may take it back. */
  stoppedAtEnd(what: string): void {
    this.#monitor.emit('X_TSVMM_STOPPED', { reason: 'end' });
    this.#monitor.print(`stopped at the end: the guest ${what}`);
  }
}
