import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { QtestClient } from '../kit/qtest-client.ts';

const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> };
const X86 = resolve(bin['qemu-system-x86_64']!);
const ARM = resolve(bin['qemu-system-aarch64']!);
let dir = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-qtest-'));
  const built = spawnSync(process.execPath, ['scripts/build.mjs', '--quick'], { encoding: 'utf8' });
  expect(built).toMatchObject({ status: 0, stderr: '' });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const IOMMU_MACHINE = '-machine q35 -smp 1 -m 512 -net none -device intel-iommu -device iommu-testdev'.split(
  ' ',
);

describe('a libqtest program', () => {
  test('probes the machines, negotiates, and ends the process with status 0', async () => {
    const q = await QtestClient.start(X86, '-machine none');

    expect(await q.command('endianness')).toBe('little');
    expect(await q.message()).toHaveProperty('QMP');
    q.execute('qmp_capabilities');
    expect(await q.message()).toEqual({ return: {} });
    q.execute('query-machines');
    const { return: machines } = await q.message();
    expect(machines).toEqual(expect.arrayContaining([expect.objectContaining({ alias: 'q35' })]));
    expect(await q.terminate()).toEqual({ code: 0, signal: null });
  });

  test('finds the test device, builds tables, and a DMA goes through them', async () => {
    const q = await QtestClient.start(X86, ...IOMMU_MACHINE);

    expect(await q.command('endianness')).toBe('little');
    expect(await q.read(0xfed90010, 'q')).toBe(0xf00f4an);
    expect(await scanBus(q)).toEqual(['0x8086', '0x1b36']);
    await placeBar(q);
    await buildTables(q);
    await enableVtd(q);
    expect(await runDma(q)).toBe('0x00000000');
    expect(await q.command('read 0x10100567 0x4')).toBe('0x78563412');
    expect(await q.terminate()).toEqual({ code: 0, signal: null });
  });

  test('gets a machine as new from system_reset', async () => {
    const q = await QtestClient.start(X86, ...IOMMU_MACHINE);
    await q.message();
    q.execute('qmp_capabilities');
    await q.message();
    await q.command('outl 0xcf8 0x80001004');
    await q.command('outw 0xcfc 0x7');
    await enableVtd(q);
    q.execute('system_reset');
    const messages = [await q.message(), await q.message()];

    expect(messages).toContainEqual({ return: {} });
    expect(messages).toContainEqual(expect.objectContaining({ event: 'RESET' }));
    expect(await q.read(0xfed9001c, 'l')).toBe(0n);
    expect(await q.read(0xfed90038, 'l')).toBe(0x80000000n);
    expect(await q.command('inw 0xcfc')).toBe('0xffff');
    await q.terminate();
  });

  test('is told of interrupts before the reply to what caused them', async () => {
    const q = await QtestClient.start(X86, '-M q35 -device intel-iommu');
    await q.command('irq_intercept_in ioapic');
    q.send('set_irq_in ioapic unnamed-gpio-in 9 1\nset_irq_in ioapic unnamed-gpio-in 9 0\n');

    expect([await q.line(), await q.line(), await q.line(), await q.line()]).toEqual([
      'IRQ raise 9',
      'OK',
      'IRQ lower 9',
      'OK',
    ]);
    await q.terminate();
  });

  test('may hang up: the process ends with status 0', async () => {
    const q = await QtestClient.start(X86, '-M q35');
    q.hangUp();

    expect(await q.exit).toEqual({ code: 0, signal: null });
  });

  test('is not outlived: the process ends when its parent does', async () => {
    const socket = join(dir, 'orphan.sock');
    const args = `-M q35 -qtest unix:${socket},server=on,wait=off -run-with exit-with-parent=on`;
    const parent = spawn('sh', ['-c', `${X86} ${args} & echo $!; sleep 60`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const child = Number(await new Promise((done) => parent.stdout.once('data', done)));
    const connection = await connectTo(socket);
    parent.kill('SIGKILL');
    await new Promise((done) => connection.once('close', done));

    expect(child).toBeGreaterThan(0);
  });
});

describe('servers', () => {
  test('a client of a listening qtest socket is served over TCP or unix, and the process goes on without it', async () => {
    const socket = join(dir, 'server.sock');
    const args = ['qemu', '-M', 'q35', '-qtest', `unix:${socket},server=on,wait=off`, '-qtest-log', 'none'];
    const child = spawn(process.execPath, ['bin/tsvmm.js', ...args], { stdio: 'ignore' });
    const ended = new Promise((done) => child.on('close', done));
    for (let i = 0; i < 2; i++) {
      const connection = await connectTo(socket);
      connection.write('endianness\n');
      const reply = await new Promise((done) => connection.once('data', done));
      expect(String(reply)).toBe('OK little\n');
      connection.destroy();
    }
    child.kill('SIGTERM');

    expect(await ended).toBe(0);
  });
});

describe('command lines that are refused', () => {
  test.each([
    [
      X86,
      ['-M', 'q35', '-qtst', 'unix:x'],
      "tsvmm: -qtst: is no option of this front end; did you mean '-qtest'?",
    ],
    [
      ARM,
      ['-machine', 'q35', '-qtest', 'unix:x'],
      "tsvmm: -machine: there is no machine 'q35'; use one of: virt",
    ],
    [
      X86,
      ['-M', 'q35', '-device', 'nvme', '-qtest', 'unix:x'],
      "tsvmm: -device: there is no device 'nvme' on this machine",
    ],
  ])('%s %j', (binary, args, message) => {
    const ran = spawnSync(binary, args, { encoding: 'utf8' });

    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain(message);
  });

  test('a socket that nobody listens on is the host refusing', () => {
    const ran = spawnSync(X86, ['-M', 'q35', '-qtest', `unix:${dir}/nobody`], { encoding: 'utf8' });

    expect(ran.status).toBe(3);
    expect(ran.stderr).toContain('cannot connect (ENOENT)');
  });
});

/** Vendors on bus 0, by the scan libqos does. */
async function scanBus(q: QtestClient): Promise<string[]> {
  const found: string[] = [];
  for (let devfn = 0; devfn < 256; devfn++) {
    await q.command(`outl 0xcf8 0x${(0x80000000 + devfn * 256).toString(16)}`);
    const vendor = await q.command('inw 0xcfc');
    if (vendor !== '0xffff') found.push(vendor);
  }
  await q.command('outl 0xcf8 0x80001002');
  expect(await q.command('inw 0xcfc')).toBe('0x0005');
  return found;
}

async function placeBar(q: QtestClient): Promise<void> {
  await q.command('outl 0xcf8 0x80001004');
  await q.command('outw 0xcfc 0x7');
  expect(await q.command('inw 0xcfc')).toBe('0x0007');
  await q.command('outl 0xcf8 0x80001010');
  await q.command('outl 0xcfc 0xffffffff');
  expect(await q.command('inl 0xcfc')).toBe('0xfffff000');
  await q.command('outl 0xcfc 0xe0000000');
}

/** 10200567h to page 10100000h, by four levels. */
async function buildTables(q: QtestClient): Promise<void> {
  for (const range of ['0x10100567 4', '0x10000000 0x1000', '0x10010000 0x4000', '0x10001000 0x1000'])
    await q.command(`memset ${range} 0x00`);
  const entries = [
    [0x10000000, 0x10001001n],
    [0x10010000, 0x10011003n],
    [0x10011000, 0x10012003n],
    [0x10012400 + 8, 0x10013003n],
    [0x10013000, 0x10100003n],
    [0x10001100, 0x10010001n],
    [0x10001108, 2n],
  ] as const;
  for (const [address, value] of entries) await q.write(address, 'q', value);
}

async function enableVtd(q: QtestClient): Promise<void> {
  await q.write(0xfed90020, 'q', 0x10000000n);
  await q.write(0xfed90018, 'l', 0x40000000n);
  await q.write(0xfed90090, 'q', 0x10020000n);
  await q.write(0xfed90080, 'q', 0n);
  await q.write(0xfed90088, 'q', 0n);
  await q.write(0xfed90018, 'l', 0x44000000n);
  expect(await q.read(0xfed9001c, 'l')).toBe(0x44000000n);
  await q.write(0xfed90038, 'l', 0n);
  await q.write(0xfed9003c, 'l', 0n);
  await q.write(0xfed90040, 'l', 0xfee00000n);
  await q.write(0xfed90018, 'l', 0xc4000000n);
  expect(await q.read(0xfed9001c, 'l')).toBe(0xc4000000n);
}

/** RESULT of a write of four bytes to 10200567h, read back at 10100567h. */
async function runDma(q: QtestClient): Promise<string> {
  const registers = [
    ['04', '67052010'],
    ['08', '00000000'],
    ['1c', '67051010'],
    ['20', '00000000'],
    ['0c', '04000000'],
    ['18', '00000000'],
    ['14', '01000000'],
  ] as const;
  for (const [offset, bytes] of registers) await q.command(`write 0xe00000${offset} 0x4 0x${bytes}`);
  expect(await q.command('read 0xe0000000 0x4')).toBe('0x00000000');
  return q.command('read 0xe0000010 0x4');
}

/** Connects as soon as somebody listens. */
async function connectTo(path: string) {
  for (;;) {
    const socket = connect(path);
    const connected = await new Promise<boolean>((done) => {
      socket.once('connect', () => done(true));
      socket.once('error', () => done(false));
    });
    if (connected) return socket;
    await new Promise((done) => setTimeout(done, 20));
  }
}
