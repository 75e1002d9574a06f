/** Stream sockets as QEMU's character devices name them: client or server, unix or TCP. */

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
    const socket = connect(target(address));
    socket.once('error', (cause) => reject(refused(address, 'cannot connect', cause)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      serve(socket, handler, () => handler.ended());
      resolve({ close: () => socket.destroy() });
    });
  });
}

function listen(address: StreamAddress, handler: EndpointHandler): Promise<Endpoint> {
  return new Promise((resolve, reject) => {
    const open = new Set<Socket>();
    const server: Server = createServer((socket) => {
      open.add(socket);
      serve(socket, handler, () => open.delete(socket));
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

/** A peer that reads slower than it asks is read no further until it has caught up. */
function serve(socket: Socket, handler: EndpointHandler, ended: () => void): void {
  socket.setNoDelay(true);
  // Answers of one piece of input leave together: the peer asked for them together.
  let corked = false;
  let pending = '';
  const flush = () => {
    if (pending === '' || socket.destroyed) return;
    const text = pending;
    pending = '';
    if (!socket.write(text)) socket.pause();
  };
  const wire: Wire = {
    send(text) {
      pending += text;
      if (!corked) flush();
    },
  };
  // A connection that breaks ends like one that is closed.
  socket.on('error', () => socket.destroy());
  socket.on('drain', () => socket.resume());
  const peer = handler.open(wire);
  socket.on('data', (bytes: Buffer) => {
    corked = true;
    try {
      peer.input(bytes);
    } catch (error) {
      handler.failed(error);
    }
    corked = false;
    flush();
  });
  socket.on('close', () => {
    peer.close();
    ended();
  });
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
