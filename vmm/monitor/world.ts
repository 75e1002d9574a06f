/** A machine with its guest, made as often as a run is to be repeated: runs are deterministic. */

import type { MachineConfig } from '../machine/config.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import type { RunGuestOptions } from '../machine/run-guest.ts';
import { Session } from '../machine/session.ts';
import { type GuestInputs, guestOf, restore, takeSnapshot } from '../machine/snapshot.ts';
import { notSaveable } from '../machine/snapshot-check.ts';
import type { Snapshot } from '../state/container.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { StoreLog } from '../vcpu/run/provenance.ts';
import type { GuestControl } from './guest-control.ts';
import type { Place } from './history.ts';

/** What a run begins with. */
export interface Setup {
  readonly config: MachineConfig;
  readonly registry: Registry;
  readonly guest: GuestModule;
  readonly options: RunGuestOptions;
  /** Version of tsvmm. */
  readonly program: string;
}

interface Counts {
  bytes: number;
  records: number;
}

/** A place that a run can be repeated from. */
export interface Checkpoint {
  readonly place: Place;
  /** Commands of the history that had been carried out. */
  readonly applied: number;
  readonly snapshot: Snapshot;
  readonly guest: GuestModule;
  readonly inputs: GuestInputs;
  /** What had been printed and traced. */
  readonly told: Counts;
  /** Who had stored what. */
  readonly stores: ReturnType<StoreLog['save']>;
}

/** What has been printed and traced: a run that is repeated is silent up to there. */
export class Told {
  #furthest = { bytes: 0, records: 0 };
  #now: Counts = { bytes: 0, records: 0 };
  readonly #silent: boolean;

  /** @param silent nothing is ever told; it is counted */
  constructor(silent = false) {
    this.#silent = silent;
  }

  /** The run begins again, at its start or where so much had been told. */
  restart(counts: Counts = { bytes: 0, records: 0 }): void {
    this.#now = { ...counts };
  }

  /** Up to here. */
  get counts(): Counts {
    return { ...this.#now };
  }

  /** What comes from here on is another story. @returns whether one had been told that is no more */
  branch(): boolean {
    const behind = this.#now.bytes < this.#furthest.bytes;
    this.#furthest = { ...this.#now };
    return behind;
  }

  /** The part of `bytes` that is new. */
  fresh(bytes: Uint8Array): Uint8Array {
    const now = (this.#now.bytes += bytes.length);
    if (this.#silent) return bytes.subarray(bytes.length);
    const news = Math.max(0, Math.min(bytes.length, now - this.#furthest.bytes));
    this.#furthest.bytes = Math.max(this.#furthest.bytes, now);
    return bytes.subarray(bytes.length - news);
  }

  /** One more trace record: whether it is new. */
  record(): boolean {
    if (++this.#now.records <= this.#furthest.records || this.#silent) return false;
    this.#furthest.records = this.#now.records;
    return true;
  }
}

export class World {
  machine: Machine;
  session: Session;
  /** Boots before this one. */
  run = 0;
  /** What this one began with. */
  begunBy: 'power-on' | 'reset' | 'snapshot' = 'power-on';
  /** What the guest was started with. */
  inputs: GuestInputs;
  readonly #setup: Setup;
  readonly #told: Told | undefined;
  readonly #printing: boolean;
  #resume = false;
  #keep:
    | {
        readonly wanted: () => boolean;
        readonly take: (checkpoint: Omit<Checkpoint, 'applied'>) => void;
      }
    | undefined;

  private constructor(
    setup: Setup,
    told: Told | undefined,
    printing: boolean,
    machine: Machine,
    session: Session,
  ) {
    this.#setup = setup;
    this.#told = told;
    this.#printing = printing;
    this.machine = machine;
    this.session = session;
    this.inputs = inputsOf(setup.options);
  }

  /**
   * The machine at power-on with its guest.
   * @param told absent: nothing is traced
   * @param printing what the guest prints is passed on
   */
  static async boot(setup: Setup, told: Told | undefined, printing: boolean): Promise<World> {
    told?.restart();
    const machine = newMachine(setup, told);
    const session = await Session.open(machine, setup.guest, sinksOf(setup, told, printing));
    return new World(setup, told, printing, machine, session);
  }

  /** The machine as it was at a checkpoint. */
  static async at(from: Checkpoint, setup: Setup, told: Told, printing: boolean): Promise<World> {
    // Firmware runs in every machine that is made.
    told.restart();
    const machine = newMachine(setup, told);
    const options = { ...sinksOf(setup, told, printing), ...from.inputs };
    const session = await Session.open(machine, from.guest, options);
    restore(session, from.snapshot, from.inputs, 'checkpoint');
    session.vcpu.polls = from.place.polls;
    session.vcpu.stores.load(from.stores);
    told.restart(from.told);
    const world = new World(setup, told, printing, machine, session);
    world.run = from.place.run;
    world.inputs = from.inputs;
    world.#resume = true;
    return world;
  }

  /** Has checkpoints taken where the guest waits and `wanted` says so. */
  keep(wanted: () => boolean, take: (checkpoint: Omit<Checkpoint, 'applied'>) => void): void {
    this.#keep = { wanted, take };
  }

  /** A machine that devices were plugged into, or that was loaded, is not one that could be made anew. */
  #keepable(): boolean {
    const { machine } = this;
    const same = machine.config === this.#setup.config && machine.ram.highSize === 0;
    if (notSaveable(machine) !== undefined) return false;
    return same && this.begunBy !== 'snapshot' && this.#keep?.wanted() === true;
  }

  #take(): void {
    const { session, inputs } = this;
    const snapshot = takeSnapshot(session, inputs, new Uint8Array(0), this.#setup.program);
    this.#keep?.take({
      place: this.place,
      snapshot,
      guest: session.guest,
      inputs,
      told: this.#told?.counts ?? { bytes: 0, records: 0 },
      stores: session.vcpu.stores.save(),
    });
  }

  get place(): Place {
    const { polls, executed } = this.session.vcpu;
    return { run: this.run, polls, executed, time: this.machine.clock.now };
  }

  /** After the guest has ended: where its next look up would be. */
  get endPlace(): Place {
    return { ...this.place, polls: this.session.vcpu.polls + 1 };
  }

  /** Runs the guest to its end through every reset and loaded snapshot; `ready` is called before each boot. */
  async execute(
    control: GuestControl,
    ready: () => void,
    poll: () => GuestEnd | undefined,
  ): Promise<GuestEnd> {
    for (;;) {
      ready();
      control.attach(this.session.vcpu);
      this.session.vcpu.supervisor = { poll };
      const { vcpu } = this.session;
      if (this.#keep !== undefined) vcpu.suspendAt = () => this.#keepable();
      let end = poll() ?? this.session.run(this.#resume);
      while (end.kind === 'suspended' && this.#keep !== undefined) {
        this.#take();
        end = this.session.run(true);
      }
      if (end.kind !== 'stopped' || end.reason === 'quit') return end;
      if (end.reason === 'reset') await this.#reset();
      else if (!(await this.#load(control))) return end;
    }
  }

  /** The machine as a system reset leaves it, with the guest loaded anew. Memory is cleared: the guest's image is all of it. */
  async #reset(): Promise<void> {
    const { machine } = this;
    machine.resetDevices();
    machine.ram.clear();
    this.session = await Session.open(
      machine,
      this.#setup.guest,
      sinksOf(this.#setup, this.#told, this.#printing),
    );
    this.inputs = inputsOf(this.#setup.options);
    this.begunBy = 'reset';
    this.run++;
    this.#resume = false;
  }

  /** Puts the machine of a snapshot in the place of this one, if that is what the guest was left for. */
  async #load(control: GuestControl): Promise<boolean> {
    const leave = control.takeLoad();
    if (leave === undefined) return false;
    await this.#become(leave.snapshot, leave.dir);
    this.run++;
    return true;
  }

  async #become(snapshot: Snapshot, dir: string): Promise<void> {
    const setup = { ...this.#setup, config: this.machine.config };
    const { guest, inputs } = guestOf(snapshot, dir);
    const machine = newMachine(setup, this.#told, guest);
    const options = { ...sinksOf(setup, this.#told, this.#printing), ...inputs };
    const session = await Session.open(machine, guest, options);
    restore(session, snapshot, inputs, dir);
    this.machine = machine;
    this.session = session;
    this.inputs = inputs;
    this.begunBy = 'snapshot';
    this.#resume = true;
  }
}

function inputsOf({ args, env, files }: RunGuestOptions): GuestInputs {
  return { args, env, files: files ?? new Map() };
}

/** @param guest what runs first on it: a snapshot's own, before a reset brings that of the run */
function newMachine(setup: Setup, told: Told | undefined, guest = setup.guest): Machine {
  const roomier = setup.guest.programs === undefined ? guest : setup.guest;
  const machine = new Machine(setup.config, setup.registry, roomier);
  if (told === undefined) return machine;
  setup.options.prepare?.(machine);
  machine.tracer.gate = () => told.record();
  return machine;
}

function sinksOf({ options }: Setup, told: Told | undefined, printing: boolean): RunGuestOptions {
  const through = (sink: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
    const fresh = told === undefined ? bytes : told.fresh(bytes);
    if (printing && fresh.length > 0) sink(fresh);
  };
  return { ...options, stdout: through(options.stdout), stderr: through(options.stderr) };
}
