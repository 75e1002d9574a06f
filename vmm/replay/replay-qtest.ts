/** A recorded session of qtest and QMP clients once more: the same commands on the same machine. */

import { crc32 } from 'node:zlib';
import type { ExplainedFault } from '../bus/iommu.ts';
import { EXIT, TsvmmError } from '../core/errors.ts';
import type { MachineConfig } from '../machine/config.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { machineGlance } from '../machine/run-guest.ts';
import { MonitorChannel } from '../monitor/channel.ts';
import { perform } from '../monitor/dispatch.ts';
import { MonitorError } from '../monitor/error.ts';
import { changesMachine, nameOf } from '../monitor/history.ts';
import { loadZodNow } from '../monitor/load-zod.ts';
import { Monitor } from '../monitor/monitor.ts';
import type { MonitorRequest } from '../monitor/run.ts';
import type { Backward, RunControl, RunStatus } from '../monitor/run-control.ts';
import { MonitorServer } from '../monitor/serve.ts';
import { EmptyTarget } from '../qtest/empty-target.ts';
import { MachineTarget } from '../qtest/machine-target.ts';
import { QtestProtocol } from '../qtest/protocol.ts';
import { globToRegExp, recordText } from '../trace/tracer.ts';
import type { QmpCommand } from './format.ts';
import { damaged, type Recorded } from './read-record.ts';
import { checksumText } from './recorder.ts';
import type { Until } from './replay-guest.ts';

export interface ReplayQtestOptions
  extends Pick<MonitorRequest, 'endpoints' | 'program' | 'out' | 'print' | 'listening'> {
  readonly prepare: (machine: Machine) => void;
  readonly until?: Until;
}

export interface QtestResult {
  /** Commands that were carried out. */
  readonly commands: number;
  readonly virtualNs: number;
  readonly faults: readonly ExplainedFault[];
  /** The event it stopped after. */
  readonly stoppedAfter?: string;
  /** The machine where it stopped, when nobody is there to ask. */
  readonly report?: string;
}

/** @throws TsvmmError, also when the replies were not those that were recorded */
export function replayQtest(
  recorded: Recorded,
  config: MachineConfig | null,
  registry: Registry,
  options: ReplayQtestOptions,
): QtestResult {
  if (config === null) return replayWithout(recorded);
  const session = new QtestReplay(recorded, config, registry, options);
  try {
    return session.run();
  } finally {
    session.close();
  }
}

/** Machine none: there is nothing to look at. */
function replayWithout(recorded: Recorded): QtestResult {
  const target = new EmptyTarget();
  const protocol = new QtestProtocol(target);
  let output = 0;
  for (const command of recorded.commands) {
    if ('qtest' in command) output = withReply(output, protocol.reply(command.qtest));
  }
  checkReplies(recorded, output, target.now);
  return { commands: recorded.commands.length, virtualNs: target.now, faults: [] };
}

/** Events that commands cause: which, and how many of them so far. */
interface Counter {
  count: number;
  /** The first one since it was last looked at. */
  event: string | undefined;
}

/** The session at a place between two commands. It is taken back by doing it again from the start. */
class QtestReplay implements RunControl {
  readonly hasGuest = false;
  readonly #recorded: Recorded;
  readonly #config: MachineConfig;
  readonly #registry: Registry;
  readonly #options: ReplayQtestOptions;
  readonly #monitor: Monitor;
  readonly #server: MonitorServer | undefined;
  #machine: Machine;
  #protocol: QtestProtocol;
  /** Commands that have been carried out on this machine, and on any. */
  #done = 0;
  #furthest = 0;
  /** Of the replies to the furthest commands. */
  #output = 0;
  #quit = false;
  #there = false;
  #stoppedAfter: string | undefined;

  constructor(recorded: Recorded, config: MachineConfig, registry: Registry, options: ReplayQtestOptions) {
    this.#recorded = recorded;
    this.#config = config;
    this.#registry = registry;
    this.#options = options;
    this.#machine = this.#newMachine();
    this.#protocol = protocolOf(this.#machine);
    this.#monitor = new Monitor({
      machine: this.#machine,
      registry,
      zod: loadZodNow,
      program: options.program,
      print: options.print,
      control: () => this,
      asked(asked) {
        if (!changesMachine(asked) || nameOf(asked) === 'quit') return;
        throw new MonitorError(`this is a replay: '${nameOf(asked)}' would make it another run`);
      },
    });
    this.#server = this.#serve();
  }

  #newMachine(): Machine {
    const machine = new Machine(this.#config, this.#registry);
    this.#options.prepare(machine);
    // What has been traced is not traced again.
    machine.tracer.gate = () => this.#done >= this.#furthest;
    return machine;
  }

  #serve(): MonitorServer | undefined {
    const { endpoints, out, listening } = this.#options;
    if (endpoints.length === 0) return undefined;
    const channel = MonitorChannel.open(endpoints);
    listening(channel.listening);
    // What a script says is meant for where the replay stops.
    return new MonitorServer(channel, this.#monitor, out, () => !this.#there);
  }

  close(): void {
    this.#server?.finish();
  }

  run(): QtestResult {
    const { until } = this.#options;
    if (until === undefined) this.#forward('*', Number.POSITIVE_INFINITY);
    else if (!this.#forward(until.glob, until.count)) throw neverThere(until);
    const commands = this.#done;
    const { now: virtualNs } = this.#machine.clock;
    const { faults } = this.#machine;
    const stoppedAfter = this.#stoppedAfter;
    this.#hold();
    const result = { commands, virtualNs, faults };
    if (stoppedAfter === undefined) return result;
    if (this.#server !== undefined) return { ...result, stoppedAfter };
    const report = machineGlance(this.#machine, `stopped after ${stoppedAfter}`, [], 0);
    return { ...result, stoppedAfter, report };
  }

  /** People look at the machine where the replay has come to. */
  #hold(): void {
    const server = this.#server;
    if (server === undefined) return;
    // Whoever is there by now is told, too.
    if (server.pending) server.handle();
    this.#say();
    this.#there = true;
    while (!this.#quit && server.attended) {
      if (!server.pending) server.wait();
      server.handle();
    }
  }

  #say(): void {
    const { commands } = this.#recorded;
    const where = `${this.#done} of ${commands.length} commands`;
    const after = this.#stoppedAfter === undefined ? '' : ` after ${this.#stoppedAfter}`;
    this.#monitor.print(`stopped${after}, ${where}`);
  }

  /** One command. */
  #next(): void {
    const command = this.#recorded.commands[this.#done]!;
    let reply: string | undefined;
    if ('qtest' in command) reply = this.#protocol.reply(command.qtest);
    else if ('ns' in command) this.#ask(command.qmp);
    else throw damaged(this.#recorded.path, 'a command of a run with a guest is in it');
    if (this.#done === this.#furthest) {
      this.#output = withReply(this.#output, reply);
      this.#furthest++;
    }
    this.#done++;
  }

  /** Commands that only look are not carried out again. */
  #ask(command: QmpCommand): void {
    if (!changesMachine({ via: 'qmp', ...command })) return;
    // That was the end of the session, and is not the end of this one.
    if (command.execute === 'quit') return;
    try {
      perform(this.#monitor, command);
    } catch (error) {
      // It was refused then, too.
      if (!(error instanceof MonitorError)) throw error;
    }
  }

  /** Counts events from here on. */
  #count(glob: string): { counter: Counter; stop: () => void } {
    const pattern = globToRegExp(glob);
    const counter: Counter = { count: 0, event: undefined };
    const stop = this.#machine.tracer.watch(
      (name) => pattern.test(name),
      (record) => {
        counter.count++;
        counter.event = recordText(record).trim();
      },
    );
    return { counter, stop };
  }

  /** On to the `n`-th event that matches, or the end. @returns whether it happened */
  #forward(glob: string, n: number): boolean {
    const { counter, stop } = this.#count(glob);
    const { commands } = this.#recorded;
    while (this.#done < commands.length && counter.count < n) this.#next();
    stop();
    const there = counter.count >= n;
    this.#stoppedAfter = there ? counter.event : undefined;
    if (this.#done === commands.length) checkReplies(this.#recorded, this.#output, this.#machine.clock.now);
    return there;
  }

  /** The session from its start up to a number of commands. */
  #again(commands: number): void {
    this.#done = 0;
    this.#machine = this.#newMachine();
    this.#protocol = protocolOf(this.#machine);
    this.#monitor.follow(this.#machine);
    this.#monitor.muted = true;
    while (this.#done < commands) this.#next();
    this.#monitor.muted = false;
  }

  // What a monitor can do with it

  get status(): RunStatus {
    return this.#done === this.#recorded.commands.length ? 'shutdown' : 'paused';
  }

  here(): undefined {
    return undefined;
  }

  stop(): void {}

  cont(): void {
    this.#forward('*', Number.POSITIVE_INFINITY);
    this.#say();
  }

  step(count: number): void {
    this.#forward('*', count);
    this.#say();
  }

  runUntil(glob: string): void {
    this.#forward(glob, 1);
    this.#say();
  }

  reverse(to: Backward): void {
    const from = this.#done;
    const stops = to.to === 'start' ? [] : this.#stopsUpTo(from, to.to === 'step' ? '*' : to.glob);
    const total = stops.at(-1)?.count ?? 0;
    const stop =
      to.to === 'step'
        ? stops.findLast((s) => s.count <= total - to.events)
        : stops.findLast((s) => s.done < from);
    if (to.to === 'event' && stop === undefined) {
      this.#again(from);
      throw new MonitorError(`nothing before this matches '${to.glob}'`);
    }
    this.#again(stop?.done ?? 0);
    this.#stoppedAfter = stop?.event;
    this.#say();
  }

  /** Every command up to a place that caused such an event. */
  #stopsUpTo(commands: number, glob: string): { done: number; count: number; event: string }[] {
    const stops: { done: number; count: number; event: string }[] = [];
    this.#again(0);
    const { counter, stop } = this.#count(glob);
    this.#monitor.muted = true;
    while (this.#done < commands) {
      this.#next();
      if (counter.event === undefined) continue;
      stops.push({ done: this.#done, count: counter.count, event: counter.event });
      counter.event = undefined;
    }
    this.#monitor.muted = false;
    stop();
    return stops;
  }

  save(): never {
    throw new MonitorError('no guest runs on this machine');
  }

  load(): never {
    throw new MonitorError('no guest runs on this machine');
  }

  reset(): void {
    this.#machine.resetDevices();
  }

  quit(): void {
    this.#quit = true;
  }
}

function protocolOf(machine: Machine): QtestProtocol {
  return new QtestProtocol(new MachineTarget(machine, () => {}));
}

function withReply(crc: number, reply: string | undefined): number {
  return reply === undefined ? crc : crc32(Buffer.from(`${reply}\n`, 'latin1'), crc);
}

function neverThere({ glob, count }: Until): TsvmmError {
  return new TsvmmError({
    code: 'no-such-event',
    object: '--until',
    why: `the record has ended before '${glob}' happened${count === 1 ? '' : ` ${count} times`}`,
    mend: "'--trace' shows what happens in it",
  });
}

function checkReplies({ path, end, header }: Recorded, output: number, ns: number): void {
  if (end === undefined) return;
  if (end.how !== 'closed') throw damaged(path, 'it ends like a run with a guest');
  if (end.output === checksumText(output) && end.ns === ns) return;
  throw new TsvmmError({
    code: 'replay-differs',
    object: path,
    why: 'the replies, or their times, are not those that were recorded',
    mend: `replay it with tsvmm ${header.tsvmm}, as recorded`,
    exit: EXIT.hostRefused,
  });
}
