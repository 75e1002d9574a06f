/** Control of a machine whose guest runs on this thread: it is held between two instructions, inside a call of the vCPU. */

import { globToRegExp, recordText, type TraceRecord } from '../trace/tracer.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { Vcpu } from '../vcpu/run/vcpu.ts';
import type { Monitor } from './monitor.ts';
import type { RunControl, RunStatus } from './run-control.ts';

type StopReason = 'stop' | 'step' | 'run-until';

export class GuestControl implements RunControl {
  readonly hasGuest = true;
  #status: RunStatus;
  readonly #monitor: Monitor;
  #vcpu: Vcpu | undefined;
  #ending: 'quit' | 'reset' | undefined;
  #stepping = false;
  /** Ends the watch of a step or run-until. */
  #unwatch: () => void = () => {};
  /** Why the guest is to stop at the next instruction. */
  #due: { readonly reason: StopReason; readonly event?: string } | undefined;

  constructor(monitor: Monitor, held: boolean) {
    this.#monitor = monitor;
    this.#status = held ? 'prelaunch' : 'running';
  }

  get status(): RunStatus {
    return this.#status;
  }

  /** The processor that runs from now on. */
  attach(vcpu: Vcpu): void {
    this.#vcpu = vcpu;
    this.#ending = undefined;
  }

  /** How the guest is to end, when a client asked for it. */
  get end(): GuestEnd | undefined {
    return this.#ending === undefined ? undefined : { kind: 'stopped', reason: this.#ending };
  }

  /** On its way to a place where it is to stop. */
  get stepping(): boolean {
    return this.#stepping && this.#status === 'running' && this.#ending === undefined;
  }

  get held(): boolean {
    return this.#ending === undefined && this.#status !== 'running';
  }

  here(): string | undefined {
    return this.#vcpu?.stores.here();
  }

  stop(): void {
    if (this.#status === 'running') this.#stopped('stop');
  }

  cont(): void {
    if (this.#status === 'running') return;
    this.#unwatch();
    this.#status = 'running';
    this.#monitor.emit('RESUME');
  }

  step(count: number): void {
    this.cont();
    let left = count;
    this.#watch(
      'step',
      () => true,
      () => --left === 0,
    );
  }

  runUntil(glob: string): void {
    this.cont();
    const pattern = globToRegExp(glob);
    this.#watch(
      'run-until',
      (name) => pattern.test(name),
      () => true,
    );
  }

  #watch(reason: StopReason, wants: (name: string) => boolean, enough: () => boolean): void {
    this.#unwatch();
    const unwatch = this.#monitor.machine.tracer.watch(wants, (record: TraceRecord) => {
      if (this.#due !== undefined || !enough()) return;
      this.#due = { reason, event: recordText(record).trim() };
      this.#vcpu?.attend();
    });
    this.#stepping = true;
    this.#unwatch = () => {
      this.#stepping = false;
      this.#unwatch = () => {};
      unwatch();
    };
  }

  /** Between two instructions: the stop that has become due. */
  settle(): void {
    const due = this.#due;
    if (due === undefined) return;
    this.#due = undefined;
    this.#unwatch();
    if (this.#status === 'running') this.#stopped(due.reason, due.event);
  }

  #stopped(reason: StopReason, event?: string): void {
    this.#unwatch();
    this.#status = 'paused';
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

  reset(): void {
    this.#ending = 'reset';
  }

  quit(): void {
    this.#ending = 'quit';
    this.#monitor.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
  }

  /** The guest has ended by itself. */
  ended(end: GuestEnd): void {
    this.#unwatch();
    this.#status = 'shutdown';
    if (end.kind === 'stopped') return;
    const reason = end.kind === 'exit' ? 'guest-shutdown' : 'guest-panic';
    this.#monitor.emit('SHUTDOWN', { guest: true, reason });
  }
}
