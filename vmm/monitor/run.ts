/**
 * A run with monitors attached: as vmm/machine runs a guest, but held, stepped, reset, ended and taken back from outside.
 * Going back is the run once more, silently, up to an earlier place: what was asked in it is asked again where it was.
 */

import { Bug } from '../core/errors.ts';
import type { MachineConfig } from '../machine/config.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import type { Registry } from '../machine/registry.ts';
import { machineGlance, type RunGuestOptions, type RunResult, resultOf } from '../machine/run-guest.ts';
import { stateUnit } from '../machine/snapshot-units.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import { VCPU_STATE } from '../vcpu/run/state.ts';
import { MonitorChannel } from './channel.ts';
import { Checkpoints } from './checkpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { Follower, lookOutFor, placeBefore, type Spot } from './follow.ts';
import { GuestControl } from './guest-control.ts';
import { type Asked, type AskedAt, History, type Recorder, samePlace } from './history.ts';
import { loadZodNow } from './load-zod.ts';
import { Monitor } from './monitor.ts';
import type { Backward, SaveRequest } from './run-control.ts';
import { MonitorServer } from './serve.ts';
import { type Setup, Told, World } from './world.ts';

export interface MonitorRequest {
  readonly endpoints: readonly Endpoint[];
  /** Hold the guest before its first instruction. */
  readonly held: boolean;
  readonly program: string;
  /** Answers to stdin. */
  readonly out: (text: string) => void;
  /** Lines of traces, where no text client reads them. */
  readonly print: (line: string) => void;
  /** Told where the monitors are, once they are. */
  readonly listening: (endpoints: readonly Endpoint[]) => void;
  /** Told what is asked. */
  readonly recorder?: Recorder;
  readonly replay?: ReplayRequest;
  /** Whoever looks on wants to see each repetition from its start. */
  readonly wholeRuns?: boolean;
}

/** A recorded run, which nobody can make another one. */
export interface ReplayRequest {
  readonly asked: readonly AskedAt[];
  /** Stop at the `count`-th event that matches. */
  readonly until?: { readonly glob: string; readonly count: number };
}

export interface MonitoredResult extends RunResult {
  /** The event that a replay was to stop at, if it did and ended there because nobody is attached. */
  readonly stoppedAfter?: string;
}

/** @throws TsvmmError for what the host got wrong, addresses included */
export async function runMonitored(
  config: MachineConfig,
  registry: Registry,
  guest: GuestModule,
  options: RunGuestOptions,
  request: MonitorRequest,
): Promise<MonitoredResult> {
  const setup: Setup = { config, registry, guest, options, program: request.program };
  const told = new Told();
  const run = new MonitoredRun(setup, request, told, await World.boot(setup, told, true));
  try {
    return await run.toTheEnd();
  } finally {
    run.close();
  }
}

/** Where a machine that was made anew is to be before anybody sees it. */
interface Goal {
  readonly spot: Spot;
  readonly reached: () => void;
}

class MonitoredRun {
  readonly #setup: Setup;
  readonly #request: MonitorRequest;
  readonly #told: Told;
  readonly #history: History;
  readonly #monitor: Monitor;
  readonly #server: MonitorServer | undefined;
  #control!: GuestControl;
  readonly #checkpoints: Checkpoints;
  #world: World;
  #follower: Follower;
  #goal: Goal | undefined;

  constructor(setup: Setup, request: MonitorRequest, told: Told, world: World) {
    this.#setup = setup;
    this.#request = request;
    this.#told = told;
    this.#world = world;
    this.#checkpoints = new Checkpoints(request.wholeRuns !== true);
    this.#history = new History(request.replay?.asked, request.recorder);
    this.#monitor = new Monitor({
      machine: world.machine,
      registry: setup.registry,
      zod: loadZodNow,
      program: request.program,
      print: request.print,
      moreUnits: () => this.#processor(),
      asked: (asked) => this.#asked(asked),
      control: (m) => (this.#control = new GuestControl(m, request.held, this.#stopsAtEnd)),
    });
    this.#follower = new Follower(this.#history, this.#monitor);
    this.#server = this.#serve();
    const until = request.replay?.until;
    if (until !== undefined) this.#control.runUntil(until.glob, until.count);
  }

  /** A replay that somebody looks at: its end is the place that most want to go back from. */
  get #stopsAtEnd(): boolean {
    return this.#request.replay !== undefined && this.#request.endpoints.length > 0;
  }

  #serve(): MonitorServer | undefined {
    const { endpoints, out, listening } = this.#request;
    if (endpoints.length === 0) return undefined;
    const channel = MonitorChannel.open(endpoints);
    // A script on stdin that is ahead of the guest waits even for its end.
    const busy = (kind: string) => (kind === 'stdio' ? this.#control.stopsSomewhere : this.#control.stepping);
    const server = new MonitorServer(channel, this.#monitor, out, busy);
    listening(channel.listening);
    return server;
  }

  #processor() {
    const { s, executed } = this.#world.session.vcpu;
    return [stateUnit('vcpu', VCPU_STATE, { ...s, executed })];
  }

  close(): void {
    this.#server?.finish();
  }

  get #spot(): Spot {
    return { place: this.#world.place, applied: this.#follower.applied };
  }

  /** A client gave a command. @throws MonitorError where it is not to be */
  #asked(asked: Asked): void {
    const place = this.#control.status === 'shutdown' ? this.#world.endPlace : this.#world.place;
    const became = this.#history.add({ place, asked }, this.#follower.applied);
    if (became === 'ignored') return;
    if (became === 'branched') {
      this.#checkpoints.cut(place);
      if (this.#told.branch()) this.#request.recorder?.branched();
    }
    // It is carried out now, not when the run comes by here.
    this.#follower.applied = this.#history.entries.length;
  }

  async toTheEnd(): Promise<MonitoredResult> {
    for (;;) {
      const end = await this.#world.execute(
        this.#control,
        () => this.#boots(),
        () => this.#poll(),
      );
      const result = this.#result(end);
      if (!isLeave(end)) this.#atEnd(end);
      const leave = this.#control.takeLeave();
      if (leave === undefined) return result;
      const over = !isLeave(end);
      const from = over ? { place: this.#world.endPlace, applied: this.#follower.applied } : this.#spot;
      if (leave.kind === 'back') await this.#goBack(leave.to, from);
      else await this.#save(leave.request, from);
    }
  }

  #result(end: GuestEnd): MonitoredResult {
    const result = resultOf(this.#world.session, end);
    const { stoppedAfter } = this.#control;
    const alone = this.#request.replay?.until !== undefined && this.#server === undefined;
    if (!alone || end.kind !== 'stopped' || stoppedAfter === undefined) return result;
    const { machine, session } = this.#world;
    const report = machineGlance(
      machine,
      `stopped after ${stoppedAfter}`,
      this.#stack,
      session.vcpu.executed,
    );
    return { ...result, stoppedAfter, report };
  }

  /** Frames of the guest where it was stopped: they are gone once it has been left. */
  #stack: readonly string[] = [];

  /** The guest runs on a processor that is new. */
  #boots(): void {
    const { machine } = this.#world;
    if (this.#monitor.machine !== machine) {
      this.#monitor.follow(machine);
      // On the way to a goal nothing is counted.
      if (this.#goal === undefined) this.#control.rewatch();
    }
    if (this.#world.begunBy === 'reset')
      this.#monitor.emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
  }

  #poll(): GuestEnd | undefined {
    const goal = this.#goal;
    if (goal !== undefined) {
      if (!this.#arrives(goal)) return this.#control.end;
      this.#goal = undefined;
      goal.reached();
      this.#attendTo();
      if (this.#control.end !== undefined) return this.#control.end;
    }
    const { vcpu } = this.#world.session;
    this.#follower.poll(this.#world.place, vcpu);
    if (this.#control.end !== undefined || goal !== undefined) return this.#control.end;
    this.#attendTo();
    return this.#control.end;
  }

  /** Repeats what was asked on the way to a goal. @returns whether this is it */
  #arrives({ spot }: Goal): boolean {
    const here = this.#world.place;
    const { vcpu } = this.#world.session;
    this.#follower.poll(here, vcpu, spot.applied);
    if (this.#control.end !== undefined) return false;
    if (samePlace(here, spot.place)) return true;
    lookOutFor(spot.place, here, vcpu);
    return false;
  }

  /** Stops that are due, commands that have come, and those that come while the guest is to stand still. */
  #attendTo(): void {
    this.#control.settle();
    const server = this.#server;
    if (server === undefined) {
      if (this.#control.held) this.#leaveAlone();
      return;
    }
    if (server.pending) server.handle();
    this.#hold(server);
  }

  #leaveAlone(): void {
    this.#stack = (this.#control.here() ?? '').split(' < ').filter((frame) => frame !== '');
    this.#control.quit();
  }

  /** Commands are carried out here for as long as the guest is to stand still. */
  #hold(server: MonitorServer): void {
    while (this.#control.held) {
      // Nobody is there to let it go on, and nobody can come.
      if (!server.attended) {
        this.#asked({ via: 'monitor', line: 'quit' });
        this.#control.quit();
      } else {
        if (!server.pending) server.wait();
        server.handle();
      }
    }
  }

  /** The guest has ended by itself, or at quit. */
  #atEnd(end: GuestEnd): void {
    const { vcpu } = this.#world.session;
    this.#follower.poll(this.#world.endPlace, vcpu);
    const goal = this.#goal;
    this.#goal = undefined;
    if (goal !== undefined && !samePlace(goal.spot.place, this.#world.endPlace))
      throw new Bug('the run that is repeated ended before it came to where it had been');
    this.#control.ended(end);
    goal?.reached();
    const server = this.#server;
    if (server === undefined) return;
    if (this.#stopsAtEnd && this.#control.end === undefined) {
      this.#control.stoppedAtEnd(endText(end));
      this.#hold(server);
    }
    // What was asked while the guest ran to its end is answered.
    else if (server.pending) server.handle();
  }

  async #goBack(to: Backward, from: Spot): Promise<void> {
    const found = await placeBefore(this.#setup, this.#history, this.#checkpoints, to, from);
    if (found === undefined) {
      const nowhere = `nothing before this matches '${to.to === 'event' ? to.glob : ''}'`;
      return this.#return(from, () => this.#monitor.print(`Error: ${nowhere}`));
    }
    await this.#begin({ spot: found.spot, reached: () => this.#control.arrived(found.event) });
  }

  async #save(request: SaveRequest, from: Spot): Promise<void> {
    const { s } = this.#world.session.vcpu;
    let error: string | undefined;
    try {
      const { saveGuest } = await import('./save-guest.ts');
      await saveGuest(this.#setup, this.#history, from, s.waits + s.yields, request);
    } catch (cause) {
      error = cause instanceof Error ? cause.message : String(cause);
    }
    await this.#return(from, () => this.#control.saved(request, error));
  }

  /** To the place that was left, as if it had not been. */
  async #return(from: Spot, say: () => void): Promise<void> {
    const { status } = this.#control;
    await this.#begin({
      spot: from,
      reached: () => {
        if (this.#control.status !== 'shutdown') this.#control.returned(status);
        this.#control.rewatch();
        say();
      },
    });
  }

  async #begin(goal: Goal): Promise<void> {
    this.#monitor.muted = true;
    const { place, applied } = goal.spot;
    const from = this.#checkpoints.before(place, applied)[0];
    this.#world =
      from === undefined
        ? await World.boot(this.#setup, this.#told, true)
        : await World.at(from, this.#setup, this.#told, true);
    this.#follower = new Follower(this.#history, this.#monitor);
    this.#follower.applied = from?.applied ?? 0;
    this.#control.returned('running');
    this.#goal = {
      spot: goal.spot,
      reached: () => {
        this.#monitor.muted = false;
        goal.reached();
      },
    };
  }
}

function isLeave(end: GuestEnd): boolean {
  return end.kind === 'stopped' && end.reason === 'leave';
}

function endText(end: GuestEnd): string {
  switch (end.kind) {
    case 'exit':
      return `exited with ${end.status}`;
    case 'crash':
      return `crashed: ${end.reason}${end.address === undefined ? '' : ` ${end.address}`}`;
    case 'hung':
      return `hung: ${end.reason}`;
    default:
      return 'was ended from the monitor';
  }
}
