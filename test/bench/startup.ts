/**
 * From process start to the first guest instruction, against a Node process that runs an empty script: a guest whose first
 * act is to write to its console, and the time at which that arrives here. And to the end of the process.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, type Probe, rounds, roundsWanted } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const NS_PER_MS = 1e6;
const ROUNDS = Math.max(21, roundsWanted());
/** Each compiles a C file with nothing cached. */
const COLD_ROUNDS = 5;
/**
 * (module
 *   (import "tsvmm" "console_write" (func $write (param i32 i32)))
 *   (memory (export "memory") 1)
 *   (data (i32.const 1024) "!\n")
 *   (func (export "main") (result i32) (call $write (i32.const 1024) (i32.const 2)) (i32.const 0)))
 */
const SAY = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x0a, 0x02, 0x60, 0x02, 0x7f, 0x7f, 0x00, 0x60, 0x00, 0x01, 0x7f],
  ...[0x02, 0x17, 0x01, 0x05, 0x74, 0x73, 0x76, 0x6d, 0x6d],
  ...[0x0d, 0x63, 0x6f, 0x6e, 0x73, 0x6f, 0x6c, 0x65, 0x5f, 0x77, 0x72, 0x69, 0x74, 0x65, 0x00, 0x00],
  ...[0x03, 0x02, 0x01, 0x01],
  ...[0x05, 0x03, 0x01, 0x00, 0x01],
  ...[0x07, 0x11, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00],
  ...[0x04, 0x6d, 0x61, 0x69, 0x6e, 0x00, 0x01],
  ...[0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x41, 0x80, 0x08, 0x41, 0x02, 0x10, 0x00, 0x41, 0x00, 0x0b],
  ...[0x0b, 0x09, 0x01, 0x00, 0x41, 0x80, 0x08, 0x0b, 0x02, 0x21, 0x0a],
);

const root = process.env['BENCH_ROOT'] ?? process.cwd();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
const tsvmm = join(root, 'bin/tsvmm.js');

/** Reading an extra certificate file takes Node twice as long as all the rest of its start. */
function environment(cache: string): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...env } = process.env;
  return { ...env, TSVMM_CACHE_DIR: cache };
}

interface Times {
  /** To the first byte of output; undefined where there is none. */
  readonly first: number | undefined;
  readonly exit: number;
}

async function start(args: readonly string[], cache: string): Promise<Times> {
  const began = process.hrtime.bigint();
  const since = () => Number(process.hrtime.bigint() - began) / NS_PER_MS;
  const child = spawn(process.execPath, args, {
    env: environment(cache),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let first: number | undefined;
  child.stdout.on('data', () => {
    first ??= since();
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  const exit = since();
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with status ${status}`);
  return { first, exit };
}

/** Two rows of each: to the first output, where there is any, and to the end. */
class Start {
  /** By the time to the end of the same process, which the rounds keep. */
  readonly firsts = new Map<number, number>();
  readonly probe: Probe;

  constructor(name: string, args: readonly string[]) {
    this.probe = {
      name,
      sample: async () => {
        const { first, exit } = await start(args, join(dir, 'warm'));
        if (first !== undefined) this.firsts.set(exit, first);
        return exit;
      },
    };
  }
}

async function main(): Promise<void> {
  const empty = join(dir, 'empty.cjs');
  const module = join(dir, 'say.wasm');
  const source = join(dir, 'say.c');
  const hello = join(dir, 'hello.wasm');
  writeFileSync(empty, '');
  writeFileSync(module, SAY);
  writeFileSync(source, '#include <stdio.h>\nint main(void) {\n  puts("!");\n  return 0;\n}\n');
  copyFileSync(join(root, 'guest/examples/hello/hello.wasm'), hello);
  const run = (file: string) => [tsvmm, 'run', '--quiet', file];
  const node = new Start('node empty.cjs', [empty]);
  const guests = [
    new Start('tsvmm run GUEST.wasm', run(module)),
    new Start('tsvmm run HELLO.wasm (SDK)', run(hello)),
    new Start('tsvmm run FILE.c', run(source)),
  ];
  const all = [node, ...guests];
  for (const { probe } of all) for (let i = 0; i < 3; i++) await probe.sample();
  const times = await rounds(
    all.map(({ probe }) => probe),
    ROUNDS,
  );
  const base = { name: 'node empty.cjs', values: times['node empty.cjs']! };
  const limit = { text: '<= 1.5x of an empty Node script', ratio: 1.5 };
  for (const { probe, firsts } of guests) {
    const exits = times[probe.name]!;
    const toFirst = exits.map((exit) => firsts.get(exit)!);
    compare(`${probe.name}, warm, to its first output`, 'ms', toFirst, base, limit);
    compare(`${probe.name}, warm, to exit`, 'ms', exits, base);
  }
  const cold: number[] = [];
  for (let i = 0; i < COLD_ROUNDS; i++) {
    const cache = join(dir, `cold-${i}`);
    mkdirSync(cache);
    cold.push((await start(run(source), cache)).first ?? Number.POSITIVE_INFINITY);
  }
  figure('tsvmm run FILE.c, empty cache, to its first output', 'ms', cold, { text: '<= 3 s', value: 3000 });
  if (median(cold) > 3000) console.error('cold start is slow: is dist/ built (npm run build)?');
  finish();
}

try {
  await main();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
