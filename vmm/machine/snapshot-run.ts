/** Runs that begin or end in a snapshot. */

import { TsvmmError } from '../core/errors.ts';
import { checkTarget, readSnapshot, writeSnapshot } from '../state/container.ts';
import type { DiskCache } from '../vcpu/cache/disk-cache.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { YieldPoint } from '../vcpu/run/vcpu.ts';
import type { MachineConfig } from './config.ts';
import type { GuestModule } from './guest-module.ts';
import { Machine } from './machine.ts';
import type { Registry } from './registry.ts';
import { fillWriters } from './replay-writers.ts';
import { type RunGuestOptions, type RunResult, resultOf } from './run-guest.ts';
import { Session, type SessionOptions } from './session.ts';
import { checkRam, configOf, type GuestInputs, guestOf, restore, takeSnapshot } from './snapshot.ts';
import { checkSaveable } from './snapshot-check.ts';

export interface SaveAt {
  readonly dir: string;
  /** At the n-th point, counted from 1 where the run starts. */
  readonly n: number;
  /** Which points count; both kinds if absent. */
  readonly point?: YieldPoint;
  /** Replace a snapshot that is there. */
  readonly force?: boolean;
  /** Version of tsvmm, for the manifest. */
  readonly program: string;
}

export interface ResumeOptions
  extends Pick<SessionOptions, 'stdout' | 'stderr' | 'stdin' | 'fuelLimit' | 'timeLimit'> {
  readonly prepare?: (machine: Machine) => void;
  /** Told what the guest printed before it was saved. */
  readonly earlier?: (bytes: Uint8Array) => void;
}

/** The same guest, able to be suspended. @throws TsvmmError when binaryen is missing or refuses it */
export async function suspendable(
  guest: GuestModule,
  cache: DiskCache,
  onStart?: () => void,
): Promise<GuestModule> {
  const { asyncifyModule } = await import('../vcpu/asyncify/asyncify.ts');
  const rewritten = await asyncifyModule(guest.rewritten, cache, onStart);
  return { ...guest, rewritten, suspendable: true };
}

/** Boots a suspendable guest, runs it to the point and saves it. @throws TsvmmError when it never gets there */
export async function runToSnapshot(
  config: MachineConfig,
  registry: Registry,
  guest: GuestModule,
  options: RunGuestOptions,
  save: SaveAt,
): Promise<RunResult> {
  checkTarget(save.dir, save);
  const machine = new Machine(config, registry, guest);
  checkSaveable(machine);
  options.prepare?.(machine);
  const console = new ConsoleLog();
  const session = await Session.open(machine, guest, console.tap(options));
  return finish(session, inputsOf(options), console, false, save);
}

/** Continues a snapshot to the guest's end, or to the next snapshot. @throws TsvmmError */
export async function resumeSnapshot(
  dir: string,
  registry: Registry,
  options: ResumeOptions,
  save?: SaveAt,
): Promise<RunResult> {
  if (save !== undefined) checkTarget(save.dir, save);
  const snapshot = readSnapshot(dir);
  const config = await configOf(snapshot, registry, dir);
  checkRam(snapshot, config, dir);
  const { guest, inputs, console: before } = guestOf(snapshot, dir);
  const machine = new Machine(config, registry, guest);
  const console = new ConsoleLog();
  const sessionOptions = { ...options, ...inputs };
  const session = await Session.open(machine, guest, console.tap(sessionOptions));
  restore(session, snapshot, inputs, dir);
  console.add(before);
  options.earlier?.(before);
  options.prepare?.(machine);
  const result = finish(session, inputs, console, true, save);
  if (result.end.kind === 'suspended') return result;
  const faults = await fillWriters(
    result.faults,
    config,
    registry,
    guest,
    sessionOptions,
    session.vcpu.executed,
  );
  return { ...result, faults };
}

function inputsOf(options: SessionOptions): GuestInputs {
  return { args: options.args, env: options.env, files: options.files ?? new Map() };
}

function finish(
  session: Session,
  inputs: GuestInputs,
  console: ConsoleLog,
  resume: boolean,
  save: SaveAt | undefined,
): RunResult {
  let seen = 0;
  if (save !== undefined) {
    session.vcpu.suspendAt = (point) =>
      (save.point === undefined || save.point === point) && ++seen === save.n;
  }
  const end = session.run(resume);
  if (save !== undefined && end.kind === 'exit') throw neverThere(save, seen, end);
  if (save !== undefined && end.kind === 'suspended')
    writeSnapshot(save.dir, takeSnapshot(session, inputs, console.bytes, save.program), save);
  return resultOf(session, end);
}

function neverThere(save: SaveAt, seen: number, end: GuestEnd & { kind: 'exit' }): TsvmmError {
  const what = save.point === undefined ? 'wfi or yield' : save.point;
  return new TsvmmError({
    code: 'no-such-point',
    object: save.dir,
    why: `nothing was saved: the guest ended with status ${end.status} after ${seen} of ${save.n} calls of ${what}`,
    mend: seen === 0 ? 'a guest is saved where it waits; this one never does' : `use --at 1 to --at ${seen}`,
  });
}

/** Keeps what the guest prints while passing it on. */
class ConsoleLog {
  #chunks: Uint8Array[] = [];

  add(bytes: Uint8Array): void {
    this.#chunks.push(bytes.slice());
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  tap<T extends SessionOptions>(options: T): T {
    const both = (sink: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
      this.add(bytes);
      sink(bytes);
    };
    return { ...options, stdout: both(options.stdout), stderr: both(options.stderr) };
  }
}
