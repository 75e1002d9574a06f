import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Endpoint, type EndpointHandler, openEndpoint } from '../../../vmm/qtest/sockets.ts';

const MIB = 1 << 20;
let dir = '';
const open: Endpoint[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-sockets-'));
});
afterAll(() => {
  for (const endpoint of open) endpoint.close();
  rmSync(dir, { recursive: true, force: true });
});

async function serve(path: string, handler: Partial<EndpointHandler>) {
  const nothing: EndpointHandler = {
    open: () => ({ input() {}, close() {} }),
    ended() {},
    failed() {},
  };
  open.push(await openEndpoint({ kind: 'unix', path, server: true }, { ...nothing, ...handler }));
}

/** Answers every line with so many bytes. */
function answering(bytes: number, looked: { lines: number }): Partial<EndpointHandler> {
  return {
    open: (wire) => ({
      input(chunk) {
        for (const byte of chunk) {
          if (byte !== 10) continue;
          looked.lines++;
          wire.send(`${'x'.repeat(bytes - 1)}\n`);
        }
      },
      close() {},
    }),
  };
}

test('a piece of many commands is done as far as the answers are read, and all of it once they are', async () => {
  const looked = { lines: 0 };
  const path = join(dir, 'slow.sock');
  await serve(path, answering(4 * MIB, looked));
  const client = connect({ path, allowHalfOpen: true });
  await once(client, 'connect');
  client.pause();
  client.end('\n'.repeat(24));
  await new Promise((done) => setTimeout(done, 200));
  const before = looked.lines;
  let received = 0;
  client.on('data', (bytes) => {
    received += bytes.length;
  });
  client.resume();
  await once(client, 'close');

  expect(before).toBeGreaterThan(0);
  expect(before).toBeLessThan(4);
  expect(looked.lines).toBe(24);
  expect(received).toBe(24 * 4 * MIB);
});

test('what a client asked for before it left is done', async () => {
  const looked = { lines: 0 };
  const path = join(dir, 'gone.sock');
  const closed = new Promise<void>((done) => {
    const { open: answer } = answering(MIB, looked);
    void serve(path, {
      open: (wire) => ({ ...answer!(wire), close: done }),
    }).then(() => {
      const client = connect(path);
      client.write('\n'.repeat(9), () => client.destroy());
    });
  });
  await closed;

  expect(looked.lines).toBe(9);
});

test('the socket of a server that was killed is taken over', async () => {
  const path = join(dir, 'left.sock');
  const killed = createServer();
  killed.listen(join(dir, 'first.sock'));
  await once(killed, 'listening');
  renameSync(join(dir, 'first.sock'), path);
  killed.close();
  await once(killed, 'close');

  expect(existsSync(path)).toBe(true);
  await serve(path, {});
  await once(connect(path), 'connect');
});

test('a socket that somebody serves, and a file that is none, are left alone', async () => {
  const path = join(dir, 'taken.sock');
  await serve(path, {});
  writeFileSync(join(dir, 'file'), 'mine');

  await expect(serve(path, {})).rejects.toThrow('cannot listen (EADDRINUSE)');
  await expect(serve(join(dir, 'file'), {})).rejects.toThrow('cannot listen (EADDRINUSE)');
  expect(existsSync(join(dir, 'file'))).toBe(true);
});
