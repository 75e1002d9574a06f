/** One QMP client: negotiation, commands and their answers in order, events. */

import { Bug } from '../core/errors.ts';
import { MonitorError } from './error.ts';
import { greeting } from './protocol.ts';
import { QmpStream, type StreamItem } from './qmp-stream.ts';
import { failureOf, type QmpRequest, requestOf } from './request.ts';
import { isRecord } from './types.ts';

/** Who carries out what clients ask for. */
export interface QmpServer {
  /** Version of tsvmm. */
  readonly program: string;
  /** Told of each command before it is carried out. */
  readonly asked?: (request: QmpRequest) => void;
  /** @throws MonitorError when it is refused */
  perform(request: QmpRequest): unknown;
}

export class QmpSession {
  readonly #server: QmpServer;
  readonly #send: (text: string) => void;
  readonly #stream = new QmpStream();
  #negotiated = false;
  #open = true;

  /** @param send takes one message with its line end */
  constructor(server: QmpServer, send: (text: string) => void) {
    this.#server = server;
    this.#send = send;
  }

  /** The server speaks first. */
  greet(): void {
    this.#answer(greeting(this.#server.program));
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
    if (item.kind === 'message') this.#message(item.value, item.exactId);
    else this.#answer({ error: failureOf(new MonitorError(item.desc)) });
  }

  #message(message: unknown, exactId: string | undefined): void {
    const hasId = isRecord(message) && Object.hasOwn(message, 'id');
    const id = hasId ? (exactId ?? jsonText(message['id'])) : undefined;
    try {
      this.#answer({ return: this.#carryOut(message) }, id);
    } catch (error) {
      if (!(error instanceof MonitorError)) throw error;
      this.#answer({ error: failureOf(error) }, id);
    }
  }

  #carryOut(message: unknown): unknown {
    const request = requestOf(message);
    if (request.execute === 'qmp_capabilities') return this.#negotiate(request.arguments);
    if (!this.#negotiated) {
      const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
      throw new MonitorError(desc, 'CommandNotFound');
    }
    this.#server.asked?.(request);
    return this.#server.perform(request);
  }

  #negotiate(args: Readonly<Record<string, unknown>>): unknown {
    if (this.#negotiated) {
      const desc = 'Capabilities negotiation is already complete, command ignored';
      throw new MonitorError(desc, 'CommandNotFound');
    }
    const result = this.#server.perform({ execute: 'qmp_capabilities', arguments: args });
    const enable = (args['enable'] ?? []) as readonly string[];
    if (enable.length > 0) throw new MonitorError(`Capability '${enable[0]}' is not available`);
    this.#negotiated = true;
    return result;
  }

  /** @param id JSON of what the client gave as id */
  #answer(message: object, id?: string): void {
    if (!this.#open) return;
    const text = jsonText(message);
    this.#send(id === undefined ? `${text}\r\n` : `${text.slice(0, -1)},"id":${id}}\r\n`);
  }
}

function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  if (text === undefined) throw new Bug('a QMP message that is no JSON');
  return text;
}
