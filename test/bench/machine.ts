/** A machine without a guest: built, its firmware run, and reset. */
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig } from '../../vmm/machine/config.ts';
import { Machine } from '../../vmm/machine/machine.ts';
import { planRam } from '../../vmm/machine/ram-plan.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const NS_PER_MS = 1e6;
const LIMIT = { text: '<= 5 ms', value: 5 };

async function main(): Promise<void> {
  const registry = builtinRegistry();
  const config = defaultConfig(registry);
  const boot = (): Machine => {
    const machine = new Machine(config, registry);
    machine.bootFirmware(planRam(machine.platform.map, config.memory, undefined, machine.reservedBase));
    return machine;
  };
  const first = process.hrtime.bigint();
  const machine = boot();
  const firstNs = Number(process.hrtime.bigint() - first);
  const contenders: Contender[] = [
    { name: 'built', operations: 1, run: boot },
    { name: 'reset (warm)', operations: 1, run: () => machine.reset('warm') },
    { name: 'reset (cold)', operations: 1, run: () => machine.reset('cold') },
  ];
  const times = await rounds(contenders);
  const ms = (values: readonly number[]) => values.map((ns) => ns / NS_PER_MS);
  figure('machine without guest, built for the first time in a process', 'ms', ms([firstNs]), LIMIT);
  figure('machine without guest, built', 'ms', ms(times['built']!), LIMIT);
  figure('machine without guest, warm reset', 'ms', ms(times['reset (warm)']!), LIMIT);
  const mib = config.memory >>> 20;
  figure(`machine without guest, cold reset (clears ${mib} MiB)`, 'ms', ms(times['reset (cold)']!));
  finish();
}

await main();
