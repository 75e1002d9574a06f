import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../vmm/monitor/table.ts';
import { Chance, cut, qmpInput, qtestLine } from '../kit/malformed.ts';
import { copyOfCli } from '../kit/run-cli.ts';

const cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-malformed-'));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** Another one: TSVMM_SEED=N. */
const SEED = Number(process.env['TSVMM_SEED'] ?? 20_261);
/** What does not come by then was not answered. */
const PATIENCE_MS = 20_000;

let sockets = 0;

class Program {
  readonly process: ChildProcess;
  readonly exit: Promise<number | null>;
  stderr = '';

  constructor(...args: string[]) {
    this.process = spawn(process.execPath, [join(cli.directory, 'bin/tsvmm.js'), ...args], {
      cwd: dir,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    started.push(this.process);
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exit = new Promise((done) => this.process.once('close', done));
  }

  /** Ends it as its user would: a process that crashed before has another status. */
  async end(): Promise<{ status: number | null; stderr: string }> {
    this.process.kill('SIGTERM');
    return { status: await this.exit, stderr: this.stderr };
  }
}

const QEMU =
  '-M q35 -m 64 -device intel-iommu -device edu -device pcie-root-port,id=rp0,chassis=1,slot=1'.split(' ');

/** A machine without a guest that listens at two sockets. */
function qemu(): { program: Program; qtest: string; qmp: string } {
  const path = join(dir, `s${sockets++}`);
  const listen = (name: string) => `unix:${path}.${name},server=on,wait=off`;
  const program = new Program(
    'qemu',
    ...QEMU,
    '-qtest',
    listen('q'),
    '-qtest-log',
    'none',
    '-qmp',
    listen('m'),
  );
  return { program, qtest: `${path}.q`, qmp: `${path}.m` };
}

/** What a socket says, until something is there. */
class Peer {
  readonly socket: Socket;
  #text = '';
  #wake: () => void = () => {};
  #closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
  }

  /** Connects as soon as somebody listens. */
  static async open(path: string): Promise<Peer> {
    for (let tries = 0; ; tries++) {
      const socket = connect({ path, allowHalfOpen: true });
      const failure = await new Promise<Error | undefined>((done) => {
        socket.once('connect', () => done(undefined));
        socket.once('error', done);
      });
      if (failure === undefined) return new Peer(socket);
      if (tries > 500) throw failure;
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  static async negotiated(path: string): Promise<Peer> {
    const peer = await Peer.open(path);
    peer.socket.write('{"execute":"qmp_capabilities","id":"first"}');
    await peer.until(/"id":"first".*\r\n/, 'the negotiation');
    return peer;
  }

  async write(pieces: readonly Buffer[]): Promise<void> {
    for (const piece of pieces) {
      if (!this.socket.write(piece)) await new Promise((done) => this.socket.once('drain', done));
      else await new Promise((done) => setImmediate(done));
    }
  }

  /** All that has come up to the end of the match. @throws Error when it does not come */
  async until(pattern: RegExp, what: string): Promise<string> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match !== null) {
        const taken = this.#text.slice(0, match.index + match[0].length);
        this.#text = this.#text.slice(taken.length);
        return taken;
      }
      if (this.#closed || Date.now() >= end)
        throw new Error(`no answer to ${what}; came: ${this.#text.slice(0, 300)}`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  /** So many lines that are replies. */
  async replies(count: number, what: string): Promise<string[]> {
    const found: string[] = [];
    while (found.length < count) {
      const line = (await this.until(/^[^\n]*\n/, `${what} (${found.length} of ${count} came)`)).slice(0, -1);
      if (!line.startsWith('IRQ ')) found.push(line);
    }
    return found;
  }
}

function shown(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 300).toString('latin1'));
}

describe(`seed ${SEED}`, () => {
  test('1,000 malformed qtest lines, cut at random: one reply each, and the machine still answers', async () => {
    const { program, qtest } = qemu();
    const peer = await Peer.open(qtest);
    const chance = new Chance(SEED);

    for (let i = 0; i < 1000; i++) {
      const line = qtestLine(chance);
      const bytes = Buffer.concat([line, Buffer.from(`\nwritel 0x2000 ${i}\nreadl 0x2000\n`)]);
      await peer.write(cut(chance, bytes));
      const [first, ...rest] = await peer.replies(line.length === 0 ? 2 : 3, `${i}: ${shown(line)}`);
      const last = line.length === 0 ? [first, ...rest] : rest;
      expect(last, shown(line)).toEqual(['OK', `OK 0x${i.toString(16).padStart(16, '0')}`]);
      expect(first).toMatch(/^(OK|FAIL|ERR)\b/);
    }

    expect(await program.end()).toEqual({ status: 0, stderr: '' });
  }, 120_000);

  test('a qtest line longer than any command is refused when it ends', async () => {
    const { program, qtest } = qemu();
    const peer = await Peer.open(qtest);

    const piece = Buffer.alloc(1 << 20, 'a');
    await peer.write(Array.from({ length: 130 }, () => piece));
    await peer.write([Buffer.from('\nendianness\n')]);

    expect(await peer.replies(2, 'a long line')).toEqual([
      'FAIL a line has more than 134221824 bytes',
      'OK little',
    ]);
    expect(await program.end()).toEqual({ status: 0, stderr: '' });
  });

  const NAMES = COMMANDS.map((command) => command.name).filter((name) => name !== 'quit');

  /** Each is followed by 0xFF, after which a message begins whatever came before, and a command that must be answered. */
  async function qmpInputs(peer: Peer, chance: Chance, count: number, name: string): Promise<number> {
    let errors = 0;
    for (let i = 0; i < count; i++) {
      const input = qmpInput(chance, NAMES);
      const id = `${name} ${i}`;
      const marker = Buffer.concat([
        Buffer.of(0xff),
        Buffer.from(`{"execute":"query-version","id":"${id}"}`),
      ]);
      await peer.write(cut(chance, Buffer.concat([input, marker])));
      const answer = await peer.until(new RegExp(`"id":"${id}"\\}\r\n`), `${i}: ${shown(input)}`);
      const messages = answer
        .trim()
        .split('\r\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(messages.at(-1), shown(input)).toHaveProperty('return.qemu');
      const answered = messages.filter((m) => Object.hasOwn(m, 'return') || Object.hasOwn(m, 'error'));
      // The input, or the part of it before 0xFF, and the command.
      expect(answered.length, `${shown(input)}: ${answer.slice(0, 300)}`).toBeGreaterThan(1);
      errors += answered.filter((m) => Object.hasOwn(m, 'error')).length;
    }
    return errors;
  }

  test('a QMP message that is too long is refused at once, and dropped up to its end', async () => {
    const { program, qmp } = qemu();
    const peer = await Peer.negotiated(qmp);
    const piece = Buffer.alloc(1 << 20, 'a');

    peer.socket.write('{"execute":"query-status","id":"');
    await peer.write(Array.from({ length: 20 }, () => piece));
    await peer.until(/message is too long"\}\}\r\n/, 'the long message');
    peer.socket.write('"}{"execute":"query-status","id":1}');

    expect(await peer.until(/.*\r\n/, 'the next one')).toBe(
      '{"return":{"running":true,"status":"running"},"id":1}\r\n',
    );
    expect(await program.end()).toEqual({ status: 0, stderr: '' });
  });

  test('1,000 malformed QMP inputs, cut at random: each is answered, and so is the command behind it', async () => {
    const { program, qmp } = qemu();
    const peer = await Peer.negotiated(qmp);

    expect(await qmpInputs(peer, new Chance(SEED), 1000, 'one')).toBeGreaterThan(1000);
    expect(await program.end()).toMatchObject({ status: 0 });
  }, 120_000);

  test('20 QMP clients at once, others that leave in the middle of a command, and a qtest client', async () => {
    const { program, qtest, qmp } = qemu();
    const chance = new Chance(SEED + 1);
    const q = await Peer.open(qtest);
    const leave = async (path: string, text: string) => {
      const peer = await Peer.open(path);
      peer.socket.write(text.slice(0, 1 + chance.below(text.length)));
      if (chance.below(2) === 0) peer.socket.destroy();
      else peer.socket.end();
    };
    const clients = Array.from({ length: 20 }, async (_, n) => {
      await leave(qmp, '{"execute":"qmp_capabilities"}{"execute":"query-qmp-schema"}');
      await leave(qtest, 'readl 0xfed90000\nwrite 0x1000 4 0x12345678\nread 0x1000 4');
      const peer = await Peer.negotiated(qmp);
      await qmpInputs(peer, new Chance(SEED + n), 10, `client ${n}`);
      await leave(qmp, '{"execute":"qmp_capabilities"}{"execute":"system_reset"}');
    });
    await Promise.all(clients);
    q.socket.write('endianness\n');

    expect(await q.replies(1, 'endianness')).toEqual(['OK little']);
    expect(await program.end()).toMatchObject({ status: 0 });
  }, 120_000);

  test('a client that has said all it has to say still gets its answers', async () => {
    const { program, qtest, qmp } = qemu();
    const q = await Peer.open(qtest);
    const m = await Peer.open(qmp);
    q.socket.end('readl 0xfed90000\nendianness\n');
    m.socket.end(`{'execute':'qmp_capabilities'}{'execute':'query-commands','id':7}`);

    expect(await q.replies(2, 'two commands')).toEqual(['OK 0x0000000000000010', 'OK little']);
    await m.until(/"id":7\}\r\n/, 'query-commands');
    expect(await program.end()).toEqual({ status: 0, stderr: '' });
  });

  test('a QMP client that asks and does not read stops being heard, and nobody else is kept waiting', async () => {
    const { program, qmp } = qemu();
    const deaf = await Peer.negotiated(qmp);
    deaf.socket.pause();
    for (let i = 0; i < 200; i++) deaf.socket.write(`{"execute":"query-qmp-schema","id":${i}}`);
    const other = await Peer.negotiated(qmp);
    other.socket.write('{"execute":"query-status","id":"other"}');
    await other.until(/"id":"other"/, 'query-status');
    deaf.socket.resume();

    await deaf.until(/"id":199\}\r\n/, 'the last of 200');
    expect(await program.end()).toEqual({ status: 0, stderr: '' });
  }, 60_000);

  test('a held guest: 300 malformed QMP inputs, 300 lines of the text monitor', async () => {
    writeFileSync(
      join(dir, 'spin.wat'),
      '(module (memory 1) (func (export "main") (result i32) (i32.const 0)))',
    );
    const path = join(dir, `s${sockets++}`);
    const program = new Program(
      ...['run', 'spin.wat', '-S', '--quiet', '--viommu', 'intel', '--device', 'edu'],
      ...['--qmp', `unix:${path}.m`, '--monitor', `unix:${path}.t`],
    );
    const text = await Peer.open(`${path}.t`);
    await text.until(/\(tsvmm\) /, 'the connection');
    const chance = new Chance(SEED);
    for (let i = 0; i < 300; i++) {
      const line = textLine(chance);
      await text.write(cut(chance, Buffer.concat([line, Buffer.from('\n')])));
      await text.until(/\(tsvmm\) /, shown(line));
    }
    text.socket.write('x/1xw 0x1000\n');
    expect(await text.until(/\(tsvmm\) /, 'x')).toContain('0000000000001000: 0x00000000');
    text.socket.destroy();

    const names = NAMES.filter(
      (name) => !/^(cont|system_reset|x-tsvmm-(step|run-until|reverse.*))$/.test(name),
    );
    const peer = await Peer.negotiated(`${path}.m`);
    for (let i = 0; i < 300; i++) {
      const input = qmpInput(chance, names);
      await peer.write(cut(chance, Buffer.concat([input, Buffer.of(0xff)])));
      peer.socket.write(`{"execute":"query-version","id":${i}}`);
      await peer.until(new RegExp(`"id":${i}\\}\r\n`), `${i}: ${shown(input)}`);
    }
    peer.socket.write('{"execute":"quit"}');

    expect(await program.exit).toBe(0);
    expect(program.stderr).not.toContain('internal error');
  }, 120_000);
});

const TEXT_WORDS = [
  ...[
    'info',
    'x',
    'x/',
    'x/4xw',
    'x/99999999999xg',
    'x/4i',
    'xlate',
    'inspect',
    'device_add',
    'device_del',
    'help',
    '?',
  ],
  ...[
    'trace-event',
    'pmemsave',
    'savevm',
    'loadvm',
    'qom-list',
    'memsave',
    '--json',
    '--json --json',
    'qu it',
    'infopci',
  ],
];
const TEXT_ARGUMENTS = [
  ...[
    'pci',
    'mtree',
    'iommu',
    'pasid',
    'iotlb',
    'queues',
    'faults',
    'irq',
    'limits',
    'trace',
    'jobs',
    '--json',
    'edu0',
  ],
  ...[
    '0x1000',
    '00:01.0',
    'ff:1f.7',
    '0xfed90000',
    'edu,',
    'edu,id=,x',
    ',',
    '=',
    '"',
    '""',
    'a.b.c',
    'edu0.regs',
    '..',
  ],
  ...[
    'pasid=',
    'pasid=1048576',
    'pasid=-1',
    'r',
    'w',
    'x',
    '*',
    'vtd_*',
    '[',
    '(',
    '\\',
    'on',
    'off',
    '/dev/null/x',
  ],
];

function textLine(chance: Chance): Buffer {
  if (chance.below(6) === 0) return Buffer.from(chance.bytes(100).filter((b) => b !== 10));
  if (chance.below(30) === 0) return Buffer.from('inspect '.repeat(1 + chance.below(20_000)));
  const words = [chance.one(TEXT_WORDS), ...chance.many(4, () => chance.one(TEXT_ARGUMENTS))];
  return Buffer.from(words.join(chance.one([' ', '  ', '\t'])));
}
