/**
 * The monitor's connections, for a thread that runs a guest: a worker owns sockets and terminal, and this side looks at a
 * counter, or sleeps on it. No event loop is needed here.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { Bug, EXIT, TsvmmError } from '../core/errors.ts';
import type { Endpoint } from './endpoint.ts';
import { endpointText } from './endpoint.ts';

export type ClientKind = 'qmp' | 'text' | 'stdio' | 'terminal';

export type ChannelMessage =
  | { readonly type: 'open'; readonly client: number; readonly kind: ClientKind }
  | { readonly type: 'data'; readonly client: number; readonly bytes: Uint8Array }
  | { readonly type: 'line'; readonly client: number; readonly line: string }
  | { readonly type: 'complete'; readonly client: number; readonly ask: number; readonly line: string }
  | { readonly type: 'close'; readonly client: number };

type WorkerMessage =
  | ChannelMessage
  | { readonly type: 'ready'; readonly listening: readonly Endpoint[] }
  | { readonly type: 'failed'; readonly code: string; readonly address: string }
  | { readonly type: 'finished' };

const START_MS = 20_000;
/** A client that does not read does not keep the process. */
const FINISH_MS = 2000;

export class MonitorChannel {
  /** What is listened at, with the ports the system chose. */
  readonly listening: readonly Endpoint[];
  readonly #port: MessagePort;
  readonly #counter: Int32Array;
  readonly #early: ChannelMessage[];
  #seen: number;

  private constructor(
    port: MessagePort,
    counter: Int32Array,
    seen: number,
    early: ChannelMessage[],
    listening: readonly Endpoint[],
  ) {
    this.#port = port;
    this.#counter = counter;
    this.#seen = seen;
    this.#early = early;
    this.listening = listening;
  }

  /** Starts to listen. @throws TsvmmError for an address that cannot be had */
  static open(endpoints: readonly Endpoint[]): MonitorChannel {
    const { port1, port2 } = new MessageChannel();
    const counter = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(workerFile(), {
      workerData: { port: port2, counter, endpoints },
      transferList: [port2],
      // Its event loop, and nothing else of ours.
      execArgv: [],
    });
    worker.unref();
    const early: ChannelMessage[] = [];
    let seen = 0;
    for (;;) {
      if (Atomics.wait(counter, 0, seen, START_MS) === 'timed-out')
        throw new Bug('the thread of the monitor does not start');
      seen = Atomics.load(counter, 0);
      const messages = drain(port1);
      const failed = messages.find((m) => m.type === 'failed');
      if (failed !== undefined) throw cannotListen(failed, endpoints);
      // What clients have said by then comes before and after it.
      early.push(...messages.filter(isOfClient));
      const ready = messages.find((m) => m.type === 'ready');
      if (ready !== undefined) return new MonitorChannel(port1, counter, seen, early, ready.listening);
    }
  }

  /** Something has come since `take`. */
  get pending(): boolean {
    return this.#early.length > 0 || Atomics.load(this.#counter, 0) !== this.#seen;
  }

  /** Sleeps until something comes. */
  wait(): void {
    if (this.#early.length === 0) Atomics.wait(this.#counter, 0, this.#seen);
  }

  /** What has come, in order. */
  take(): ChannelMessage[] {
    this.#seen = Atomics.load(this.#counter, 0);
    const messages = [...this.#early.splice(0), ...drain(this.#port)];
    const own = messages.filter(isOfClient);
    for (const { type, client } of own)
      if (type === 'data' || type === 'line') this.#port.postMessage({ type: 'taken', client });
    return own;
  }

  send(client: number, text: string): void {
    this.#port.postMessage({ type: 'send', client, text });
  }

  /** Everything that a client asked for before it stopped talking is answered. */
  end(client: number): void {
    this.#port.postMessage({ type: 'end', client });
  }

  /** Shows the prompt of a terminal again, with what is being typed. */
  prompt(client: number): void {
    this.#port.postMessage({ type: 'prompt', client });
  }

  completed(client: number, ask: number, words: readonly string[]): void {
    this.#port.postMessage({ type: 'completed', client, ask, words });
  }

  /** Closes everything once what was sent is on its way. */
  finish(): void {
    this.#port.postMessage({ type: 'finish' });
    for (;;) {
      if (drain(this.#port).some((m) => m.type === 'finished')) return;
      const seen = Atomics.load(this.#counter, 0);
      if (drain(this.#port).some((m) => m.type === 'finished')) return;
      if (Atomics.wait(this.#counter, 0, seen, FINISH_MS) === 'timed-out') return;
    }
  }
}

function isOfClient(message: WorkerMessage): message is ChannelMessage {
  return 'client' in message;
}

function drain(port: MessagePort): WorkerMessage[] {
  const messages: WorkerMessage[] = [];
  for (let m = receiveMessageOnPort(port); m !== undefined; m = receiveMessageOnPort(port))
    messages.push(m.message as WorkerMessage);
  return messages;
}

/** Beside this module, which in the bundle is the bundle. */
function workerFile(): string {
  const file = join(dirname(fileURLToPath(import.meta.url)), 'channel-worker.mjs');
  if (existsSync(file)) return file;
  throw new Bug(`${file} is missing`);
}

function cannotListen(
  { code, address }: { readonly code: string; readonly address: string },
  endpoints: readonly Endpoint[],
): TsvmmError {
  const whys: Readonly<Record<string, string>> = {
    EADDRINUSE: 'somebody listens there already',
    EACCES: 'may not be used',
    ENOENT: 'there is no such directory',
    ENOTFOUND: 'there is no such host',
    EADDRNOTAVAIL: 'is no address of this machine',
  };
  const where = endpoints.find((e) => e.path === address) ?? endpoints.find((e) => e.host !== undefined);
  // A socket in a directory that is not there is reported as one that may not be made.
  const noDirectory = where?.path !== undefined && !existsSync(dirname(where.path));
  return new TsvmmError({
    code: 'cannot-listen',
    object: where === undefined ? 'monitor' : endpointText(where),
    why: noDirectory ? whys['ENOENT']! : (whys[code] ?? `cannot be listened at (${code})`),
    mend: 'choose another address',
    exit: EXIT.hostRefused,
  });
}
