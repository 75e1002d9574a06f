/** Clients of a channel, connected to the monitor. */

import type { ChannelMessage, ClientKind, MonitorChannel } from './channel.ts';
import type { Monitor, TextClient } from './monitor.ts';
import { PROMPT } from './text.ts';

type TextKind = Exclude<ClientKind, 'qmp'>;

interface Client {
  data(bytes: Uint8Array): void;
  line(text: string): void;
  /** Carries out lines that had to wait. */
  resume(): void;
  /** Lines wait, or did when it went away. */
  readonly waiting: boolean;
  readonly busy: boolean;
  complete(ask: number, line: string): void;
  close(): void;
}

export class MonitorServer {
  readonly #channel: MonitorChannel;
  readonly #monitor: Monitor;
  readonly #clients = new Map<number, Client>();
  readonly #out: (text: string) => void;
  readonly #busy: (kind: TextKind) => boolean;

  /**
   * @param out where the answers to stdin go
   * @param busy the guest is on its way to where a text client told it to stop: what that client says next is meant for then
   */
  constructor(
    channel: MonitorChannel,
    monitor: Monitor,
    out: (text: string) => void,
    busy: (kind: TextKind) => boolean,
  ) {
    this.#channel = channel;
    this.#monitor = monitor;
    this.#out = out;
    this.#busy = busy;
  }

  get pending(): boolean {
    return this.#channel.pending || [...this.#clients.values()].some((c) => c.waiting && !c.busy);
  }

  /** Somebody can give commands, or may come to. */
  get attended(): boolean {
    return this.#clients.size > 0 || this.#channel.listening.length > 0;
  }

  wait(): void {
    this.#channel.wait();
  }

  /** Carries out what has come. */
  handle(): void {
    for (const message of this.#channel.take()) this.#message(message);
    for (const client of this.#clients.values()) client.resume();
  }

  finish(): void {
    this.#channel.finish();
  }

  #message(message: ChannelMessage): void {
    const { client } = message;
    switch (message.type) {
      case 'open':
        this.#clients.set(
          client,
          message.kind === 'qmp' ? this.#qmp(client) : this.#text(client, message.kind),
        );
        break;
      case 'data':
        this.#clients.get(client)?.data(message.bytes);
        break;
      case 'line':
        this.#clients.get(client)?.line(message.line);
        break;
      case 'complete':
        this.#clients.get(client)?.complete(message.ask, message.line);
        break;
      case 'close':
        this.#clients.get(client)?.close();
        break;
    }
  }

  #drop(client: number): void {
    this.#clients.delete(client);
    this.#channel.end(client);
  }

  #qmp(client: number): Client {
    const session = this.#monitor.openQmp((text) => this.#channel.send(client, text));
    return {
      data: (bytes) => session.input(bytes),
      line() {},
      resume() {},
      waiting: false,
      busy: false,
      complete() {},
      close: () => {
        session.close();
        this.#drop(client);
      },
    };
  }

  #text(client: number, kind: TextKind): Client {
    const say = this.#speaker(client, kind);
    const session: TextClient = this.#monitor.openText((text) =>
      say(`${kind === 'stdio' ? '' : '\r'}${text}\n`),
    );
    if (kind !== 'stdio') say(`tsvmm ${this.#monitor.program} monitor - type 'help' for the commands\n`);
    const busy = () => this.#busy(kind);
    const lines: string[] = [];
    let closed = false;
    const resume = (): void => {
      while (lines.length > 0 && !busy()) {
        const answer = session.line(lines.shift()!);
        say(answer === '' ? '' : `${answer}\n`);
      }
      if (!closed || lines.length > 0) return;
      session.close();
      this.#drop(client);
    };
    return {
      data() {},
      line(text) {
        lines.push(text);
        resume();
      },
      resume,
      get waiting() {
        return lines.length > 0;
      },
      get busy() {
        return busy();
      },
      complete: (ask, line) => this.#channel.completed(client, ask, session.complete(line)),
      close() {
        closed = true;
        resume();
      },
    };
  }

  /** Says a text and shows the prompt again. A script that feeds stdin gets no prompts. */
  #speaker(client: number, kind: TextKind): (text: string) => void {
    if (kind === 'text') return (text) => this.#channel.send(client, text + PROMPT);
    if (kind === 'stdio') return (text) => this.#out(text);
    return (text) => {
      this.#out(text);
      this.#channel.prompt(client);
    };
  }
}
