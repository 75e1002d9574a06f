/** Shared virtual memory seen from a guest in C: page requests, and PASIDs that come and go. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig, type MachineConfig } from '../../vmm/machine/config.ts';
import { prepareGuest } from '../../vmm/machine/guest-module.ts';
import { Machine } from '../../vmm/machine/machine.ts';
import { Q35 } from '../../vmm/machine/platforms/q35-map.ts';
import { growLimitOf } from '../../vmm/machine/ram-plan.ts';
import { Session } from '../../vmm/machine/session.ts';
import { hiddenLayout } from '../../vmm/mem/layout.ts';
import { openCache } from '../../vmm/vcpu/cache/disk-cache.ts';
import { benchDir } from './kit/cc.ts';
import { median, roundsWanted } from './kit/rounds.ts';
import { figure, finish, type Limit } from './kit/row.ts';

/** 15,000 pages and their tables. */
const MEMORY = 128 << 20;

/** CPU time of a run of svm-kernel.c that does `count` times what it is named for. */
async function timeOf(kind: string, count: number): Promise<number> {
  const registry = builtinRegistry();
  const defaults = defaultConfig(registry);
  const options = (kind: { readonly defaults: unknown }) => kind.defaults as Record<string, unknown>;
  const config: MachineConfig = {
    ...defaults,
    viommu: { kind: 'intel', options: { ...options(registry.iommu('intel')), svm: true } },
    memory: MEMORY,
    devices: [{ kind: 'svm-engine', id: 'svm0', options: options(registry.pci('svm-engine')) }],
  };
  const layout = hiddenLayout(0, config.memory);
  const file = join(benchDir(), 'svm-kernel.c');
  const root = process.env['BENCH_ROOT'] ?? process.cwd();
  const limit = growLimitOf(Q35, config.memory);
  const guest = await prepareGuest({ file, sdkDir: join(root, 'guest/sdk') }, layout, limit, openCache());
  const session = await Session.open(new Machine(config, registry, guest), guest, {
    args: [guest.file, kind, String(count)],
    env: {},
    stdout: () => {},
    stderr: () => {},
    fuelLimit: Number.MAX_SAFE_INTEGER,
  });
  const start = process.cpuUsage();
  const end = session.run();
  if (end.kind !== 'exit' || end.status !== 0) throw new Error(`${kind}: ${JSON.stringify(end)}`);
  const { user, system } = process.cpuUsage(start);
  return (user + system) * 1000;
}

/** Nanoseconds of one, without what a run costs anyway and what its first third is slower by (compilation, kept stacks). */
async function cost(kind: string, count: number): Promise<number[]> {
  const short: number[] = [];
  const long: number[] = [];
  for (let round = 0; round < Math.max(5, roundsWanted()); round++) {
    short.push(await timeOf(kind, count / 3));
    long.push(await timeOf(kind, count));
  }
  const less = median(short);
  return long.map((ns) => (ns - less) / ((count * 2) / 3));
}

async function row(what: string, kind: string, count: number, limit?: Limit): Promise<void> {
  figure(what, 'ns', await cost(kind, count), limit);
}

setFlagsFromString('--experimental-wasm-branch-hinting');
await row('page request: device fault, handler in C, response, retry', 'p', 15_000, {
  text: '<= 10 us',
  value: 10_000,
});
await row('the same device operation with the page there', 'h', 150_000);
await row('PASID bound and unbound by the SDK, every invalidation waited for', 'b', 30_000, {
  text: '<= 10 us (100,000/s)',
  value: 10_000,
});
finish();
