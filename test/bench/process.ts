/**
 * User processes: what the software MMU costs (the loops of rewrite-loops.c as the compiler made them, and rewritten for user mode
 * over scattered pages), a switch between two processes, a system call, and a page fault that the kernel resolves.
 */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig } from '../../vmm/machine/config.ts';
import { prepareGuest } from '../../vmm/machine/guest-module.ts';
import { Machine } from '../../vmm/machine/machine.ts';
import { Q35 } from '../../vmm/machine/platforms/q35-map.ts';
import { growLimitOf } from '../../vmm/machine/ram-plan.ts';
import { Session } from '../../vmm/machine/session.ts';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { asyncifyModule } from '../../vmm/vcpu/asyncify/asyncify.ts';
import { openCache } from '../../vmm/vcpu/cache/disk-cache.ts';
import { Mmu } from '../../vmm/vcpu/process/mmu.ts';
import { Tlb } from '../../vmm/vcpu/process/tlb.ts';
import { UserPath } from '../../vmm/vcpu/process/user-path.ts';
import { X86Walker } from '../../vmm/vcpu/process/x86-walk.ts';
import { type RewriteResult, rewrite } from '../../vmm/vcpu/rewrite/index.ts';
import { MMU_UNWINDING, mmuPathImports } from '../../vmm/vcpu/rewrite/mmu-path.ts';
import { benchDir, benchModule } from './kit/cc.ts';
import { type Contender, geomean, ratioOf, rounds, roundsWanted } from './kit/rounds.ts';
import { compare, finish, report } from './kit/row.ts';

const LOOPS = ['memcpy64', 'memcpy8', 'ptbuild', 'crc32', 'qsort', 'driver'] as const;
const QUANTUM = 1 << 30;
const CALL_NS = 1e6;
const RAM = 16 << 20;
const TABLES = 0x1000;
const PAGES = RAM / 2 / 4096;

type Loop = (repeat: number) => number;
type Exports = Record<string, Loop>;

function plain(wasm: Uint8Array<ArrayBuffer>): Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports as unknown as Exports;
}

/** Half of RAM as the user's pages, in an order without system; tables and nothing else in the other. */
function mapScattered(ram: GuestRam): void {
  const entry = (table: number, index: number, to: number): void => {
    ram.u32[(table >>> 2) + index * 2] = to | 7;
  };
  entry(TABLES, 0, TABLES + 0x1000);
  entry(TABLES + 0x1000, 0, TABLES + 0x2000);
  for (let page = 0; page < PAGES; page++) {
    const leaf = TABLES + 0x3000 + (page >>> 9) * 0x1000;
    entry(TABLES + 0x2000, page >>> 9, leaf);
    entry(leaf, page & 511, (PAGES + ((page * 1237) & (PAGES - 1))) * 4096);
  }
}

/** What is done to a rewritten program before it runs. */
type Prepare = (result: RewriteResult) => Promise<RewriteResult>;

async function user(
  wasm: Uint8Array<ArrayBuffer>,
  prepare: Prepare = (result) => Promise.resolve(result),
): Promise<Exports> {
  const ram = new GuestRam(0, RAM * 2, 0, true);
  mapScattered(ram);
  const mmu = new Mmu(ram, new X86Walker(ram));
  const never = (): never => {
    throw new Error('the loops touch mapped pages only');
  };
  const path = new UserPath(ram, new MmioBus(), mmu, {
    pageFault: never,
    kill: never,
    livelock: never,
    segment: never,
    afterAccess() {},
    resumed() {},
    safepoint: () => void exports['tsvmm_set_fuel']!(QUANTUM),
    bulkDone: 0,
  });
  mmu.switchTo({ tlb: new Tlb(), rootLo: TABLES, rootHi: 0, levels: 4 });
  const result = await prepare(rewrite(wasm, { layout: ram.layout, fuel: 'exact', userMode: true }));
  const imports = { tsvmm_vm: mmuPathImports(path, ram.memory) };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(result.wasm), imports);
  const exports = instance.exports as unknown as Exports;
  exports['tsvmm_set_fuel']!(QUANTUM);
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

/** Each loop in user mode against itself as the compiler made it; ratios of medians and of minima. */
async function loops(
  what: string,
  wasm: Uint8Array<ArrayBuffer>,
  exports: Exports,
): Promise<[number, number]> {
  const modules = { unrewritten: plain(wasm), user: exports };
  const ratios: number[] = [];
  const minima: number[] = [];
  for (const loop of LOOPS) {
    const operations = calibrate(modules.unrewritten[loop]!);
    const contenders = Object.entries(modules).map(
      ([name, module]): Contender => ({
        name,
        operations,
        run: () => module[loop]!(operations),
        fastest: true,
      }),
    );
    const times = await rounds(contenders, Math.max(5, roundsWanted()));
    const [base, values] = [times['unrewritten']!, times['user']!];
    ratios.push(ratioOf(values, base));
    minima.push(Math.min(...values) / Math.min(...base));
    compare(`${what} ${loop}`, 'ns', values, { name: 'unrewritten', values: base });
  }
  return [geomean(ratios), geomean(minima)];
}

async function softwareMmu(): Promise<void> {
  const wasm = benchModule('rewrite-loops');
  const [ratio, ofMinima] = await loops('user mode', wasm, await user(wasm));
  reportMean('software MMU, geomean over the loops', ratio, ofMinima, {
    target: '<= 2.5x',
    met: ratio <= 2.5,
  });
}

async function suspendable(mode: string, points: readonly string[]): Promise<void> {
  const wasm = benchModule('rewrite-loops');
  const exports = await user(wasm, (result) => asyncifyModule(result, openCache(), () => {}, points));
  const [ratio, ofMinima] = await loops(mode, wasm, exports);
  reportMean(`software MMU, program built ${mode}, geomean`, ratio, ofMinima, {});
}

function reportMean(
  what: string,
  ratio: number,
  ratioOfMinima: number,
  judged: { readonly target?: string; readonly met?: boolean },
): void {
  const baseline = { name: 'unrewritten', median: 1, minimum: 1 };
  report({
    what,
    unit: 'x',
    measured: ratio,
    minimum: ratioOfMinima,
    baseline,
    ratio,
    ratioOfMinima,
    ...judged,
  });
}

/** 10,000 pages and their tables. */
const MEMORY = 128 << 20;

/** Host time of a run of process-kernel.c that does `count` times what it is named for. */
async function timeOf(kind: string, count: number): Promise<number> {
  const registry = builtinRegistry();
  const config = { ...defaultConfig(registry), memory: MEMORY };
  const layout = hiddenLayout(0, config.memory);
  const file = join(benchDir(), 'process-kernel.c');
  const root = process.env['BENCH_ROOT'] ?? process.cwd();
  const guest = await prepareGuest(
    { file, sdkDir: join(root, 'guest/sdk') },
    layout,
    growLimitOf(Q35, config.memory),
    openCache(),
  );
  const session = await Session.open(new Machine(config, registry, guest), guest, {
    args: [guest.file, kind, String(count)],
    env: {},
    stdout: () => {},
    stderr: () => {},
    fuelLimit: Number.MAX_SAFE_INTEGER,
  });
  const start = process.hrtime.bigint();
  const end = session.run();
  if (end.kind !== 'exit' || end.status !== 0) throw new Error(`${kind}: ${JSON.stringify(end)}`);
  return Number(process.hrtime.bigint() - start);
}

async function kernelWork(what: string, kind: string, count: number): Promise<void> {
  const values: number[] = [];
  for (let round = 0; round < Math.max(5, roundsWanted()); round++) {
    const less = await timeOf(kind, count / 10);
    values.push(((await timeOf(kind, count)) - less) / (count * 0.9));
  }
  values.sort((a, b) => a - b);
  report({ what, unit: 'ns', measured: values[values.length >>> 1]!, minimum: values[0]! });
}

setFlagsFromString('--experimental-wasm-branch-hinting');
await softwareMmu();
await suspendable('preemptible', ['tsvmm_vm.safepoint']);
await suspendable('blocking', MMU_UNWINDING);
await kernelWork('system call that does nothing', 'syscall', 200_000);
await kernelWork('switch from one process to another and its system call', 'switch', 100_000);
await kernelWork('page fault, handler in C, zeroed page, retry; page freed at exit', 'fault', 10_000);
finish();
