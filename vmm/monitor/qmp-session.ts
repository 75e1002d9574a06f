/** One QMP client: negotiation, commands and their answers in order, events. */

import { Bug } from '../core/errors.ts';
import type { MonitorContext } from './command.ts';
import { failureOf, perform, requestOf } from './dispatch.ts';
import { MonitorError } from './error.ts';
import { greeting } from './protocol.ts';
import { QmpStream, type StreamItem } from './qmp-stream.ts';
import { isRecord } from './types.ts';

export class QmpSession {
  readonly #context: () => MonitorContext;
  readonly #send: (text: string) => void;
  readonly #stream = new QmpStream();
  #negotiated = false;
  #open = true;

  /** @param send takes one message with its line end */
  constructor(context: () => MonitorContext, send: (text: string) => void) {
    this.#context = context;
    this.#send = send;
  }

  /** The server speaks first. */
  greet(): void {
    this.#answer(greeting(this.#context().program));
  }

  /** Bytes from the client, in pieces of any size. */
  input(bytes: Uint8Array): void {
    for (const item of this.#stream.push(bytes)) this.#item(item);
  }

  /** An event, for clients that have negotiated. */
  event(event: object): void {
    if (this.#negotiated) this.#answer(event);
  }

  /** The client is gone: nothing more is sent. What it had asked for has been done. */
  close(): void {
    this.#open = false;
  }

  #item(item: StreamItem): void {
    if (item.kind === 'message') this.#message(item.value);
    else this.#answer({ error: failureOf(new MonitorError(item.desc)) });
  }

  #message(message: unknown): void {
    const id = isRecord(message) && Object.hasOwn(message, 'id') ? { id: message['id'] } : {};
    try {
      this.#answer({ return: this.#carryOut(message), ...id });
    } catch (error) {
      if (!(error instanceof MonitorError)) throw error;
      this.#answer({ error: failureOf(error), ...id });
    }
  }

  #carryOut(message: unknown): unknown {
    const request = requestOf(message);
    if (request.execute === 'qmp_capabilities') return this.#negotiate(request.arguments);
    if (!this.#negotiated) {
      const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
      throw new MonitorError(desc, 'CommandNotFound');
    }
    this.#context().asked({ via: 'qmp', ...request });
    return perform(this.#context(), request);
  }

  #negotiate(args: Readonly<Record<string, unknown>>): unknown {
    if (this.#negotiated) {
      const desc = 'Capabilities negotiation is already complete, command ignored';
      throw new MonitorError(desc, 'CommandNotFound');
    }
    const result = perform(this.#context(), { execute: 'qmp_capabilities', arguments: args });
    const enable = (args['enable'] ?? []) as readonly string[];
    if (enable.length > 0) throw new MonitorError(`Capability '${enable[0]}' is not available`);
    this.#negotiated = true;
    return result;
  }

  #answer(message: object): void {
    if (!this.#open) return;
    const text = JSON.stringify(message);
    if (text === undefined) throw new Bug('a QMP message that is no JSON');
    this.#send(`${text}\r\n`);
  }
}
