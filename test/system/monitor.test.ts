import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SocketClient } from '../kit/socket-client.ts';

const BIN = resolve('bin/tsvmm.js');
/** A guest that never gives up the processor and touches nothing. */
const SPIN =
  '(module (memory (export "memory") 1) (func (export "main") (result i32) (loop $l (br $l)) (i32.const 0)))';

let dir = '';
const started: ChildProcess[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-monitor-'));
  writeFileSync(join(dir, 'spin.wat'), SPIN);
});
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

/** Runs to the end with these lines on stdin. */
function script(args: readonly string[], ...lines: string[]) {
  const input = lines.map((line) => `${line}\n`).join('');
  const ran = spawnSync(process.execPath, [BIN, ...args], { cwd: dir, encoding: 'utf8', input });
  return { status: ran.status, stderr: ran.stderr, lines: ran.stdout.split('\n') };
}

/** Starts a run and waits until its monitors are there. */
async function start(...args: string[]) {
  const child = spawn(process.execPath, [BIN, 'run', ...args, '--quiet'], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  let stderr = '';
  const monitors = args.filter((a) => a === '--qmp' || a === '--monitor').length;
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
      if ((stderr.match(/^tsvmm: (QMP|monitor) at /gm) ?? []).length === monitors) resolve();
    });
    child.once('exit', () => resolve());
  });
  return { ended, port: Number(/tcp:127\.0\.0\.1:(\d+)/.exec(stderr)?.[1]), stderr: () => stderr };
}

async function qmp(path: string): Promise<SocketClient> {
  const client = await SocketClient.open({ path: join(dir, path) });
  await client.message();
  await client.ask('qmp_capabilities');
  return client;
}

describe('a run with a monitor on stdin', () => {
  const EDU = ['run', '--example', 'edu', '--quiet', '--monitor', 'stdio'];

  test('-S holds the guest; run-until stops it after the event; xlate explains addresses', () => {
    const ran = script(
      [...EDU, '-S'],
      'info status',
      'run-until edu_dma',
      'info status',
      'xlate 00:02.0 0x100000',
      'xlate edu0 0xbadc000 w',
      'cont',
    );

    const stop = ran.lines.findIndex((line) => line.startsWith('stopped after '));
    expect(ran.status).toBe(0);
    expect(ran.lines[0]).toBe('VM status: prelaunch');
    expect(ran.lines[stop]).toMatch(
      /^stopped after 1000\d+ edu_dma bdf=00:02\.0 direction=read address=0x100000 bytes=512 status=0x0 in edu_dma \(guest\/examples\/edu\/edu\.c:\d+\)/,
    );
    expect(ran.lines.slice(stop + 1, stop + 12)).toEqual([
      'VM status: paused',
      'read of 0x100000 by 00:02.0',
      '  context entry = 0x0000000000c03001 0x0000000000000302 [from cache]: P=1 SSPTPTR=0xc03 AW=2 (48-bit) DID=3',
      '  IOTLB entry [from cache]: R=1 W=1 page=0xc05000 size=4 KiB DID=3',
      '  translates to 0xc05000',
      'write of 0xbadc000 by 00:02.0',
      '  context entry = 0x0000000000c03001 0x0000000000000302 [from cache]: P=1 SSPTPTR=0xc03 AW=2 (48-bit) DID=3',
      '  paging-structure cache [from cache]: R=1 W=1 table=0xc09000 level=2',
      '  SS-PDE at 0xc092e8 = 0x0000000000000000: R=0 W=0 X=0 EMT=0 IPAT=0 PS=0 A=0 D=0 SNP=0 ADDR=0',
      '  fault 05h (LGN.2): a write or AtomicOp needs W=1 in every second-stage entry on the way',
      'ok 10 - DMA to the device ends with an MSI',
    ]);
    expect(ran.lines).toContain('ok 24 - no page is left behind');
  });

  test('xlate names who stored an entry last, once its page is watched', () => {
    const ran = script([...EDU, '-S'], 'run-until vtd_dmar_fault', 'step 400', 'quit');
    const { lines } = script(
      [...EDU, '-S'],
      ...Array.from({ length: 5 }, () => 'run-until vtd_dmar_fault'),
      'xlate 00:02.0 0x200000',
      'quit',
    );

    expect(ran.status).toBe(0);
    expect(lines.join('\n')).toMatch(
      /written by vtd_\w+ \(sdk\/src\/vtd_domain\.c:\d+\) < \.\.\. < \w+ \(guest\/examples\/edu\/edu\.c:\d+\)/,
    );
  });

  test('a run that is held, stepped and let go does what it does alone', () => {
    const alone = script(['run', '--example', 'edu', '--trace', '*', '--trace-file', 'alone.txt']);
    const held = script(
      [...EDU.slice(0, -3), '--monitor', 'stdio', '-S', '--trace', '*', '--trace-file', 'held.txt'],
      'step',
      'step 7',
      'run-until vtd_*',
      'xlate 00:02.0 0x1234',
      'inspect edu0.regs',
      'cont',
    );
    const same = spawnSync('cmp', ['alone.txt', 'held.txt'], { cwd: dir, encoding: 'utf8' });

    expect([alone.status, held.status, same.stdout, same.status]).toEqual([0, 0, '', 0]);
  });

  test('quit ends it: neither passed nor failed', () => {
    const ran = script(['run', '--example', 'edu', '-S', '--monitor', 'stdio'], 'step', 'quit');

    expect(ran.status).toBe(0);
    expect(ran.stderr).toMatch(/^tsvmm: stopped edu\.wasm: ended from the monitor; /);
  });

  test('a held guest that nobody can let go any more is ended', () => {
    expect(script([...EDU, '-S'], 'info status').status).toBe(0);
  });

  test.each([
    [
      ['run', '--example', 'edu', '-S'],
      2,
      'tsvmm: -S: nobody could let the guest go; add --monitor stdio, or another monitor\n',
    ],
    [
      ['run', '--example', 'edu', '--qmp', 'foo'],
      2,
      "tsvmm: --qmp: 'foo' is no address; write unix:PATH or tcp:HOST:PORT\n",
    ],
    [
      ['run', '--example', 'edu', '--qmp', 'unix:/no/such/q'],
      3,
      'tsvmm: unix:/no/such/q: there is no such directory; choose another address\n',
    ],
  ])('%j', (args, status, stderr) => {
    expect(script(args)).toMatchObject({ status, stderr });
  });
});

describe('a run with monitors at sockets', () => {
  test('two clients see one machine; one that breaks off in the middle disturbs nobody', async () => {
    const run = await start('spin.wat', '-S', '--qmp', 'unix:q.sock', '--monitor', 'tcp:127.0.0.1:0');
    const text = await SocketClient.open({ host: '127.0.0.1', port: run.port });
    const one = await qmp('q.sock');
    const two = await qmp('q.sock');
    await text.until(/\(tsvmm\) $/);

    expect(await one.ask('query-status')).toEqual([{ return: { running: false, status: 'prelaunch' } }]);
    text.send('cont\n');
    await text.until(/\(tsvmm\) $/);
    expect(await one.message()).toMatchObject({ event: 'RESUME' });
    expect(await two.message()).toMatchObject({ event: 'RESUME' });
    expect(await one.ask('query-status')).toEqual([{ return: { running: true, status: 'running' } }]);

    two.send('{"execute":"query-sta');
    two.end();
    await two.gone();
    expect(await one.ask('stop')).toMatchObject([
      { event: 'STOP' },
      { event: 'X_TSVMM_STOPPED', data: { reason: 'stop' } },
      { return: {} },
    ]);
    expect(await text.until(/\(tsvmm\) $/)).toBe('\rstopped in function 0\n(tsvmm) ');
    text.send('info status\n');
    expect(await text.until(/\(tsvmm\) $/)).toBe('VM status: paused\n(tsvmm) ');

    one.send('{"execute": 12\n{"execute":"query-status","id":"after"}');
    expect(await one.message()).toEqual({
      error: { class: 'GenericError', desc: "JSON parse error, expecting ',' or end of value" },
    });
    expect(await one.message()).toEqual({ return: { running: false, status: 'paused' }, id: 'after' });

    expect(await one.ask('quit')).toMatchObject([{ event: 'SHUTDOWN' }, { return: {} }]);
    await Promise.all([one.gone(), text.gone()]);
    expect(await run.ended).toBe(0);
    expect(existsSync(join(dir, 'q.sock'))).toBe(false);
  });

  test('system_reset starts the guest again from the beginning', async () => {
    const run = await start('--example', 'edu', '-S', '--qmp', 'unix:r.sock');
    const client = await qmp('r.sock');

    await client.ask('x-tsvmm-run-until', { event: 'edu_dma' });
    const first = [await client.message(), await client.message()];
    expect(first).toMatchObject([
      { event: 'STOP' },
      { event: 'X_TSVMM_STOPPED', data: { reason: 'run-until' } },
    ]);
    expect(await client.ask('x-tsvmm-info', { topic: 'faults' })).toEqual([{ return: [] }]);
    client.send('{"execute":"system_reset"}');
    expect([await client.message(), await client.message()]).toMatchObject([
      { return: {} },
      { event: 'RESET', data: { guest: false, reason: 'host-qmp-system-reset' } },
    ]);
    expect(await client.ask('query-status')).toEqual([{ return: { running: false, status: 'paused' } }]);
    expect(await client.ask('x-tsvmm-inspect', { path: 'vcpu.executed' })).toEqual([{ return: 0 }]);
    await client.ask('x-tsvmm-run-until', { event: 'edu_dma' });
    expect(await client.message()).toMatchObject({ event: 'STOP' });
    expect(await client.message()).toMatchObject({
      data: { reason: 'run-until', event: expect.stringContaining('edu_dma bdf=00:02.0 direction=read') },
    });
    await client.ask('quit');
    expect(await run.ended).toBe(0);
  });

  test('the guest ends by itself: clients are told before the connection closes', async () => {
    const run = await start('--example', 'hello', '-S', '--qmp', 'unix:e.sock');
    const client = await qmp('e.sock');

    await client.ask('cont');

    expect(await client.message()).toMatchObject({
      event: 'SHUTDOWN',
      data: { guest: true, reason: 'guest-shutdown' },
    });
    await client.gone();
    expect(await run.ended).toBe(0);
  });

  test('a socket that a dead process left is taken over, one that is in use is not', async () => {
    const first = await start('spin.wat', '-S', '--qmp', 'unix:taken.sock');
    const second = script(['run', 'spin.wat', '-S', '--qmp', 'unix:taken.sock']);
    const client = await qmp('taken.sock');
    started.at(-1)!.kill('SIGKILL');
    await first.ended;
    await client.gone();
    const third = await start('spin.wat', '-S', '--qmp', 'unix:taken.sock');
    const again = await qmp('taken.sock');

    expect(second.stderr).toBe(
      'tsvmm: unix:taken.sock: somebody listens there already; choose another address\n',
    );
    expect(second.status).toBe(3);
    await again.ask('quit');
    expect(await third.ended).toBe(0);
  });

  test('a device is plugged in and out while the guest is held', async () => {
    const run = await start(
      ...['--example', 'edu', '--device', 'edu', '--device', 'pcie-root-port,id=rp0'],
      ...['-S', '--qmp', 'unix:h.sock'],
    );
    const client = await qmp('h.sock');

    expect(await client.ask('device_add', { driver: 'edu', id: 'hot', bus: 'rp0' })).toEqual([
      { return: {} },
    ]);
    expect(JSON.stringify(await client.ask('query-pci'))).toContain('"qdev_id":"hot"');
    expect(await client.ask('device_del', { id: 'hot' })).toMatchObject([
      { event: 'DEVICE_DELETED', data: { device: 'hot' } },
      { return: {} },
    ]);
    await client.ask('cont');
    expect(await client.message()).toMatchObject({ event: 'SHUTDOWN', data: { reason: 'guest-shutdown' } });
    expect(await run.ended).toBe(0);
  });
});

describe('tsvmm inspect', () => {
  beforeAll(() => {
    const args = ['snapshot', 'save', '--example', 'edu', '--at', '3', '--out', 'snap', '--quiet'];
    expect(script(args).status).toBe(0);
  });

  test('asks a snapshot without running it', () => {
    const asked = script([
      ...['inspect', 'snap', '-c', 'info status', '-c', 'info iotlb'],
      ...['-c', 'xlate 00:02.0 0x100000', '-c', 'inspect vcpu.waits'],
    ]);

    expect(asked.lines).toEqual([
      'VM status: paused',
      'did=3 iova=0x100000 page=0xc05000 size=4K access=rw',
      'read of 0x100000 by 00:02.0',
      '  context entry = 0x0000000000c03001 0x0000000000000302 [from cache]: P=1 SSPTPTR=0xc03 AW=2 (48-bit) DID=3',
      '  IOTLB entry [from cache]: R=1 W=1 page=0xc05000 size=4 KiB DID=3',
      '  translates to 0xc05000',
      '3',
      '',
    ]);
    expect(asked.status).toBe(0);
  });

  test('commands come from stdin too, and as JSON', () => {
    expect(script(['inspect', 'snap', '--json'], 'info iotlb', 'inspect vcpu.waits')).toMatchObject({
      status: 0,
      lines: ['[{"did":3,"iova":"0x100000","page":"0xc05000","size":"4K","access":"rw"}]', '3', ''],
    });
  });

  test('what cannot be asked of it is refused with exit code 2', () => {
    expect(script(['inspect', 'snap', '-c', 'cont'])).toMatchObject({
      status: 2,
      lines: ["Error: a snapshot that is looked at does not run; use 'tsvmm snapshot load'", ''],
    });
    expect(script(['inspect', 'nothing', '-c', 'help'])).toMatchObject({
      status: 2,
      stderr: "tsvmm: nothing: there is no such snapshot; give a directory that 'snapshot save' made\n",
    });
  });
});

test('QMP of tsvmm qemu has the whole monitor', async () => {
  const child = spawn(
    process.execPath,
    [BIN, 'qemu', '-M', 'q35', '-device', 'edu', '-qmp', `unix:${join(dir, 'm.sock')},server=on,wait=off`],
    { cwd: dir, stdio: 'ignore' },
  );
  started.push(child);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  while (!existsSync(join(dir, 'm.sock'))) await new Promise((resolve) => setTimeout(resolve, 10));
  const client = await qmp('m.sock');

  expect(await client.ask('query-status')).toEqual([{ return: { running: true, status: 'running' } }]);
  expect(await client.ask('human-monitor-command', { 'command-line': 'x 0x1000' })).toEqual([
    { return: '0000000000001000: 0x00000000\r\n' },
  ]);
  expect(JSON.stringify(await client.ask('query-pci'))).toContain('"class":255');
  expect(await client.ask('quit')).toMatchObject([{ event: 'SHUTDOWN' }, { return: {} }]);
  await ended;
});
