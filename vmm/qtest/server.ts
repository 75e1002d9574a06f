/** A machine served to qtest and QMP clients until something ends it. */

import { everyHostMs } from '../core/host-timer.ts';
import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import type { Asked } from '../monitor/history.ts';
import { recordText } from '../trace/tracer.ts';
import type { QemuRequest } from './args.ts';
import { EmptyTarget } from './empty-target.ts';
import { LineSplitter } from './lines.ts';
import { MachineTarget } from './machine-target.ts';
import { LINE_LIMIT, QtestProtocol, type QtestTarget } from './protocol.ts';
import { type MachineListing, QmpBasics, type QmpHandler } from './qmp-basics.ts';
import { type Endpoint, type EndpointHandler, openEndpoint, type Wire } from './sockets.ts';

/** What serving needs of the process. */
export interface QemuHost {
  err(text: string): void;
  /** Appends to a file, which is emptied first. @throws TsvmmError */
  openLog(file: string): (text: string) => void;
  /** Called once when the process is asked to end. */
  onTerminate(end: () => void): void;
  parent(): number;
  /** Version of tsvmm. */
  program(): string;
}

/** Told everything that clients ask for, with its virtual time. */
export interface QtestRecorder {
  command(ns: number, line: string): void;
  reply(text: string): void;
  asked(ns: number, asked: Asked): void;
  ended(ns: number): void;
}

const PARENT_CHECK_MS = 200;

/** Resolves when the last client that the process lives for has gone, or at quit or SIGTERM. @throws TsvmmError */
export async function serveQemu(
  request: QemuRequest,
  registry: Registry,
  host: QemuHost,
  recorder?: QtestRecorder,
): Promise<void> {
  const endpoints = new Endpoints();
  const whenOver = new Promise<void>((resolve, reject) => {
    const over = { end: () => resolve(), fail: reject };
    host.onTerminate(over.end);
    if (request.exitWithParent) watchParent(host, over.end);
    start(request, registry, host, over, endpoints, recorder).catch(reject);
  });
  try {
    await whenOver;
  } finally {
    endpoints.close();
  }
}

/** What is closed at the end; a connection that comes to stand after that is closed at once. */
class Endpoints {
  /** Done when all are closed. */
  last: () => void = () => {};
  readonly #open: Endpoint[] = [];
  #over = false;

  add(endpoint: Endpoint): void {
    if (this.#over) endpoint.close();
    else this.#open.push(endpoint);
  }

  close(): void {
    this.#over = true;
    for (const endpoint of this.#open) endpoint.close();
    this.last();
  }
}

interface Over {
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

async function start(
  request: QemuRequest,
  registry: Registry,
  host: QemuHost,
  over: Over,
  endpoints: Endpoints,
  recorder: QtestRecorder | undefined,
): Promise<void> {
  const machine = request.machine === null ? undefined : new Machine(request.machine, registry);
  if (machine !== undefined) traceTo(machine, request, host);
  const log = logOf(request, host, () => target.now);
  const wires = new Set<Wire>();
  const irq = (pin: number, raised: boolean) => {
    const text = `IRQ ${raised ? 'raise' : 'lower'} ${pin}`;
    log?.('S', text);
    for (const wire of wires) wire.send(`${text}\n`);
  };
  const target: QtestTarget = machine === undefined ? new EmptyTarget() : new MachineTarget(machine, irq);
  endpoints.last = () => recorder?.ended(target.now);
  // Its client asks before it looks at QMP: it is not to wait until a monitor is loaded.
  if (request.qtest !== undefined) {
    endpoints.add(await openEndpoint(request.qtest, qtestHandler(target, wires, log, over, recorder)));
  }
  if (request.qmp.length === 0) return;
  const qmp =
    machine === undefined
      ? new QmpBasics({
          program: host.program(),
          machines: listings(request),
          held: request.held,
          quit: over.end,
          now: () => target.now,
        })
      : await monitorOf(machine, registry, request, host, over, recorder);
  // With a qtest client the process lives as long as it does; a QMP client may come and go.
  const ended = request.qtest === undefined ? over.end : () => {};
  for (const address of request.qmp) endpoints.add(await openEndpoint(address, qmpHandler(qmp, ended, over)));
}

/** Loaded only where there is a machine to ask about. */
async function monitorOf(
  machine: Machine,
  registry: Registry,
  request: QemuRequest,
  host: QemuHost,
  over: Over,
  recorder: QtestRecorder | undefined,
): Promise<QmpHandler> {
  const [{ Monitor }, { idleControl }, { loadZodNow }] = await Promise.all([
    import('../monitor/monitor.ts'),
    import('../monitor/idle.ts'),
    import('../monitor/load-zod.ts'),
  ]);
  return new Monitor({
    machine,
    registry,
    zod: loadZodNow,
    program: host.program(),
    machineTypes: listings(request),
    control: idleControl(request.held ? 'prelaunch' : 'running', over.end),
    print: (line) => host.err(`${line}\n`),
    asked: (asked) => recorder?.asked(machine.clock.now, asked),
  });
}

type Log = (direction: 'R' | 'S' | 'I', text: string) => void;

function qtestHandler(
  target: QtestTarget,
  wires: Set<Wire>,
  log: Log | undefined,
  over: Over,
  recorder: QtestRecorder | undefined,
): EndpointHandler {
  return {
    open(wire) {
      wires.add(wire);
      log?.('I', 'OPENED');
      const protocol = new QtestProtocol(target);
      const say = (text: string) => {
        log?.('S', text);
        wire.send(`${text}\n`);
      };
      const lines = new LineSplitter(LINE_LIMIT, {
        line(text) {
          log?.('R', text);
          recorder?.command(target.now, text);
          const reply = protocol.reply(text);
          if (reply === undefined) return;
          recorder?.reply(reply);
          say(reply);
        },
        tooLong: () => say(`FAIL a line has more than ${LINE_LIMIT} bytes`),
      });
      return {
        input: (bytes) => lines.push(bytes),
        close: () => {
          wires.delete(wire);
          log?.('I', 'CLOSED');
        },
      };
    },
    ended: over.end,
    failed: over.fail,
  };
}

function qmpHandler(qmp: QmpHandler, ended: () => void, over: Over): EndpointHandler {
  return {
    open: (wire) => qmp.openQmp((text) => wire.send(text)),
    ended,
    failed: over.fail,
  };
}

/** As QEMU writes it, with virtual time where QEMU has its own: the log of equal sessions is equal. */
function logOf(request: QemuRequest, host: QemuHost, now: () => number): Log | undefined {
  const file = request.qtestLog;
  if (request.qtest === undefined || file === 'none' || file === '/dev/null') return undefined;
  const toStderr = file === undefined || file === '/dev/fd/2' || file === '/dev/stderr';
  const write = toStderr ? (text: string) => host.err(text) : host.openLog(file);
  return (direction, text) => write(`[${direction} +${(now() / 1e9).toFixed(6)}] ${text}\n`);
}

function traceTo(machine: Machine, request: QemuRequest, host: QemuHost): void {
  for (const { glob, file } of request.trace) {
    const write = file === undefined ? (text: string) => host.err(text) : host.openLog(file);
    if (machine.tracer.select(glob) === 0)
      host.err(`tsvmm: -trace ${glob}: this machine has no such event\n`);
    machine.tracer.addSink((record) => write(`${recordText(record)}\n`));
  }
}

/** Orphaned by a crash, a client's machine would stay for ever. */
function watchParent(host: QemuHost, end: () => void): void {
  const first = host.parent();
  everyHostMs(PARENT_CHECK_MS, () => {
    if (host.parent() !== first) end();
  });
}

function listings(request: QemuRequest): readonly MachineListing[] {
  const common = {
    'cpu-max': 1,
    'hotpluggable-cpus': false,
    'numa-mem-supported': false,
    deprecated: false,
    acpi: false,
  };
  const none = { name: 'none', ...common };
  return request.architecture === 'x86_64'
    ? [{ name: 'pc-q35-11.1', alias: 'q35', ...common, acpi: true }, none]
    : [{ name: 'virt-11.1', alias: 'virt', ...common, acpi: true }, none];
}
