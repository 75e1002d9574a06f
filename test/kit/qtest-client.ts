/** A client as libqtest is one: listens on two sockets, starts the program by a shell, asks line by line. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Text of a socket, by line. */
class LineReader {
  readonly #waiting: ((line: string) => void)[] = [];
  readonly #lines: string[] = [];
  #rest = '';

  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (text) => {
      const parts = (this.#rest + text).split('\n');
      this.#rest = parts.pop()!;
      for (const part of parts) {
        const next = this.#waiting.shift();
        if (next === undefined) this.#lines.push(part);
        else next(part);
      }
    });
  }

  line(): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class QtestClient {
  readonly process: ChildProcess;
  readonly exit: Promise<Exit>;
  readonly #qtest: LineReader;
  readonly #qmp: LineReader;

  private constructor(process: ChildProcess, exit: Promise<Exit>, qtest: LineReader, qmp: LineReader) {
    this.process = process;
    this.exit = exit;
    this.#qtest = qtest;
    this.#qmp = qmp;
  }

  /** @throws Error with the program's stderr when it ends before it has connected */
  static async start(binary: string, ...args: readonly string[]): Promise<QtestClient> {
    const dir = mkdtempSync(join(tmpdir(), 'qtest-'));
    const path = join(dir, 'q.sock');
    const accepted = [path, `${path}.qmp`].map(listenOnce);
    const own = `-qtest unix:${path} -qtest-log /dev/null -chardev socket,path=${path}.qmp,id=char0 `;
    const more = '-mon chardev=char0,mode=control -display none -audio none -run-with exit-with-parent=on ';
    const line = `exec ${binary} ${own}${more}${args.join(' ')} -accel qtest`;
    const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    const exit = new Promise<Exit>((resolve) => {
      child.on('close', (code, signal) => {
        rmSync(dir, { recursive: true, force: true });
        resolve({ code, signal });
      });
    });
    const early = exit.then(({ code }) => {
      throw new Error(`ended with ${code}: ${errors}`);
    });
    early.catch(() => {});
    const [qtest, qmp] = await Promise.race([Promise.all(accepted), early]);
    return new QtestClient(child, exit, new LineReader(qtest!), new LineReader(qmp!));
  }

  /** What stands after OK. @throws Error for any other reply */
  async command(line: string): Promise<string> {
    this.#qtest.socket.write(`${line}\n`);
    const reply = await this.#qtest.line();
    if (!reply.startsWith('OK')) throw new Error(`${line}: ${reply}`);
    return reply.slice(3);
  }

  /** The next line that was not asked for, or the reply to what send() sent. */
  line(): Promise<string> {
    return this.#qtest.line();
  }

  send(text: string): void {
    this.#qtest.socket.write(text);
  }

  async read(address: number, size: 'l' | 'q'): Promise<bigint> {
    return BigInt(await this.command(`read${size} 0x${address.toString(16)}`));
  }

  async write(address: number, size: 'l' | 'q', value: bigint): Promise<void> {
    await this.command(`write${size} 0x${address.toString(16)} 0x${value.toString(16)}`);
  }

  /** The next message of the QMP socket. */
  async message(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.#qmp.line()) as Record<string, unknown>;
  }

  execute(name: string): void {
    this.#qmp.socket.write(`{"execute": "${name}"}\n`);
  }

  hangUp(): void {
    this.#qtest.socket.destroy();
    this.#qmp.socket.destroy();
  }

  terminate(): Promise<Exit> {
    this.process.kill('SIGTERM');
    return this.exit;
  }
}

function listenOnce(path: string): Promise<Socket> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close();
      resolve(socket);
    });
    server.listen(path);
    server.unref();
  });
}
