/** The QMP commands that qtest programs use, on a machine that a full monitor is not needed for. */

import { MonitorError } from '../monitor/error.ts';
import { eventMessage, QEMU_VERSION } from '../monitor/protocol.ts';
import { QmpSession } from '../monitor/qmp-session.ts';
import type { QmpRequest } from '../monitor/request.ts';
import { argumentsProblem, arrayOf, type Members, may, oneOf } from '../monitor/types.ts';

export interface QmpConnection {
  /** Bytes of the client, in pieces of any size. */
  input(bytes: Uint8Array): void;
  /** The client is gone. */
  close(): void;
}

/** Who serves QMP: these basics, or a monitor. */
export interface QmpHandler {
  /** A client came; it is greeted at once. @param send takes one message with its line end */
  openQmp(send: (text: string) => void): QmpConnection;
}

export interface MachineListing {
  readonly name: string;
  readonly alias?: string;
  readonly 'cpu-max': number;
  readonly 'hotpluggable-cpus': boolean;
  readonly 'numa-mem-supported': boolean;
  readonly deprecated: boolean;
  readonly acpi: boolean;
}

export interface QmpBasicsOptions {
  /** Version of tsvmm. */
  readonly program: string;
  readonly machines: readonly MachineListing[];
  /** It waits for `cont`. */
  readonly held: boolean;
  readonly quit: () => void;
  /** Virtual time in ns. */
  readonly now: () => number;
}

const CAPABILITIES: Members = {
  enable: may(arrayOf(oneOf('oob')), 'capabilities to enable; none is offered'),
};

type Carried = Readonly<Record<string, unknown>> | readonly unknown[];

export class QmpBasics implements QmpHandler {
  readonly #options: QmpBasicsOptions;
  readonly #sessions = new Set<QmpSession>();
  #status: 'prelaunch' | 'running' | 'paused';

  constructor(options: QmpBasicsOptions) {
    this.#options = options;
    this.#status = options.held ? 'prelaunch' : 'running';
  }

  openQmp(send: (text: string) => void): QmpConnection {
    const server = {
      program: this.#options.program,
      perform: (request: QmpRequest) => this.#perform(request),
    };
    const session = new QmpSession(server, send);
    this.#sessions.add(session);
    session.greet();
    return {
      input: (bytes) => session.input(bytes),
      close: () => {
        session.close();
        this.#sessions.delete(session);
      },
    };
  }

  #perform({ execute, arguments: args }: QmpRequest): Carried {
    const command = this.#commands[execute];
    if (command === undefined)
      throw new MonitorError(`The command ${execute} has not been found`, 'CommandNotFound');
    const problem = argumentsProblem(execute === 'qmp_capabilities' ? CAPABILITIES : {}, false, args);
    if (problem !== undefined) throw new MonitorError(problem);
    return command();
  }

  readonly #commands: Readonly<Record<string, () => Carried>> = {
    __proto__: null as never,
    qmp_capabilities: () => ({}),
    'query-machines': () => this.#options.machines,
    'query-version': () => ({ qemu: QEMU_VERSION, package: `tsvmm-${this.#options.program}` }),
    'query-commands': () => Object.keys(this.#commands).map((name) => ({ name })),
    'query-status': () => ({ running: this.#status === 'running', status: this.#status }),
    'query-cpus-fast': () => [],
    stop: () => this.#to('paused', this.#status === 'running' ? 'STOP' : undefined),
    cont: () => this.#to('running', this.#status === 'running' ? undefined : 'RESUME'),
    system_reset: () => {
      this.#emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
      return {};
    },
    quit: () => {
      this.#emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
      this.#options.quit();
      return {};
    },
  };

  /** What does not run cannot be stopped: then there is no event, and nothing changes. */
  #to(status: 'running' | 'paused', event: 'STOP' | 'RESUME' | undefined): Carried {
    if (event === undefined) return {};
    this.#status = status;
    this.#emit(event);
    return {};
  }

  /** The time of an event is the machine's own. */
  #emit(event: string, data?: Readonly<Record<string, unknown>>): void {
    const message = eventMessage(event, data, this.#options.now());
    for (const session of this.#sessions) session.event(message);
  }
}
