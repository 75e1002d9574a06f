import { join } from 'node:path';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { defaultConfig, type MachineConfig } from '../../../vmm/machine/config.ts';
import { prepareGuest } from '../../../vmm/machine/guest-module.ts';
import { Machine } from '../../../vmm/machine/machine.ts';
import { Q35 } from '../../../vmm/machine/platforms/q35-map.ts';
import { VIRT } from '../../../vmm/machine/platforms/virt-map.ts';
import { growLimitOf } from '../../../vmm/machine/ram-plan.ts';
import { Session } from '../../../vmm/machine/session.ts';
import { hiddenLayout } from '../../../vmm/mem/layout.ts';
import { openCache } from '../../../vmm/vcpu/cache/disk-cache.ts';
import { benchDir } from './cc.ts';
import { median, roundsWanted } from './rounds.ts';

/** A guest in C, which is told what to do how often, with an svm-engine. */
export interface TimedGuest {
  readonly source: string;
  readonly machine: MachineConfig['machine'];
  readonly viommu: string;
}

/** 15,000 pages and their tables. */
const MEMORY = 128 << 20;
const MAPS = { q35: Q35, virt: VIRT } as const;

/** The host's memory is there, as after a while: its page faults are not what is measured. */
function touched(made: Machine): Machine {
  const { ram } = made;
  for (let at = ram.base; at < ram.end; at += 4096) ram.u8[at] = 0;
  return made;
}

/** CPU time of a run that does `count` times what `kind` is named for. */
async function timeOf({ source, machine, viommu }: TimedGuest, kind: string, count: number): Promise<number> {
  const registry = builtinRegistry();
  const defaults = defaultConfig(registry, machine);
  const config: MachineConfig = {
    ...defaults,
    viommu: { kind: viommu, options: completeOptions(registry.iommu(viommu), { svm: true }) },
    memory: MEMORY,
    devices: [
      {
        kind: 'svm-engine',
        id: 'svm0',
        options: registry.pci('svm-engine').defaults as Record<string, unknown>,
      },
    ],
  };
  const map = MAPS[machine];
  const layout = hiddenLayout(map.ramBase, config.memory);
  const file = join(benchDir(), source);
  const root = process.env['BENCH_ROOT'] ?? process.cwd();
  const limit = growLimitOf(map, config.memory);
  const guest = await prepareGuest({ file, sdkDir: join(root, 'guest/sdk') }, layout, limit, openCache());
  const session = await Session.open(touched(new Machine(config, registry, guest)), guest, {
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
export async function guestCost(guest: TimedGuest, kind: string, count: number): Promise<number[]> {
  const short: number[] = [];
  const long: number[] = [];
  for (let round = 0; round < Math.max(5, roundsWanted()); round++) {
    short.push(await timeOf(guest, kind, count / 3));
    long.push(await timeOf(guest, kind, count));
  }
  const less = median(short);
  return long.map((ns) => (ns - less) / ((count * 2) / 3));
}
