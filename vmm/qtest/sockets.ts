/** Stream sockets as QEMU's character devices name them: client or server, unix or TCP. */

import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { EXIT, TsvmmError } from '../core/errors.ts';

export type StreamAddress = (
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
) & { readonly server: boolean };

/** What is at the other end of a socket. */
export interface Peer {
  input(bytes: Buffer): void;
  close(): void;
}

export interface Wire {
  send(text: string): void;
}

export function addressText(a: StreamAddress): string {
  return a.kind === 'unix' ? `unix:${a.path}` : `tcp:${a.host}:${a.port}`;
}

/** A listening or connected socket. */
export interface Endpoint {
  close(): void;
}

export interface EndpointHandler {
  /** A connection stands. */
  open(wire: Wire): Peer;
  /** The connection of a client has ended; a server goes on listening. */
  ended(): void;
  failed(error: unknown): void;
}

/** Resolves when the client is connected, or the server listens. @throws TsvmmError */
export function openEndpoint(address: StreamAddress, handler: EndpointHandler): Promise<Endpoint> {
  return address.server ? listen(address, handler) : dial(address, handler);
}

function target(address: StreamAddress) {
  return address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

function dial(address: StreamAddress, handler: EndpointHandler): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target(address), allowHalfOpen: true });
    socket.once('error', (cause) => reject(refused(address, 'cannot connect', cause)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      new Connection(socket, handler, () => handler.ended()).open();
      resolve({ close: () => socket.destroy() });
    });
  });
}

async function listen(address: StreamAddress, handler: EndpointHandler): Promise<Endpoint> {
  try {
    return await bind(address, handler);
  } catch (error) {
    if (address.kind !== 'unix' || !(await isLeftOver(address.path))) throw error;
    unlinkSync(address.path);
    return bind(address, handler);
  }
}

/** The socket of a server that was killed: nobody answers there any more. */
function isLeftOver(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    const end = (leftOver: boolean) => {
      probe.destroy();
      resolve(leftOver && lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true);
    };
    probe.once('connect', () => end(false));
    probe.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'));
  });
}

function bind(address: StreamAddress, handler: EndpointHandler): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    const open = new Set<Socket>();
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      open.add(socket);
      new Connection(socket, handler, () => open.delete(socket)).open();
    });
    server.once('error', (cause) => reject(refused(address, 'cannot listen', cause)));
    server.listen(target(address), () => {
      resolve({
        close: () => {
          server.close();
          for (const socket of open) socket.destroy();
        },
      });
    });
  });
}

const LF = 10;
/** Answers that wait to leave together, at most; a string has an end. */
const MOST_PENDING = 1 << 20;
/** Bytes that a peer has not read when nothing more is done for it until it has. */
const MOST_AHEAD = 1 << 20;
/** A peer that asks nothing is told events; one that leaves so many bytes unread is gone. One answer can have half of that. */
const MOST_UNREAD = 256 << 20;

/** One connection. A peer that reads slower than it asks is read no further until it has caught up. */
class Connection implements Wire {
  readonly #socket: Socket;
  readonly #handler: EndpointHandler;
  readonly #ended: () => void;
  #peer: Peer | undefined;
  /** What has come and was not looked at yet. */
  #input: Buffer = Buffer.alloc(0);
  #inputOver = false;
  /** Answers of one piece of input leave together: the peer asked for them together. */
  #corked = false;
  #pending = '';

  constructor(socket: Socket, handler: EndpointHandler, ended: () => void) {
    this.#socket = socket;
    this.#handler = handler;
    this.#ended = ended;
  }

  open(): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    // A connection that breaks ends like one that is closed.
    socket.on('error', () => socket.destroy());
    socket.on('drain', () => this.#takeInput());
    this.#peer = this.#handler.open(this);
    socket.on('data', (bytes: Buffer) => {
      this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
      this.#takeInput();
    });
    // It says no more, and is still told the answers.
    socket.on('end', () => {
      this.#inputOver = true;
      this.#takeInput();
    });
    socket.on('close', () => {
      // What it had asked for is done.
      this.#takeInput();
      this.#peer?.close();
      this.#ended();
    });
  }

  send(text: string): void {
    this.#pending += text;
    if (!this.#corked || this.#pending.length > MOST_PENDING) this.#flush();
  }

  #flush(): void {
    const text = this.#pending;
    this.#pending = '';
    const socket = this.#socket;
    if (text === '' || socket.destroyed) return;
    socket.write(text);
    if (socket.writableLength > MOST_UNREAD) socket.destroy();
  }

  /** Line by line, as long as the peer takes the answers. */
  #takeInput(): void {
    const socket = this.#socket;
    if (this.#corked) return;
    this.#corked = true;
    while (this.#input.length > 0 && (socket.destroyed || socket.writableLength <= MOST_AHEAD)) {
      const input = this.#input;
      const end = input.indexOf(LF) + 1 || input.length;
      this.#input = input.subarray(end);
      try {
        this.#peer?.input(input.subarray(0, end));
      } catch (error) {
        this.#handler.failed(error);
      }
    }
    this.#corked = false;
    this.#flush();
    if (socket.destroyed) return;
    if (this.#input.length > 0 || socket.writableNeedDrain) socket.pause();
    else if (this.#inputOver) socket.end();
    else socket.resume();
  }
}

function refused(address: StreamAddress, what: string, cause: Error): TsvmmError {
  return new TsvmmError({
    code: 'socket',
    object: addressText(address),
    why: `${what} (${(cause as NodeJS.ErrnoException).code ?? cause.message})`,
    exit: EXIT.hostRefused,
    cause,
  });
}
