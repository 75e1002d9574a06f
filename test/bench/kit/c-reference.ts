import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { benchDir } from './cc.ts';

const FLAGS = ['-O3', '-march=native', '-std=gnu11'];

/** A C program compiled now by the system's compiler; it answers each line with one number. */
export class CReference {
  readonly #child: ChildProcess;
  readonly #dir: string;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, dir: string) {
    this.#child = child;
    this.#dir = dir;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** Undefined where there is no C compiler. */
  static start(name: string): CReference | undefined {
    const dir = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
    const program = join(dir, name);
    try {
      execFileSync('cc', [...FLAGS, '-o', program, join(benchDir(), `${name}.c`)], { stdio: 'pipe' });
    } catch (error) {
      rmSync(dir, { recursive: true });
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return new CReference(spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] }), dir);
  }

  async ask(line: string): Promise<number> {
    this.#child.stdin!.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the C program has ended');
    return Number(value);
  }

  stop(): void {
    this.#child.stdin!.end();
    rmSync(this.#dir, { recursive: true });
  }
}
