/** A recorded session of qtest and QMP clients once more: the same commands on the same machine. */

import { crc32 } from 'node:zlib';
import { EXIT, TsvmmError } from '../core/errors.ts';
import type { MachineConfig } from '../machine/config.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { machineGlance } from '../machine/run-guest.ts';
import { MonitorChannel } from '../monitor/channel.ts';
import { perform } from '../monitor/dispatch.ts';
import { MonitorError } from '../monitor/error.ts';
import { changesMachine, nameOf } from '../monitor/history.ts';
import { idleControl } from '../monitor/idle.ts';
import { loadZodNow } from '../monitor/load-zod.ts';
import { Monitor } from '../monitor/monitor.ts';
import type { MonitorRequest } from '../monitor/run.ts';
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
  const session = new QtestReplay(recorded, new Machine(config, registry), registry, options);
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
  return { commands: recorded.commands.length, virtualNs: target.now };
}

class QtestReplay {
  readonly #recorded: Recorded;
  readonly #machine: Machine;
  readonly #options: ReplayQtestOptions;
  readonly #monitor: Monitor;
  readonly #protocol: QtestProtocol;
  readonly #server: MonitorServer | undefined;
  #quit = false;
  #stoppedAfter: string | undefined;

  constructor(recorded: Recorded, machine: Machine, registry: Registry, options: ReplayQtestOptions) {
    this.#recorded = recorded;
    this.#machine = machine;
    this.#options = options;
    options.prepare(machine);
    this.#protocol = new QtestProtocol(new MachineTarget(machine, () => {}));
    this.#monitor = new Monitor({
      machine,
      registry,
      zod: loadZodNow,
      program: options.program,
      print: options.print,
      control: idleControl('running', () => {
        this.#quit = true;
      }),
      asked(asked) {
        if (!changesMachine(asked) || nameOf(asked) === 'quit') return;
        throw new MonitorError(`this is a replay: '${nameOf(asked)}' would make it another run`);
      },
    });
    this.#server = this.#serve();
    if (options.until !== undefined) this.#watch(options.until);
  }

  #serve(): MonitorServer | undefined {
    const { endpoints, out, listening } = this.#options;
    if (endpoints.length === 0) return undefined;
    const channel = MonitorChannel.open(endpoints);
    listening(channel.listening);
    // A script is meant for where the replay stops.
    return new MonitorServer(channel, this.#monitor, out, () => false);
  }

  close(): void {
    this.#server?.finish();
  }

  #watch({ glob, count }: Until): void {
    const pattern = globToRegExp(glob);
    let left = count;
    this.#machine.tracer.watch(
      (name) => pattern.test(name),
      (record) => {
        if (--left === 0) this.#stoppedAfter = recordText(record).trim();
      },
    );
  }

  run(): QtestResult {
    const { commands, path } = this.#recorded;
    let output = 0;
    let done = 0;
    for (const command of commands) {
      if (this.#stoppedAfter !== undefined || this.#quit) break;
      if ('qtest' in command) output = withReply(output, this.#protocol.reply(command.qtest));
      else if ('ns' in command) this.#ask(command.qmp);
      else throw damaged(path, 'a command of a run with a guest is in it');
      done++;
    }
    const { now: virtualNs } = this.#machine.clock;
    if (this.#stoppedAfter === undefined) {
      if (this.#options.until !== undefined) throw neverThere(this.#options.until);
      checkReplies(this.#recorded, output, virtualNs);
    }
    this.#hold();
    return { commands: done, virtualNs, ...this.#where() };
  }

  /** Commands that only look are not carried out again. */
  #ask(command: QmpCommand): void {
    if (!changesMachine({ via: 'qmp', ...command })) return;
    try {
      perform(this.#monitor, command);
    } catch (error) {
      // It was refused then, too.
      if (!(error instanceof MonitorError)) throw error;
    }
  }

  /** People look at the machine where the replay ends. */
  #hold(): void {
    const server = this.#server;
    if (server === undefined) return;
    if (this.#stoppedAfter !== undefined) this.#monitor.print(`stopped after ${this.#stoppedAfter}`);
    this.#quit = false;
    while (!this.#quit && server.attended) {
      if (!server.pending) server.wait();
      server.handle();
    }
  }

  #where(): Pick<QtestResult, 'stoppedAfter' | 'report'> {
    if (this.#stoppedAfter === undefined) return {};
    const stoppedAfter = this.#stoppedAfter;
    if (this.#server !== undefined) return { stoppedAfter };
    return {
      stoppedAfter,
      report: machineGlance(this.#machine, `stopped after ${stoppedAfter}`, [], 0),
    };
  }
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
