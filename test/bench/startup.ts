/**
 * From process start to the first guest instruction: a guest that returns at once, so that its process is start-up and
 * exit and nothing else, against a Node process that runs an empty script.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, type Probe, rounds, roundsWanted } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const NS_PER_MS = 1e6;
const ROUNDS = Math.max(21, roundsWanted());
/** Each compiles a C file with nothing cached. */
const COLD_ROUNDS = 5;
/** (module (memory (export "memory") 1) (func (export "main") (result i32) i32.const 0)) */
const RETURN_ZERO = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x05, 0x03, 0x01, 0x00, 0x01],
  ...[0x07, 0x11, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00],
  ...[0x04, 0x6d, 0x61, 0x69, 0x6e, 0x00, 0x00],
  ...[0x0a, 0x06, 0x01, 0x04, 0x00, 0x41, 0x00, 0x0b],
);

const root = process.env['BENCH_ROOT'] ?? process.cwd();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
const tsvmm = join(root, 'bin/tsvmm.js');

/** Reading an extra certificate file takes Node twice as long as all the rest of its start. */
function environment(cache: string): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: _options, ...env } = process.env;
  return { ...env, TSVMM_CACHE_DIR: cache };
}

function spawn(args: readonly string[], cache: string): number {
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, args, {
    env: environment(cache),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ns = Number(process.hrtime.bigint() - start);
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with status ${status}: ${stderr}`);
  return ns / NS_PER_MS;
}

function probe(name: string, args: readonly string[]): Probe {
  return { name, sample: () => spawn(args, join(dir, 'warm')) };
}

async function main(): Promise<void> {
  const empty = join(dir, 'empty.cjs');
  const module = join(dir, 'zero.wasm');
  const source = join(dir, 'zero.c');
  const hello = join(dir, 'hello.wasm');
  writeFileSync(empty, '');
  writeFileSync(module, RETURN_ZERO);
  writeFileSync(source, '#include <stdio.h>\nint main(void) {\n  return 0;\n}\n');
  copyFileSync(join(root, 'guest/examples/hello/hello.wasm'), hello);
  const run = (file: string) => [tsvmm, 'run', '--quiet', file];
  const contenders = [
    probe('node empty.cjs', [empty]),
    probe('module', run(module)),
    probe('C guest with the SDK', run(hello)),
    probe('C file', run(source)),
  ];
  for (const { sample } of contenders) for (let i = 0; i < 3; i++) await sample();
  const times = await rounds(contenders, ROUNDS);
  const base = { name: 'node empty.cjs', values: times['node empty.cjs']! };
  const limit = { text: '<= 1.5x of an empty Node script', ratio: 1.5 };
  compare('tsvmm run GUEST.wasm, warm, to exit', 'ms', times['module']!, base, limit);
  compare(
    'tsvmm run HELLO.wasm (SDK, prints), warm, to exit',
    'ms',
    times['C guest with the SDK']!,
    base,
    limit,
  );
  compare('tsvmm run FILE.c, warm cache, to exit', 'ms', times['C file']!, base, limit);
  const cold: number[] = [];
  for (let i = 0; i < COLD_ROUNDS; i++) {
    const cache = join(dir, `cold-${i}`);
    mkdirSync(cache);
    cold.push(spawn(run(source), cache));
  }
  figure('tsvmm run FILE.c, empty cache, to exit', 'ms', cold, { text: '<= 3 s', value: 3000 });
  if (median(cold) > 3000) console.error('cold start is slow: is dist/ built (npm run build)?');
  finish();
}

try {
  await main();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
