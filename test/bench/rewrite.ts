/**
 * What rewriting costs: each loop of rewrite-loops.c as the compiler made it, and rewritten: as guests run it (branch
 * hints, exact fuel), without fuel, and without hints.
 */
import { setFlagsFromString } from 'node:v8';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { type RewriteOptions, rewrite, slowPathImports } from '../../vmm/vcpu/rewrite/index.ts';
import type { SlowPath } from '../../vmm/vcpu/rewrite/slow-path.ts';
import { benchModule } from './kit/cc.ts';
import { type Contender, geomean, ratioOf, rounds, roundsWanted } from './kit/rounds.ts';
import { compare, finish, report } from './kit/row.ts';

const LOOPS = ['memcpy64', 'memcpy8', 'ptbuild', 'crc32', 'qsort', 'driver'] as const;
const VARIANTS = {
  'branch hints, fuel exact (as guests run)': { fuel: 'exact' },
  'branch hints, no fuel': { fuel: 'off' },
  'no hints, fuel exact': { fuel: 'exact', branchHints: false },
} as const satisfies Record<string, Omit<RewriteOptions, 'layout'>>;
const QUANTUM = 1 << 30;
const CALL_NS = 4e6;
const layout = hiddenLayout(0, 16 << 20);
const env = { bare: () => 7 };

type Loop = (repeat: number) => number;
type Exports = Record<string, Loop>;

/** All of RAM is fast, so that only running out of fuel comes here. */
function slowPath(exports: () => Exports): SlowPath {
  return { safepoint: () => void exports()['tsvmm_set_fuel']!(QUANTUM) } as Partial<SlowPath> as SlowPath;
}

function plain(wasm: Uint8Array<ArrayBuffer>): Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(wasm), { env }).exports as unknown as Exports;
}

function rewritten(wasm: Uint8Array, options: Omit<RewriteOptions, 'layout'>): Exports {
  const memory = new WebAssembly.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages });
  new Uint8Array(memory.buffer).fill(1, layout.flags, layout.flags + (layout.ramEnd >>> 12) - 1);
  const module = new WebAssembly.Module(rewrite(wasm, { layout, ...options }).wasm);
  const imports = slowPathImports(
    slowPath(() => exports),
    memory,
  );
  const exports = new WebAssembly.Instance(module, { env, tsvmm_vm: imports }).exports as unknown as Exports;
  exports['tsvmm_set_fuel']?.(QUANTUM);
  return exports;
}

/** Repeats of a loop that take about CALL_NS. */
function calibrate(loop: Loop): number {
  for (let i = 0; i < 20; i++) loop(1);
  for (let repeat = 1; ; repeat *= 2) {
    const start = process.hrtime.bigint();
    loop(repeat);
    if (process.hrtime.bigint() - start > CALL_NS) return repeat;
  }
}

async function main(): Promise<void> {
  const wasm = benchModule('rewrite-loops');
  const modules = new Map<string, Exports>([['unrewritten', plain(wasm)]]);
  for (const [name, options] of Object.entries(VARIANTS)) modules.set(name, rewritten(wasm, options));
  const ratios = new Map<string, { medians: number[]; minima: number[] }>();
  for (const loop of LOOPS) {
    const operations = calibrate(modules.get('unrewritten')![loop]!);
    const contenders = [...modules].map(
      ([name, exports]): Contender => ({ name, operations, run: () => exports[loop]!(operations) }),
    );
    const times = await rounds(contenders, Math.max(5, roundsWanted()));
    const base = times['unrewritten']!;
    for (const name of Object.keys(VARIANTS)) {
      const list = ratios.get(name) ?? { medians: [], minima: [] };
      list.medians.push(ratioOf(times[name]!, base));
      list.minima.push(Math.min(...times[name]!) / Math.min(...base));
      ratios.set(name, list);
    }
    const name = Object.keys(VARIANTS)[0]!;
    compare(`rewritten ${loop}`, 'ns', times[name]!, { name: 'unrewritten', values: base });
  }
  for (const [name, { medians, minima }] of ratios) {
    const ratio = geomean(medians);
    const judged = name === Object.keys(VARIANTS)[0] ? { target: '<= 1.4x', met: ratio <= 1.4 } : {};
    report({
      what: `rewrite, geomean: ${name}`,
      unit: 'x',
      measured: ratio,
      minimum: geomean(minima),
      baseline: { name: 'unrewritten', median: 1, minimum: 1 },
      ratio,
      ratioOfMinima: geomean(minima),
      ...judged,
    });
  }
  finish();
}

setFlagsFromString('--experimental-wasm-branch-hinting');
await main();
