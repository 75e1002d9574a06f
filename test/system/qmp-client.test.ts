import { type ChildProcess, spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { copyOfCli } from '../kit/run-cli.ts';

// A client that somebody else wrote, for QEMU: https://github.com/siboulet/node-qemu-qmp.
interface Client extends EventEmitter {
  readonly version: { readonly qemu: { readonly major: number } };
  readonly capabilities: readonly string[];
  connect(path: string, done: (error: NodeJS.ErrnoException | null) => void): void;
  execute(command: string, args: object, callback: (error: Error | null, result: unknown) => void): void;
}
const Qmp = createRequire(import.meta.url)('qemu-qmp') as new () => Client;

const cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-client-'));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

let sockets = 0;

async function start(...args: string[]): Promise<{ path: string; exit: Promise<number | null> }> {
  const path = join(dir, `s${sockets++}`);
  const words = args.map((word) => word.replace('PATH', path));
  const child = spawn(process.execPath, words, { cwd: dir, stdio: 'ignore' });
  started.push(child);
  const exit = new Promise<number | null>((done) => child.once('close', done));
  while (!existsSync(path) && child.exitCode === null) await new Promise((done) => setTimeout(done, 10));
  return { path, exit };
}

function qemu(...devices: string[]) {
  const devs = devices.flatMap((device) => ['-device', device]);
  const qmp = ['-qmp', 'unix:PATH,server=on,wait=off'];
  return start(join(cli.directory, 'bin/qemu-system-x86_64.js'), '-M', 'q35', '-S', ...devs, ...qmp);
}

/** Once somebody listens: the socket is in its directory a moment before that. */
async function connected(path: string): Promise<Client> {
  for (;;) {
    const client = new Qmp();
    const error = await new Promise<NodeJS.ErrnoException | null>((done) => client.connect(path, done));
    if (error === null) return client;
    if (error.code !== 'ECONNREFUSED') throw error;
  }
}

function ask(client: Client, command: string, args: object = {}): Promise<unknown> {
  return new Promise((done, failed) => {
    client.execute(command, args, (error, result) => (error === null ? done(result) : failed(error)));
  });
}

describe('the QMP client qemu-qmp of npm', () => {
  test('negotiates, asks, and is told why a command is refused', async () => {
    const { path } = await qemu('intel-iommu');
    const client = await connected(path);

    expect(client.version.qemu).toEqual({ major: 11, minor: 1, micro: 2 });
    expect(await ask(client, 'query-status')).toEqual({ running: false, status: 'prelaunch' });
    await expect(ask(client, 'no-such-command')).rejects.toThrow(
      'The command no-such-command has not been found',
    );
    await expect(ask(client, 'device_del', { id: 'nobody' })).rejects.toThrow("Device 'nobody' not found");
    await expect(ask(client, 'qom-list', { path: 3 })).rejects.toThrow(
      "Invalid parameter type for 'path', expected: string",
    );
    const commands = (await ask(client, 'query-commands')) as { name: string }[];
    expect(commands.map((c) => c.name)).toEqual(
      expect.arrayContaining([
        'query-qmp-schema',
        'query-cpus-fast',
        'device_add',
        'pmemsave',
        'snapshot-save',
      ]),
    );
  });

  test('plugs a device and pulls it out again, and hears of it', async () => {
    const { path } = await qemu('pcie-root-port,id=rp0,chassis=1,slot=1');
    const client = await connected(path);
    const deleted = once(client, 'device_deleted');
    const onBus = async () => JSON.stringify(await ask(client, 'query-pci')).includes('"qdev_id":"hot"');

    expect(await ask(client, 'device_add', { driver: 'edu', bus: 'rp0', id: 'hot' })).toEqual({});
    expect(await onBus()).toBe(true);
    await expect(ask(client, 'device_add', { driver: 'edu', bus: 'rp0', id: 'hot' })).rejects.toThrow(
      "Duplicate device ID 'hot'",
    );
    expect(await ask(client, 'device_del', { id: 'hot' })).toEqual({});
    await deleted;
    expect(await onBus()).toBe(false);
  });

  test('stops, resets and ends the machine, with the events of each', async () => {
    const { path, exit } = await qemu();
    const client = await connected(path);
    const events: string[] = [];
    for (const name of ['resume', 'stop', 'reset', 'shutdown']) client.on(name, () => events.push(name));

    for (const command of ['cont', 'stop', 'system_reset', 'quit'])
      expect(await ask(client, command)).toEqual({});
    expect(await exit).toBe(0);
    expect(events).toEqual(['resume', 'stop', 'reset', 'shutdown']);
  });

  test('drives a guest that is held', async () => {
    const { path, exit } = await start(
      ...[
        join(cli.directory, 'bin/tsvmm.js'),
        'run',
        '--example',
        'edu',
        '-S',
        '--quiet',
        '--qmp',
        'unix:PATH',
      ],
    );
    const client = await connected(path);
    const stopped = once(client, 'x_tsvmm_stopped');

    expect(await ask(client, 'query-status')).toEqual({ running: false, status: 'prelaunch' });
    expect(await ask(client, 'query-cpus-fast')).toHaveLength(1);
    expect(await ask(client, 'x-tsvmm-run-until', { event: 'edu_dma' })).toEqual({});
    await stopped;
    expect(await ask(client, 'query-status')).toEqual({ running: false, status: 'paused' });
    expect(await ask(client, 'human-monitor-command', { 'command-line': 'info status' })).toBe(
      'VM status: paused\r\n',
    );
    expect(await ask(client, 'cont')).toEqual({});
    expect(await exit).toBe(0);
  });
});
