import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BIOS_BYTES = 65536;
/** Code at the reset vector that halts the processor: `cli; hlt; jmp` back, and `wfi; b` back. */
const HALTS = {
  x86: { at: BIOS_BYTES - 16, code: [0xfa, 0xf4, 0xeb, 0xfc] },
  arm64: { at: 0, code: [0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17] },
} as const;

export type Processor = keyof typeof HALTS;

/** Bytes of one `b64write` line. */
const CHUNK = 32768;
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;

/**
 * A QEMU whose processor halts at the reset vector, driven through its qtest socket (QEMU documentation: QTest Device
 * Emulation Testing Framework).
 */
export class Qtest {
  readonly #child: ChildProcess;
  readonly #dir: string;
  readonly #server: Server;
  readonly #socket: Socket;
  #received = '';
  #answer: ((line: string) => void) | undefined;

  private constructor(child: ChildProcess, dir: string, server: Server, socket: Socket) {
    this.#child = child;
    this.#dir = dir;
    this.#server = server;
    this.#socket = socket;
    socket.on('data', (data) => this.#data(data.toString()));
  }

  static async start(binary: string, args: readonly string[], processor: Processor = 'x86'): Promise<Qtest> {
    const dir = mkdtempSync(join(tmpdir(), 'tsvmm-qemu-'));
    const bios = join(dir, 'halt.bin');
    writeFileSync(bios, haltingBios(processor));
    return Qtest.launch([binary, '-nodefaults', '-accel', 'tcg', '-bios', bios, ...args], dir);
  }

  /** Any program that takes QEMU's options; it connects to a socket in `dir`, which goes with it. */
  static async launch(
    [command, ...args]: readonly [string, ...string[]],
    dir = mkdtempSync(join(tmpdir(), 'tsvmm-qtest-')),
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<Qtest> {
    const path = join(dir, 'qtest');
    const server = createServer();
    await new Promise<void>((done) => server.listen(path, done));
    const common = ['-display', 'none', '-qtest', `unix:${path}`, '-qtest-log', 'none'];
    const child = spawn(command, [...args, ...common], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    const socket = await new Promise<Socket>((connected, failed) => {
      server.once('connection', connected);
      child.once('error', failed);
      child.once('exit', (code) => failed(new Error(`${command} ended with status ${code}`)));
    });
    return new Qtest(child, dir, server, socket);
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGKILL');
    await ended;
    this.#socket.destroy();
    this.#server.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Time on a CPU of the main thread, in ns: exact while the thread sleeps. */
  cpuNs(): number {
    const { pid } = this.#child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]);
  }

  /** The main thread has nothing to do: it is not waiting for a CPU either. */
  asleep(): boolean {
    const { pid } = this.#child;
    const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('S');
  }

  async write32(address: number, value: number): Promise<void> {
    await this.ask(`writel 0x${address.toString(16)} 0x${(value >>> 0).toString(16)}`);
  }

  async read32(address: number): Promise<number> {
    return Number(await this.ask(`readl 0x${address.toString(16)}`));
  }

  async write(address: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      const part = Buffer.from(bytes.subarray(at, at + CHUNK));
      const where = `0x${(address + at).toString(16)} 0x${part.length.toString(16)}`;
      await this.ask(`b64write ${where} ${part.toString('base64')}`);
    }
  }

  async config(bdf: number, offset: number, value: number): Promise<void> {
    await this.ask(
      `outl 0x${CONFIG_ADDRESS.toString(16)} 0x${(0x80000000 + bdf * 256 + offset).toString(16)}`,
    );
    await this.ask(`outl 0x${CONFIG_DATA.toString(16)} 0x${(value >>> 0).toString(16)}`);
  }

  /** What stands after OK. @throws Error for any other reply */
  async ask(line: string): Promise<string> {
    const answer = new Promise<string>((done) => {
      this.#answer = done;
    });
    this.#socket.write(`${line}\n`);
    const text = await answer;
    if (!text.startsWith('OK')) throw new Error(`qtest: '${line.slice(0, 40)}' was answered '${text}'`);
    return text.slice(3);
  }

  #data(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf('\n');
    if (end < 0) return;
    const line = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + 1);
    this.#answer?.(line);
  }
}

function haltingBios(processor: Processor): Uint8Array {
  const bios = new Uint8Array(BIOS_BYTES);
  const { at, code } = HALTS[processor];
  bios.set(code, at);
  return bios;
}
