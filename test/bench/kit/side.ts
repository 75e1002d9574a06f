import { type ChildProcess, fork } from 'node:child_process';
import { type Contender, type Probe, timed } from './rounds.ts';

/**
 * Contenders of another model in a process of their own on the same CPU, so that neither side sees the other's kinds of
 * objects at its call sites. A bench file calls `side` first; in the child, which runs the same file, that never returns.
 */
export class Side {
  /** One of each contender, with its name. */
  readonly probes: readonly Probe[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, names: readonly string[]) {
    this.#child = child;
    this.probes = names.map((name) => this.#probe(name));
  }

  /** @param make what the other process measures */
  static async start(make: () => readonly Contender[]): Promise<Side> {
    if (process.env['BENCH_SIDE'] !== undefined) await serve(make());
    const child = fork(process.argv[1]!, { env: { ...process.env, BENCH_SIDE: '1' } });
    const names = await new Promise<readonly string[]>((ready) => child.once('message', ready));
    return new Side(child, names);
  }

  #probe(name: string): Probe {
    const child = this.#child;
    return {
      name,
      sample: () =>
        new Promise((done, failed) => {
          child.once('message', (answer: number | string) =>
            typeof answer === 'number' ? done(answer) : failed(new Error(answer)),
          );
          child.send(name);
        }),
    };
  }

  stop(): void {
    this.#child.kill();
  }
}

async function serve(contenders: readonly Contender[]): Promise<never> {
  const byName = new Map(contenders.map((c) => [c.name, c]));
  process.on('message', async (name: string) => {
    const contender = byName.get(name);
    process.send!(contender === undefined ? `no contender ${name}` : await timed(contender));
  });
  process.send!([...byName.keys()]);
  return new Promise(() => {});
}
