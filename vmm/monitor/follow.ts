/** A run carried out again: its commands come again where they came before. */

import { TsvmmError } from '../core/errors.ts';
import { globToRegExp, recordText } from '../trace/tracer.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { Vcpu } from '../vcpu/run/vcpu.ts';
import type { Checkpoints } from './checkpoint.ts';
import { perform } from './dispatch.ts';
import { MonitorError } from './error.ts';
import { GuestControl } from './guest-control.ts';
import {
  type Asked,
  changesMachine,
  type History,
  isBefore,
  nameOf,
  type Place,
  START,
  samePlace,
} from './history.ts';
import { loadZodNow } from './load-zod.ts';
import { Monitor } from './monitor.ts';
import type { Backward } from './run-control.ts';
import { textCommand } from './text.ts';
import { type Checkpoint, type Setup, Told, World } from './world.ts';

/** A place, and how much of the history has been carried out there. */
export interface Spot {
  readonly place: Place;
  readonly applied: number;
}

export const AT_START: Spot = { place: START, applied: 0 };

export const LEAVE: GuestEnd = { kind: 'stopped', reason: 'leave' };

/** Carries the commands of a history out at their places. */
export class Follower {
  /** Commands that have been. */
  applied = 0;
  readonly #history: History;
  readonly #monitor: Monitor;

  constructor(history: History, monitor: Monitor) {
    this.#history = history;
    this.#monitor = monitor;
  }

  /**
   * The guest is here: what was asked here is asked again, up to `limit` commands of the history.
   * @throws TsvmmError when the guest has passed the place of a command: this is not the run that was recorded
   */
  poll(here: Place, vcpu: Vcpu, limit = Number.POSITIVE_INFINITY): void {
    const { entries } = this.#history;
    for (;;) {
      const entry = this.applied < limit ? entries[this.applied] : undefined;
      if (entry === undefined) return;
      if (!samePlace(entry.place, here)) {
        if (isBefore(entry.place, here)) throw passed(entry.place, entry.asked, here);
        lookOutFor(entry.place, here, vcpu);
        return;
      }
      this.applied++;
      repeat(this.#monitor, entry.asked);
    }
  }
}

/** A place between two of the guest's own polls is not to be missed: it is looked for at every trap from here on. */
export function lookOutFor(place: Place, here: Place, vcpu: Vcpu): void {
  if (place.run === here.run && place.polls === here.polls) vcpu.attend();
}

function passed(place: Place, asked: Asked, here: Place): TsvmmError {
  return new TsvmmError({
    code: 'replay-differs',
    object: 'replay',
    why: `the run is another one: '${nameOf(asked)}' was given after ${place.executed} instructions at ${place.time} ns, and the guest is past that after ${here.executed} at ${here.time} ns`,
    mend: 'replay it with the version of tsvmm that recorded it',
  });
}

/** Commands that only look are not carried out again. */
function repeat(monitor: Monitor, asked: Asked): void {
  if (!changesMachine(asked)) return;
  try {
    const dir = loadedBy(asked);
    // Not as a job: its name may be taken by now.
    if (dir !== undefined) monitor.control.load(dir);
    else if (asked.via === 'monitor') monitor.execute(asked.line);
    else perform(monitor, asked);
  } catch (error) {
    // It was refused then, too.
    if (!(error instanceof MonitorError || error instanceof TsvmmError)) throw error;
  }
}

/** The directory that a command loads a snapshot from. */
function loadedBy(asked: Asked): string | undefined {
  if (asked.via === 'qmp') {
    if (asked.execute === 'snapshot-load') return asked.arguments['tag'] as string;
    const line = asked.arguments['command-line'];
    return asked.execute === 'human-monitor-command' && typeof line === 'string'
      ? loadedBy({ via: 'monitor', line })
      : undefined;
  }
  if (textCommand(asked.line)?.name !== 'snapshot-load') return undefined;
  return asked.line.trim().split(/\s+/)[1];
}

/** The run once more, heard by nobody. */
export class Rehearsal {
  readonly world: World;
  readonly control: GuestControl;
  /** Something is on its way that a checkpoint would cut in two. */
  pending = false;
  readonly #monitor: Monitor;
  readonly #follower: Follower;

  private constructor(world: World, history: History, setup: Setup) {
    this.world = world;
    let control!: GuestControl;
    const monitor = new Monitor({
      machine: world.machine,
      registry: setup.registry,
      zod: loadZodNow,
      program: setup.program,
      control: (m) => (control = new GuestControl(m, false)),
    });
    this.control = control;
    this.#follower = new Follower(history, monitor);
    this.#monitor = monitor;
  }

  /** @param printing what the guest prints goes where the setup says; else nowhere */
  static async of(setup: Setup, history: History, printing = false): Promise<Rehearsal> {
    const world = await World.boot(setup, undefined, printing);
    return new Rehearsal(world, history, setup);
  }

  /** From a checkpoint, or the start, on the way to `to`; leaves further checkpoints behind. */
  static async keeping(
    setup: Setup,
    history: History,
    checkpoints: Checkpoints,
    from: Checkpoint | undefined,
    to: Place,
  ): Promise<Rehearsal> {
    const told = checkpoints.wanted ? new Told(true) : undefined;
    const guest = await checkpoints.guestFor(setup, to);
    const world =
      from === undefined
        ? await World.boot({ ...setup, guest }, told, false)
        : await World.at(from, { ...setup, guest }, told ?? new Told(true), false);
    const rehearsal = new Rehearsal(world, history, setup);
    const follower = rehearsal.#follower;
    follower.applied = from?.applied ?? 0;
    if (guest.suspendable)
      world.keep(
        () => !rehearsal.pending && checkpoints.wantedAt(world.place, to),
        (checkpoint) => checkpoints.add({ ...checkpoint, applied: follower.applied }),
      );
    return rehearsal;
  }

  /** Up to `spot`, or the guest's end. `look` is called at every place before it, `boot` whenever a machine begins to run. */
  execute(spot: Spot, boot: () => void, look: (here: Spot) => void): Promise<GuestEnd> {
    const { world, control } = this;
    const follower = this.#follower;
    const ready = () => {
      if (this.#monitor.machine !== world.machine) this.#monitor.follow(world.machine);
      boot();
    };
    return world.execute(control, ready, () => {
      const here = world.place;
      const { vcpu } = world.session;
      if (!isBefore(here, spot.place)) {
        // What was asked before it was left is part of the way there.
        follower.poll(here, vcpu, spot.applied);
        return LEAVE;
      }
      look({ place: here, applied: follower.applied });
      follower.poll(here, vcpu, spot.applied);
      lookOutFor(spot.place, here, vcpu);
      return control.end;
    });
  }
}

/** A place that a step would stop at. */
interface Stop {
  readonly spot: Spot;
  /** Events up to here. */
  readonly count: number;
  readonly event: string;
}

/** Where to go back to from `from`; undefined when no event before it matches. */
export async function placeBefore(
  setup: Setup,
  history: History,
  checkpoints: Checkpoints,
  to: Backward,
  from: Spot,
): Promise<{ spot: Spot; event?: string } | undefined> {
  if (to.to === 'start') return { spot: AT_START };
  const glob = to.to === 'step' ? '*' : to.glob;
  const kept = to.to === 'step' ? to.events + 1 : 1;
  for (const start of [...checkpoints.before(from.place, from.applied), undefined]) {
    const rehearsal = await Rehearsal.keeping(setup, history, checkpoints, start, from.place);
    const { stops, count } = await stopsOf(rehearsal, glob, kept, from);
    const stop = to.to === 'step' ? stops.findLast((s) => s.count <= count - to.events) : stops.at(-1);
    if (stop !== undefined) return stop;
  }
  return to.to === 'step' ? { spot: AT_START } : undefined;
}

/** The last `kept` stops before a place, and the number of events on the way. */
async function stopsOf(
  rehearsal: Rehearsal,
  glob: string,
  kept: number,
  from: Spot,
): Promise<{ stops: readonly Stop[]; count: number }> {
  const { world } = rehearsal;
  const pattern = globToRegExp(glob);
  const stops: Stop[] = [];
  let count = 0;
  let due: string | undefined;
  let watched: unknown;
  const watch = () => {
    if (watched === world.machine) return;
    watched = world.machine;
    world.machine.tracer.watch(
      (name) => pattern.test(name),
      (record) => {
        count++;
        if (due === undefined) world.session.vcpu.attend();
        due ??= recordText(record).trim();
        rehearsal.pending = true;
      },
    );
  };
  await rehearsal.execute(from, watch, (spot) => {
    if (due === undefined) return;
    stops.push({ spot, count, event: due });
    due = undefined;
    rehearsal.pending = false;
    // Trimmed now and then: moving the rest costs as much as there is.
    if (stops.length > 2 * kept) stops.splice(0, stops.length - kept);
  });
  return { stops, count };
}
