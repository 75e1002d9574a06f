import { TsvmmError } from '../core/errors.ts';

/** Where a monitor is served: a unix socket, a TCP port, or, without either, the terminal. */
export interface Endpoint {
  readonly kind: 'qmp' | 'text';
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
}

/** `unix:PATH`, `tcp:HOST:PORT`, for a text monitor also `stdio`. @throws TsvmmError naming the option */
export function parseEndpoint(text: string, kind: Endpoint['kind'], option: string): Endpoint {
  if (text === 'stdio' && kind === 'text') return { kind };
  const unix = /^unix:(.+)$/.exec(text);
  if (unix !== null) return { kind, path: unix[1]! };
  const tcp = /^tcp:(?:\[([0-9a-f:.]+)\]|([^:]*)):(\d{1,5})$/i.exec(text);
  const port = Number(tcp?.[3] ?? Number.NaN);
  if (tcp !== null && port <= 0xffff) return { kind, host: tcp[1] ?? (tcp[2] || '127.0.0.1'), port };
  throw new TsvmmError({
    code: 'bad-value',
    object: option,
    why: `'${text}' is no address`,
    mend: `write ${kind === 'text' ? 'stdio, ' : ''}unix:PATH or tcp:HOST:PORT`,
  });
}

export function endpointText({ path, host, port }: Endpoint): string {
  if (path !== undefined) return `unix:${path}`;
  if (host === undefined) return 'stdio';
  return host.includes(':') ? `tcp:[${host}]:${port}` : `tcp:${host}:${port}`;
}
