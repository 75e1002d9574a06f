import type { Rng } from '../../../vmm/core/rng.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { bootedMachine } from '../../kit/machine.ts';

const SIZES = [1, 2, 4, 8] as const;

/** One access somewhere in the machine, as a guest could make it; DMA of edu included, since commands are among them. */
function access(machine: Machine, rng: Rng): unknown {
  if (rng.below(8) === 0) {
    machine.clock.advanceTo(machine.clock.now + rng.below(200_000_000));
    return machine.clock.now;
  }
  const ranges = machine.mmio.ranges.filter((r) => r.name !== 'ecam');
  const range = ranges[rng.below(ranges.length)]!;
  const size = SIZES[rng.below(4)]!;
  const offset = rng.below(Math.min(range.size, 0x400) / size) * size;
  if (rng.below(2) === 0) return [machine.mmio.read(range.base + offset, size), machine.mmio.hi];
  machine.mmio.write(range.base + offset, size, rng.next(), size === 8 ? rng.below(16) : 0);
  return undefined;
}

for (const id of bootedMachine().devices.keys()) {
  describeDeviceRules(id, () => {
    const machine = bootedMachine();
    return { device: machine.devices.get(id)!, access: (rng) => access(machine, rng) };
  });
}
