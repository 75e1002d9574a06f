/** The QMP commands that qtest programs use, on a machine that a full monitor is not needed for. */

import { QmpStream } from '../monitor/qmp-stream.ts';

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
  readonly machines: readonly MachineListing[];
  /** The reset is complete when it returns. */
  readonly reset: () => void;
  readonly quit: () => void;
  /** Virtual time in ns. */
  readonly now: () => number;
}

/** The QEMU release whose behaviour these commands follow. */
export const QEMU_VERSION = { major: 11, minor: 1, micro: 2 } as const;

class CommandError extends Error {
  readonly className: string;

  constructor(className: string, desc: string) {
    super(desc);
    this.className = className;
  }
}

type Arguments = Readonly<Record<string, unknown>>;
type Carried = Readonly<Record<string, unknown>> | readonly unknown[];

export class QmpBasics implements QmpHandler {
  readonly #options: QmpBasicsOptions;
  readonly #clients = new Set<Client>();

  constructor(options: QmpBasicsOptions) {
    this.#options = options;
  }

  openQmp(send: (text: string) => void): QmpConnection {
    const client = new Client(send, (name, args) => this.#execute(name, args));
    this.#clients.add(client);
    client.answer({ QMP: { version: { qemu: QEMU_VERSION, package: 'tsvmm' }, capabilities: [] } });
    return { input: (bytes) => client.input(bytes), close: () => this.#clients.delete(client) };
  }

  #execute(name: string, args: Arguments): Carried {
    const command = this.#commands[name];
    if (command === undefined)
      throw new CommandError('CommandNotFound', `The command ${name} has not been found`);
    const extra = Object.keys(args)[0];
    if (extra !== undefined) throw new CommandError('GenericError', `Parameter '${extra}' is unexpected`);
    return command();
  }

  readonly #commands: Readonly<Record<string, () => Carried>> = {
    __proto__: null as never,
    'query-machines': () => this.#options.machines,
    'query-version': () => ({ qemu: QEMU_VERSION, package: 'tsvmm' }),
    'query-commands': () => Object.keys(this.#commands).map((name) => ({ name })),
    system_reset: () => {
      this.#options.reset();
      this.#emit('RESET', { guest: false, reason: 'host-qmp-system-reset' });
      return {};
    },
    quit: () => {
      this.#emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' });
      this.#options.quit();
      return {};
    },
  };

  /** The time of an event is the machine's own. */
  #emit(event: string, data: object): void {
    const ns = this.#options.now();
    const timestamp = { seconds: Math.floor(ns / 1e9), microseconds: Math.floor((ns % 1e9) / 1e3) };
    for (const client of this.#clients) if (client.ready) client.answer({ timestamp, event, data });
  }
}

class Client {
  /** Capabilities were negotiated. */
  ready = false;
  readonly #stream = new QmpStream();
  readonly #send: (text: string) => void;
  readonly #execute: (name: string, args: Arguments) => Carried;

  constructor(send: (text: string) => void, execute: (name: string, args: Arguments) => Carried) {
    this.#send = send;
    this.#execute = execute;
  }

  answer(message: object): void {
    this.#send(`${JSON.stringify(message)}\r\n`);
  }

  input(bytes: Uint8Array): void {
    for (const item of this.#stream.push(bytes)) {
      if (item.kind === 'message') this.#message(item.value);
      else this.answer({ error: { class: 'GenericError', desc: item.desc } });
    }
  }

  #message(message: unknown): void {
    const id = isRecord(message) && 'id' in message ? { id: message['id'] } : {};
    try {
      this.answer({ return: this.#carryOut(message), ...id });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.answer({ error: { class: error.className, desc: error.message }, ...id });
    }
  }

  #carryOut(message: unknown): Carried {
    if (!isRecord(message)) throw new CommandError('GenericError', 'QMP input must be a JSON object');
    const { execute, arguments: args = {}, id: _, ...others } = message;
    const extra = Object.keys(others)[0];
    if (extra !== undefined)
      throw new CommandError('GenericError', `QMP input member '${extra}' is unexpected`);
    if (typeof execute !== 'string')
      throw new CommandError('GenericError', "QMP input lacks member 'execute', a string");
    if (!isRecord(args))
      throw new CommandError('GenericError', "QMP input member 'arguments' must be an object");
    if (execute === 'qmp_capabilities') return this.#negotiate(args);
    if (!this.ready) {
      const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
      throw new CommandError('CommandNotFound', desc);
    }
    return this.#execute(execute, args);
  }

  #negotiate(args: Arguments): Carried {
    if (this.ready) {
      const desc = 'Capabilities negotiation is already complete, command ignored';
      throw new CommandError('CommandNotFound', desc);
    }
    const { enable = [], ...others } = args;
    const extra = Object.keys(others)[0];
    if (extra !== undefined) throw new CommandError('GenericError', `Parameter '${extra}' is unexpected`);
    if (!Array.isArray(enable) || enable.length > 0)
      throw new CommandError('GenericError', 'there are no capabilities to enable');
    this.ready = true;
    return {};
  }
}

function isRecord(value: unknown): value is Arguments {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
