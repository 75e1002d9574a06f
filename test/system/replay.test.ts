import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SocketClient } from '../kit/socket-client.ts';

const BIN = resolve('bin/tsvmm.js');
/** Reads the identities of 00:02.0 and of 01:00.0, which a monitor plugs and unplugs, and computes in between. */
const PROBE = `(module
  (memory (export "memory") 1)
  (func (export "main") (result i32) (local $i i32) (local $k i32)
    (loop $outer
      (drop (i32.load (i32.const 0xb0010000)))
      (drop (i32.load (i32.const 0xb0100000)))
      (local.set $k (i32.const 0))
      (loop $inner
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br_if $inner (i32.lt_u (local.get $k) (i32.const 20000))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $outer (i32.lt_u (local.get $i) (i32.const 6000))))
    (i32.const 0)))`;
/** The same with a place to be suspended at in every round, and rounds of six million instructions. */
const LONG = PROBE.replace('(module', '(module (import "tsvmm" "yield" (func $yield))')
  .replace('(loop $outer', '(loop $outer (call $yield)')
  .replace('20000', '800000')
  .replace('6000', '40');
const FAILING = '(module (memory (export "memory") 1) (func (export "main") (result i32) (i32.const 3)))';
const HOTPLUG = ['--device', 'pcie-root-port,id=rp0', '--device', 'edu,id=hot,bus=rp0'];

let dir = '';
const started: ChildProcess[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-replay-'));
  writeFileSync(join(dir, 'probe.wat'), PROBE);
  writeFileSync(join(dir, 'failing.wat'), FAILING);
  writeFileSync(join(dir, 'long.wat'), LONG);
});
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function tsvmm(args: readonly string[], input = '') {
  const env = { ...process.env, TSVMM_CACHE_DIR: join(dir, 'cache'), NO_COLOR: '1' };
  const ran = spawnSync(process.execPath, [BIN, ...args], { cwd: dir, encoding: 'utf8', input, env });
  return { status: ran.status, stdout: ran.stdout, stderr: ran.stderr, lines: ran.stdout.split('\n') };
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: dir, stdio: 'ignore' });
  started.push(child);
  const ended = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
  return { child, ended };
}

/** The socket is there a moment before somebody listens. */
async function connected(path: string): Promise<SocketClient> {
  for (;;) {
    try {
      return await SocketClient.open({ path: join(dir, path) });
    } catch {
      await delay(10);
    }
  }
}

async function qmpAt(path: string): Promise<SocketClient> {
  const client = await connected(path);
  await client.message();
  await client.ask('qmp_capabilities');
  return client;
}

/** Equal byte for byte; a difference is not printed, files are large. */
function same(a: string, b: string): boolean {
  return readFileSync(join(dir, a)).equals(readFileSync(join(dir, b)));
}

function traced(file: string): string[] {
  return ['--trace', '*', '--trace-file', file, '--quiet'];
}

describe('a run that was recorded', () => {
  test('replays to the same trace, output and verdict, byte for byte', () => {
    const run = tsvmm([
      'run',
      '--example',
      'edu',
      '--record',
      'edu.record',
      ...traced('edu.ndjson'),
      '--json',
    ]);
    const again = tsvmm(['replay', 'edu.record', ...traced('edu-again.ndjson'), '--json']);

    expect([run.status, again.status]).toEqual([0, 0]);
    expect(again.stdout).toBe(run.stdout);
    expect(same('edu.ndjson', 'edu-again.ndjson')).toBe(true);
    expect(statSync(join(dir, 'edu.ndjson')).size).toBeGreaterThan(10_000);
  });

  test('needs neither its source nor the files it was given', () => {
    writeFileSync(join(dir, 'gone.wat'), FAILING);
    writeFileSync(join(dir, 'gone.txt'), 'x');
    tsvmm(['run', 'gone.wat', '--file', 'a=gone.txt', '--env', 'A=b', '--record', 'gone.record', '--', 'x']);
    rmSync(join(dir, 'gone.wat'));
    rmSync(join(dir, 'gone.txt'));

    const again = tsvmm(['replay', 'gone.record']);

    expect(again.status).toBe(1);
    expect(again.stderr).toMatch(/^tsvmm: failed gone\.wat: exit status 3; /);
  });

  test('replays what came over sockets, at the instruction where it came', async () => {
    const run = start([
      ...['run', 'probe.wat', ...HOTPLUG, '--record', 'hot.record', ...traced('hot.ndjson')],
      ...['-S', '--qmp', 'unix:hot.sock', '--monitor', 'unix:hot-text.sock'],
    ]);
    const client = await qmpAt('hot.sock');
    await client.ask('x-tsvmm-run-until', { event: 'pci_cfg_read' });
    await client.message();
    await client.message();
    await client.ask('device_del', { id: 'hot' });
    await client.ask('x-tsvmm-step', { count: 3 });
    await client.message();
    await client.message();
    await client.ask('device_add', { driver: 'edu', id: 'hot2', bus: 'rp0' });
    await client.ask('cont');
    await delay(50);
    await client.ask('device_del', { id: 'hot2' });
    await delay(50);
    await client.ask('query-status');
    client.send(
      '{"execute":"system_reset"}{"execute":"device_add","arguments":{"driver":"edu","id":"h3","bus":"rp0"}}',
    );
    await client.until(/"RESET"/);
    await delay(50);
    const text = await connected('hot-text.sock');
    text.send('device_del h3\n');
    await text.until(/\(tsvmm\) $/);
    await client.gone();
    const status = await run.ended;

    const again = tsvmm(['replay', 'hot.record', ...traced('hot-again.ndjson')]);

    expect([status, again.status, again.stderr]).toEqual([0, 0, '']);
    expect(same('hot.ndjson', 'hot-again.ndjson')).toBe(true);
    const trace = readFileSync(join(dir, 'hot.ndjson'), 'utf8');
    const reads = trace.split('\n').filter((line) => line.includes('"bdf":"01:00.0"'));
    expect(reads.length).toBeGreaterThan(10);
    expect(reads.length).toBeLessThan(6000);
    const record = readFileSync(join(dir, 'hot.record'), 'utf8');
    expect(record).toMatch(/"at":\{"run":1,"polls":\d+,"executed":\d+,"ns":\d+\},"monitor":"device_del h3"/);
    expect(record).toContain('"qmp":{"execute":"query-status","arguments":{}}');
  });

  test('a run that was ended from outside ends there again', async () => {
    const run = start([
      'run',
      'probe.wat',
      '--record',
      'quit.record',
      ...traced('q.ndjson'),
      '--qmp',
      'unix:q.sock',
    ]);
    const client = await qmpAt('q.sock');
    await delay(50);
    await client.ask('quit');
    await run.ended;

    const again = tsvmm(['replay', 'quit.record', ...traced('q-again.ndjson')]);

    expect(again.status).toBe(0);
    expect(same('q.ndjson', 'q-again.ndjson')).toBe(true);
  });

  test('a session of qtest and QMP clients replays to the same trace', async () => {
    const run = start([
      ...[
        'qemu',
        '-M',
        'q35',
        '-device',
        'intel-iommu',
        '-device',
        'pcie-root-port,id=rp0',
        '-device',
        'edu',
      ],
      ...['-qtest', 'unix:qt.sock,server=on,wait=off', '-qmp', 'unix:qq.sock,server=on,wait=off'],
      ...['-qtest-log', 'none', '-record', 'qtest.record', '-trace', '*,file=qtest.txt'],
    ]);
    const qmp = await qmpAt('qq.sock');
    const qtest = await connected('qt.sock');
    const tell = async (line: string) => {
      qtest.send(`${line}\n`);
      return qtest.until(/^.*\n/);
    };
    await tell('outl 0xcf8 0x80001800');
    expect(await tell('inl 0xcfc')).toBe('OK 0x11e81234\n');
    await tell('writel 0xfed90018 0x80000000');
    await tell('clock_step 1000000');
    await qmp.ask('device_add', { driver: 'edu', id: 'hot', bus: 'rp0' });
    await qmp.ask('system_reset');
    await tell('readl 0xfed9001c');
    await tell('nonsense');
    run.child.kill('SIGTERM');
    await run.ended;

    const again = tsvmm(['replay', 'qtest.record', '--trace', '*', '--trace-file', 'qtest-again.txt']);
    const stop = tsvmm(['replay', 'qtest.record', '--until', 'vtd_reg_write']);
    const shown = tsvmm(['replay', 'qtest.record', '--report', 'qtest.json', '--quiet']);

    expect(again.status).toBe(0);
    expect(again.stderr).toBe(
      'tsvmm: stopped qtest.record: at the end of the record, 8 commands; 1.00 ms of virtual time, 0 instructions\n',
    );
    expect(same('qtest.txt', 'qtest-again.txt')).toBe(true);
    expect([shown.status, JSON.parse(readFileSync(join(dir, 'qtest.json'), 'utf8'))]).toMatchObject([
      0,
      { machine: { machine: 'q35' }, verdict: { verdict: 'stopped' } },
    ]);
    expect(readFileSync(join(dir, 'qtest.txt'), 'utf8')).toContain('vtd_reg_write');
    expect(stop.status).toBe(0);
    expect(stop.stderr).toMatch(/^stopped after 0 vtd_reg_write offset=0x18/);

    const back = tsvmm(
      ['replay', 'qtest.record', '--monitor', 'stdio', '--quiet', '--trace', '*', '--trace-file', 'back.txt'],
      'reverse-until vtd_reg_write\ninfo status\nreverse-until vtd_*\nreverse-continue\nstep\nreverse-until x*\ncont\n',
    );
    expect(back.status).toBe(0);
    expect(back.lines).toEqual([
      'stopped, 8 of 8 commands',
      expect.stringMatching(/^stopped after 0 vtd_reg_write offset=0x18 .*, 3 of 8 commands$/),
      'VM status: paused',
      "Error: nothing before this matches 'vtd_*'",
      'stopped, 0 of 8 commands',
      expect.stringMatching(/^stopped after 0 \w+ .*, \d of 8 commands$/),
      "Error: no trace event matches 'x*'",
      'stopped, 8 of 8 commands',
      '',
    ]);
    expect(same('qtest.txt', 'back.txt')).toBe(true);
  });
});

describe('--until', () => {
  beforeAll(() => void tsvmm(['run', '--example', 'edu', '--record', 'until.record', '--quiet']));

  test('stops at the event that is counted, and shows the machine', () => {
    const ran = tsvmm(['replay', 'until.record', '--until', 'vtd_dmar_fault#2']);

    expect(ran.status).toBe(0);
    expect(ran.stdout).toContain('ok 13 - a read of an unmapped address faults');
    expect(ran.stdout).not.toContain('ok 14');
    expect(ran.stderr).toMatch(
      /^stopped after 4000\d+ vtd_dmar_fault sid=00:02\.0 reason=0x5 .*\n {2}after \d+ instructions, at 4000\d+ ns of virtual time\nguest stack:\n {2}#0 edu_dma \(guest\/examples\/edu\/edu\.c:113\)$/m,
    );
  });

  test('with a monitor, stops there to be asked', () => {
    const ran = tsvmm(
      ['replay', 'until.record', '--until', 'vtd_*_fault', '--monitor', 'stdio', '--quiet'],
      'info status\nreverse-step\nquit\n',
    );

    const at = ran.lines.findIndex((line) => /^stopped after 3000\d+ vtd_dmar_fault/.test(line));
    expect(ran.lines[at]).toContain(' vtd_dmar_fault sid=00:02.0 reason=0x6 ');
    expect(ran.lines[at + 1]).toBe('VM status: paused');
    expect(ran.lines[at + 2]).toMatch(/^stopped after \d+ \w+ /);
    expect(ran.status).toBe(0);
  });

  test.each([
    [
      'vtd_dmar_fault#9',
      "--until: the run has ended before 'vtd_dmar_fault' happened 9 times; '--trace' shows what happens in it",
    ],
    [
      'vtd_dmar_foult',
      "--until vtd_dmar_foult: this machine has no such event; did you mean 'vtd_dmar_fault'?",
    ],
    [
      '#2',
      "--until: '#2' is no event; write its name, such as 'vtd_dmar_fault', or 'vtd_dmar_fault#2' for the second one",
    ],
  ])('%s is refused', (until, message) => {
    const ran = tsvmm(['replay', 'until.record', '--until', until, '--quiet']);

    expect(ran.status).toBe(2);
    expect(ran.stderr.split('\n').at(-2)).toBe(`tsvmm: ${message}`);
  });
});

describe('going back', () => {
  beforeAll(() => void tsvmm(['run', '--example', 'edu', '--record', 'back.record', '--quiet']));

  test('a replay with a monitor stops at its end, and goes back from there', () => {
    const ran = tsvmm(
      ['replay', 'back.record', '--monitor', 'stdio', '--quiet'],
      [
        'info status',
        'reverse-until vtd_dmar_fault',
        'reverse-until vtd_dmar_fault',
        'run-until vtd_dmar_fault',
        'reverse-continue',
        'inspect vcpu.executed',
        'reverse-step',
        'reverse-until *',
        'device_add edu,bus=rp0',
        'cont',
        'info status',
        '',
      ].join('\n'),
    );

    const end = ran.lines.indexOf('stopped at the end: the guest exited with 0');
    const after = ran.lines.slice(end + 1);
    expect(ran.status).toBe(0);
    expect(ran.lines[end - 1]).toBe('1..24');
    expect(after[0]).toBe('VM status: shutdown');
    expect(after[1]).toMatch(/^stopped after 8001\d+ vtd_dmar_fault .* reason=0x2 .* edu_dma_quiet \(/);
    expect(after[2]).toMatch(/^stopped after 7001\d+ vtd_dmar_fault .* reason=0x5 .* in edu_dma \(/);
    expect(after[3]).toBe(after[1]);
    expect(after.slice(4)).toEqual([
      'stopped',
      '0',
      'stopped',
      "Error: nothing before this matches '*'",
      "Error: this is a replay: 'device_add edu,bus=rp0' would make it another run",
      // Nothing is printed twice.
      'stopped at the end: the guest exited with 0',
      'VM status: shutdown',
      '',
    ]);
  });

  test('reverse-step undoes step, as often as one likes', () => {
    const there = ['run-until vtd_irq_generate', 'step', 'step 5', 'step'];
    const back = ['reverse-step', 'reverse-step 5', 'reverse-step'];
    const ran = tsvmm(
      ['run', '--example', 'edu', '-S', '--monitor', 'stdio', '--quiet'],
      [...there, ...back, ...there.slice(1), 'cont', ''].join('\n'),
    );

    const stops = ran.lines.filter((line) => line.startsWith('stopped after '));
    expect(stops).toHaveLength(10);
    expect(stops.slice(4, 7)).toEqual([stops[2], stops[1], stops[0]]);
    expect(stops.slice(7)).toEqual(stops.slice(1, 4));
    expect(ran.lines.filter((line) => line.startsWith('ok '))).toHaveLength(24);
    expect(ran.status).toBe(0);
  });

  test('a long run is repeated from checkpoints, and is the same there', () => {
    const recorded = tsvmm(
      [
        'run',
        'long.wat',
        ...HOTPLUG,
        '--record',
        'long.record',
        '-S',
        '--monitor',
        'stdio',
        ...traced('long.ndjson'),
      ],
      'step 55\ndevice_del hot\ncont\n',
    );
    const looks = ['info status', 'inspect vcpu', 'inspect clock', 'inspect rp0', 'info pci'];
    const forward = tsvmm(
      ['replay', 'long.record', '-S', '--monitor', 'stdio', '--quiet'],
      [...Array.from({ length: 34 }, () => 'run-until pci_cfg_read'), ...looks, 'quit', ''].join('\n'),
    );
    const back = tsvmm(
      ['replay', 'long.record', '--monitor', 'stdio', ...traced('long-back.ndjson')],
      [
        // 55 reads and the event of the unplugging, then 12 of the root port alone.
        ...['reverse-step', 'reverse-step', 'reverse-step 5', 'reverse-until pci_update_mappings_del'],
        ...['reverse-step 22', ...looks, 'reverse-continue', 'inspect vcpu.executed', 'cont', ''],
      ].join('\n'),
    );

    expect([recorded.status, forward.status, back.status]).toEqual([0, 0, 0]);
    const end = back.lines.indexOf('stopped at the end: the guest exited with 0');
    const stops = back.lines.slice(end + 1).filter((line) => line.startsWith('stopped after '));
    expect(stops.map((line) => line.split(' ')[3])).toEqual([
      ...['pci_cfg_read', 'pci_cfg_read', 'pci_cfg_read', 'pci_update_mappings_del', 'pci_cfg_read'],
    ]);
    const shown = (lines: readonly string[]) => {
      const last = lines.findLastIndex((line) => line.startsWith('stopped after '));
      return lines.slice(last, last + 300).filter((line) => !/^(stopped|0|RESUME)$|at the end|^$/.test(line));
    };
    expect(shown(back.lines)).toEqual(shown(forward.lines));
    expect(shown(back.lines).length).toBeGreaterThan(10);
    expect(same('long.ndjson', 'long-back.ndjson')).toBe(true);
  });

  test('what is traced is traced once, and a run that went back is recorded as what it came to', () => {
    const alone = tsvmm(['run', 'probe.wat', ...HOTPLUG, ...traced('alone.ndjson')]);
    const looked = tsvmm(
      ['run', 'probe.wat', ...HOTPLUG, ...traced('looked.ndjson'), '-S', '--monitor', 'stdio'],
      'step 20\nreverse-step 7\nreverse-until pci_*\nstep 30\nreverse-continue\ncont\n',
    );
    const branched = tsvmm(
      ['run', 'probe.wat', ...HOTPLUG, '--record', 'branch.record', '-S', '--monitor', 'stdio', '--quiet'],
      [
        ...['step 20', 'device_del hot', 'step 5', 'reverse-step 15', 'step 2', 'device_del hot', 'step 7'],
        ...['device_add edu,id=other,bus=rp0', 'reverse-step', 'cont', ''],
      ].join('\n'),
    );
    const record = tsvmm(['replay', 'branch.record', ...traced('branch.ndjson')]);

    expect([alone.status, looked.status, branched.status, record.status]).toEqual([0, 0, 0, 0]);
    expect(same('alone.ndjson', 'looked.ndjson')).toBe(true);
    const seen = readFileSync(join(dir, 'branch.ndjson'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"event":"pci_cfg_read"') && !line.startsWith('{"time":0,'))
      .map((line) => (line.includes('"bdf":"01:00.0"') ? 'H' : 'P'))
      .join('');
    // Unplugging is an event too: back from 26 by 15 and on by 2 is the 13th, and from there 7 without the device.
    expect(seen).toMatch(/^(PH){6}PP{7}(HP)+H$/);
  });
});

describe('a run that fails', () => {
  test('says how to do it again', () => {
    const ran = tsvmm(['run', 'failing.wat']);
    const command = /^replay: tsvmm (replay (\S+))$/m.exec(ran.stderr);
    const again = tsvmm(command![1]!.split(' '));

    expect(ran.status).toBe(1);
    expect(command![2]).toMatch(/\/cache\/failed\/failing\.wat-[0-9a-f]{12}\.record$/);
    expect(again).toMatchObject({ status: 1, stderr: ran.stderr });
  });

  test('with --record names that file; with --json the command is in the object', () => {
    const ran = tsvmm(['run', 'failing.wat', '--record', 'mine file.record', '--json']);

    expect(JSON.parse(ran.stdout)).toMatchObject({
      verdict: 'failed',
      replay: "tsvmm replay 'mine file.record'",
    });
    expect(JSON.parse(tsvmm(['run', '--example', 'edu', '--json']).stdout)).toMatchObject({ replay: null });
  });

  test('keeps what was asked of it', () => {
    const ran = tsvmm(
      ['run', 'probe.wat', ...HOTPLUG, '--fuel', '3M', '-S', '--monitor', 'stdio'],
      'step 20\ndevice_del hot\ncont\n',
    );
    const file = /^replay: tsvmm replay (\S+)$/m.exec(ran.stderr)![1]!;

    expect(ran.status).toBe(4);
    expect(readFileSync(file, 'utf8')).toContain('"monitor":"device_del hot"');
    expect(tsvmm(['replay', file]).status).toBe(4);
  });

  test('the same failure is kept once, and only the latest are kept', () => {
    for (let i = 0; i < 24; i++) tsvmm(['run', 'failing.wat', '--', String(i)]);
    tsvmm(['run', 'failing.wat', '--', '23']);

    expect(readdirSync(join(dir, 'cache/failed')).filter((name) => name.endsWith('.record'))).toHaveLength(
      20,
    );
  });
});

describe('a snapshot of a guest that runs', () => {
  test('is saved where it waits next, and goes on from there as the run does', () => {
    const script = ['run-until edu_dma', 'savevm third', 'info jobs', 'cont', ''];
    const ran = tsvmm(['run', '--example', 'edu', '-S', '--monitor', 'stdio'], script.join('\n'));
    const loaded = tsvmm(['snapshot', 'load', 'third']);
    const direct = tsvmm(['snapshot', 'save', '--example', 'edu', '--at', '3', '--out', 'direct', '--quiet']);
    const diff = tsvmm(['snapshot', 'diff', 'third', 'direct']);

    expect(ran.status).toBe(0);
    expect(ran.lines).toContain('to be saved where the guest waits next');
    expect(ran.lines).toContain('savevm third snapshot-save running');
    // The script has ended: what is said without being asked for goes to stderr.
    expect(ran.stderr).toContain('saved in third\n');
    expect(ran.lines.filter((line) => line.startsWith('ok '))).toHaveLength(24);
    expect(loaded.status).toBe(0);
    expect(direct.status).toBe(0);
    expect(diff.stdout.split('\n').filter((line) => !line.startsWith('trace.') && line !== '')).toEqual([]);
  });

  test('is loaded in place of the guest that runs; both are judged together', () => {
    const ran = tsvmm(
      ['run', '--example', 'edu', '-S', '--monitor', 'stdio', '--record', 'load.record'],
      'run-until vtd_dmar_fault\nloadvm third\ninspect vcpu.waits\nrun-until vtd_dmar_fault\nreverse-until edu_dma\ncont\n',
    );
    const again = tsvmm(['replay', 'load.record']);

    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('test 12 twice');
    expect(again.status).toBe(1);
    expect(again.lines.filter((l) => l.startsWith('ok'))).toEqual(
      ran.lines.filter((l) => l.startsWith('ok')),
    );
  });

  test('what cannot be saved or loaded is said', () => {
    const ran = tsvmm(
      ['run', 'probe.wat', ...HOTPLUG, '--fuel', '2M', '-S', '--monitor', 'stdio', '--quiet'],
      'savevm nowhere/at/all\nloadvm third\nloadvm nothing\nsavevm never\ncont\n',
    );

    expect(ran.lines).toEqual([
      'Error: nowhere/at/all: there is no directory to put it in; make it first',
      'Error: third: is of another machine; load it into the machine it was saved from',
      "Error: nothing: there is no such snapshot; give a directory that 'snapshot save' made",
      'to be saved where the guest waits next',
      '',
    ]);
    expect(ran.stderr).toContain('Error: never is not saved: the guest ended before it waited\n');
    expect(existsSync(join(dir, 'never'))).toBe(false);
  });
});

describe('a record that cannot be replayed', () => {
  beforeAll(() => void tsvmm(['run', 'failing.wat', '--record', 'good.record']));

  function mended(name: string, change: (text: string) => string): string {
    writeFileSync(join(dir, name), change(readFileSync(join(dir, 'good.record'), 'utf8')));
    return name;
  }

  test('each kind of damage is one line and exit code 2', () => {
    const cut = mended('cut.record', (text) => text.slice(0, -20));
    const short = mended('short.record', (text) => text.slice(0, 300));
    const flipped = mended('flipped.record', (text) => text.replace('"status":3', '"status":0'));
    const newer = mended('newer.record', (text) => text.replace('"version":1', '"version":2'));
    const lost = mended('lost.record', (text) => text.split('\n').slice(1).join('\n'));
    writeFileSync(join(dir, 'empty.record'), '');
    writeFileSync(
      join(dir, 'noise.record'),
      Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 37) & 255)),
    );

    const why = (name: string) => {
      const { status, stderr } = tsvmm(['replay', name]);
      return [status, stderr];
    };
    const again = 'record the run again';
    const give = "give a file that '--record' made";
    expect(why(cut)).toEqual([2, `tsvmm: cut.record: is damaged: line 2 is cut off; ${again}\n`]);
    expect(why(short)).toEqual([2, `tsvmm: short.record: is damaged: line 1 is cut off; ${again}\n`]);
    expect(why(flipped)).toEqual([
      2,
      `tsvmm: flipped.record: is damaged: line 2 is not as it was written; ${again}\n`,
    ]);
    expect(why(newer)).toEqual([
      2,
      'tsvmm: newer.record: has format 2, and this tsvmm reads 1; replay it with the tsvmm that recorded it, or a newer one\n',
    ]);
    expect(why(lost)).toEqual([2, `tsvmm: lost.record: is no record of a run; ${give}\n`]);
    expect(why('empty.record')).toEqual([2, `tsvmm: empty.record: is no record of a run; ${give}\n`]);
    expect(why('noise.record')).toEqual([2, `tsvmm: noise.record: is no record of a run; ${give}\n`]);
    expect(why('.')).toEqual([2, `tsvmm: .: is no file; ${give}\n`]);
    expect(why('/dev/zero')).toEqual([2, `tsvmm: /dev/zero: is no file; ${give}\n`]);
    expect(why('no.record')).toEqual([2, `tsvmm: no.record: there is no such file; ${give}\n`]);
  });

  test('a replay leaves the report that the run itself would have left', () => {
    tsvmm(['run', '--example', 'stale-iotlb', '--record', 'rep.record', '--report', 'run.json', '--quiet']);

    const ran = tsvmm(['replay', 'rep.record', '--report', 'again.json', '--quiet']);

    const [was, is] = ['run.json', 'again.json'].map(
      (name) => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Record<string, unknown>,
    );
    expect(ran.stderr).toBe('');
    expect(is).toEqual(was);
  });

  test('one that was interrupted is replayed as far as it goes, and says so', async () => {
    const run = start(['run', 'probe.wat', ...HOTPLUG, '--record', 'int.record', '--qmp', 'unix:i.sock']);
    const client = await qmpAt('i.sock');
    await client.ask('device_del', { id: 'hot' });
    run.child.kill('SIGINT');
    await run.ended;

    const ran = tsvmm(['replay', 'int.record']);

    expect(ran.status).toBe(0);
    expect(ran.stderr).toMatch(
      /^tsvmm: int\.record was not recorded to its end: the run goes on alone from there\n/,
    );
    expect(readdirSync(dir).filter((name) => name.includes('.tmp'))).toEqual([]);
  });

  test.skipIf(!existsSync('/dev/full'))('a full disk is said, and leaves no half file', () => {
    const ran = tsvmm(['run', 'failing.wat', '--record', '/dev/full', '--quiet']);

    expect(ran.status).toBe(3);
    expect(ran.stderr).toBe(
      'tsvmm: /dev/full: the run cannot be recorded: the disk is full; choose another place\n',
    );
    expect(tsvmm(['run', 'failing.wat', '--record', 'no/such/dir', '--quiet'])).toMatchObject({
      status: 2,
      stderr:
        'tsvmm: no/such/dir: the run cannot be recorded: there is no such directory; choose another place\n',
    });
  });

  test('plugins are given, not brought, and have to be what they were', () => {
    const plugin = resolve('test/plugins/stamp.mjs');
    const ran = tsvmm(['run', 'failing.wat', '--plugin', plugin, '--record', 'plugin.record', '--quiet']);

    expect(ran.status).toBe(1);
    expect(tsvmm(['replay', 'plugin.record'])).toMatchObject({
      status: 2,
      stderr: `tsvmm: plugin.record: was recorded with the plugin '${plugin}'; give it with --plugin, as it was\n`,
    });
    expect(tsvmm(['replay', 'plugin.record', '--plugin', plugin]).status).toBe(1);
    expect(tsvmm(['replay', 'good.record', '--plugin', plugin])).toMatchObject({
      status: 2,
      stderr:
        'tsvmm: good.record: was recorded without some of these plugins; leave out --plugin for those\n',
    });
  });
});
