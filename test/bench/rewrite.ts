/**
 * What rewriting costs: each loop unrewritten, rewritten, and rewritten with exact fuel, interleaved in one process; a
 * trapped register access against a bare import call; the rewriter's own speed.
 *
 *     npx esbuild test/bench/rewrite.ts --bundle --platform=node --format=esm | node --input-type=module
 *
 * The loops are rewrite-loops.c, compiled by the system's clang where there is one, else the committed module.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { type RewriteOptions, rewrite, slowPathImports } from '../../vmm/vcpu/rewrite/index.ts';
import type { SlowPath } from '../../vmm/vcpu/rewrite/slow-path.ts';

const LOOPS = ['memcpy64', 'memcpy8', 'ptbuild', 'crc32', 'qsort', 'driver'] as const;
const ROUNDS = Number(process.env['ROUNDS'] ?? 11);
const QUANTUM = 1 << 30;
const layout = hiddenLayout(0, 16 << 20);
const here = process.env['BENCH_DIR'] ?? join(process.cwd(), 'test/bench');

type Loop = (repeat: number) => number;
type Exports = Record<string, Loop>;

function loopModule(): Uint8Array<ArrayBuffer> {
  const dir = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
  try {
    const out = join(dir, 'loops.wasm');
    const flags = [
      '--target=wasm32',
      '-O2',
      '-nostdlib',
      '-fno-builtin',
      '-Wl,--no-entry',
      '-Wl,--export-all',
    ];
    execFileSync('clang', [...flags, '-o', out, join(here, 'rewrite-loops.c')], { stdio: 'ignore' });
    return new Uint8Array(readFileSync(out));
  } catch {
    console.log('no clang here: using the committed rewrite-loops.wasm');
    return new Uint8Array(readFileSync(join(here, 'rewrite-loops.wasm')));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const env = { bare: (_address: number, _offset: number) => 7 };

/** Registers that read 7; RAM that is all fast. */
function registers(instance: () => Exports): SlowPath {
  const never = (): never => {
    throw new Error('unexpected slow path');
  };
  const path: Partial<SlowPath> = {
    load32: (addr, off) => ((addr >>> 0) + (off >>> 0) === 0xfed90000 ? 7 : never()),
    load64: (addr, off) => ((addr >>> 0) + (off >>> 0) === 0xfed90008 ? 7 : never()),
    store32: (addr, off) => ((addr >>> 0) + (off >>> 0) === 0xfed90000 ? undefined : never()),
    safepoint: () => void instance()['tsvmm_set_fuel']!(QUANTUM),
  };
  return path as SlowPath;
}

function plain(wasm: Uint8Array<ArrayBuffer>): Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(wasm), { env }).exports as unknown as Exports;
}

function rewritten(wasm: Uint8Array, options: Omit<RewriteOptions, 'layout'>): Exports {
  const memory = new WebAssembly.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages });
  new Uint8Array(memory.buffer).fill(1, layout.flags, layout.flags + (layout.ramEnd >>> 12) - 1);
  const module = new WebAssembly.Module(rewrite(wasm, { layout, ...options }).wasm);
  const imports = {
    env,
    tsvmm_vm: slowPathImports(
      registers(() => exports),
      memory,
    ),
  };
  const exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
  exports['tsvmm_set_fuel']?.(QUANTUM);
  return exports;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

function time(loop: Loop, repeat: number): number {
  const start = process.hrtime.bigint();
  loop(repeat);
  return Number(process.hrtime.bigint() - start);
}

/** Repeats for about 20 ms. */
function calibrate(loop: Loop): number {
  let repeat = 1;
  for (let i = 0; i < 20; i++) loop(1);
  while (time(loop, repeat) < 2e7) repeat *= 2;
  return repeat;
}

/** ns per repeat of the first variant; of the others that times the median of their ratios to it, round by round. */
function measure(variants: readonly Exports[], name: string): number[] {
  const loops = variants.map((v) => v[name]!);
  const repeat = calibrate(loops[0]!);
  for (const loop of loops) time(loop, repeat);
  const times = loops.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, loop] of loops.entries()) times[i]!.push(time(loop, repeat));
  }
  const first = times[0]!.slice();
  const base = median(first.slice()) / repeat;
  return times.map((t) => base * median(t.map((ns, round) => ns / first[round]!)));
}

function geomean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

function loopTable(wasm: Uint8Array<ArrayBuffer>): void {
  const names = ['off', 'exact', 'off, no hints', 'exact, no hints'];
  const variants = [
    plain(wasm),
    rewritten(wasm, { fuel: 'off' }),
    rewritten(wasm, { fuel: 'exact' }),
    rewritten(wasm, { fuel: 'off', branchHints: false }),
    rewritten(wasm, { fuel: 'exact', branchHints: false }),
  ];
  const ratios: number[][] = names.map(() => []);
  console.log(`time relative to the unrewritten module; fuel: ${names.join(' | ')}`);
  for (const name of LOOPS) {
    const [base, ...others] = measure(variants, name);
    for (const [i, t] of others.entries()) ratios[i]!.push(t / base!);
    console.log(`${name.padEnd(10)} ${others.map((t) => (t / base!).toFixed(2).padStart(6)).join(' ')}`);
  }
  console.log(`${'geomean'.padEnd(10)} ${ratios.map((r) => geomean(r).toFixed(2).padStart(6)).join(' ')}`);
  for (const name of ['mmio', 'mmio64', 'mmio_store']) {
    const times = measure(
      [{ x: variants[0]!['bare_call']! }, { x: variants[1]![name]! }, { x: variants[2]![name]! }],
      'x',
    );
    const ns = times.map((t) => t.toFixed(1));
    const ratio = times.slice(1).map((t) => (t / times[0]!).toFixed(2));
    console.log(
      `${name}: bare import call ${ns[0]} ns; trapped ${ns[1]} ns (${ratio[0]}x), with fuel ${ns[2]} ns (${ratio[1]}x)`,
    );
  }
}

function speed(file: string): void {
  const wasm = new Uint8Array(readFileSync(file));
  const big = hiddenLayout(0, 1 << 30);
  for (const fuel of ['off', 'exact'] as const) {
    const start = process.hrtime.bigint();
    const result = rewrite(wasm, { layout: big, fuel });
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    console.log(
      `${file}: fuel ${fuel}: ${(wasm.length / 1e6 / seconds).toFixed(1)} MB/s, ${(result.wasm.length / wasm.length).toFixed(2)}x size`,
    );
  }
}

setFlagsFromString('--experimental-wasm-branch-hinting');
loopTable(loopModule());
for (const file of process.argv.slice(2)) speed(file);
