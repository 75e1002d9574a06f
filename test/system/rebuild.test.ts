import { describe, expect, test } from 'vitest';
import * as zod from 'zod';
import { TsvmmError } from '../../vmm/core/errors.ts';
import type { Host } from '../../vmm/host/model/create.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { HostConfig } from '../../vmm/machine/config.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import type { Passthrough } from '../../vmm/passthru/passthrough.ts';
import { type RunC, runC } from '../kit/run-c.ts';
import { shippedHost } from '../kit/running-host.ts';

/** What a guest announces of its tables. */
const ANNOUNCEMENTS = new Set([
  'remappingChanged',
  'contextsChanged',
  'pasidsChanged',
  'domainInvalidated',
  'pasidInvalidated',
  'configurationChanged',
  'streamsChanged',
  'command',
]);

/** Everything that the host has for the guest's IOMMU is made anew after each k-th announcement, and counted. */
class Rebuilds {
  done = 0;
  /** Objects that the host had more of after one, at most. */
  grown = 0;
  #announced = 0;
  readonly #every: number;

  constructor(every: number) {
    this.#every = every;
  }

  readonly prepare = (machine: Machine): void => {
    const passthrough = machine.host!.passthrough as Passthrough;
    const { port } = passthrough;
    if (passthrough.pathOf(passthrough.assignments[0]!) === 'software')
      throw new Error('the software path is told nothing');
    const { backend } = passthrough.forwarders;
    const around = new Proxy(backend, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const result = value.apply(target, args) as unknown;
          if (ANNOUNCEMENTS.has(String(name))) this.#count(passthrough, machine);
          return result;
        };
      },
    });
    if (port?.architecture === 'vtd') port.connect(around as never);
    else port?.connect(around as never);
  };

  #count(passthrough: Passthrough, machine: Machine): void {
    if (++this.#announced < this.#every) return;
    const { allocations } = (machine.host!.running as Host).kernel;
    const before = allocations.census()['object'] ?? 0;
    try {
      passthrough.rebuild();
    } catch (cause) {
      // Requests of the device wait for the guest: the next announcement has its turn.
      if (cause instanceof TsvmmError && cause.code === 'requests-wait') return;
      throw cause;
    }
    this.done++;
    this.#announced = 0;
    this.grown = Math.max(this.grown, (allocations.census()['object'] ?? 0) - before);
  }
}

const registry = builtinRegistry();
function onHost(name: string, address: string, mode: string, channel: string): RunC {
  const source = `${name}.json`;
  const file = registry.hosts!.check(zod, registry, shippedHost(name), source);
  const host: HostConfig = { file, source, fallback: 'explain' };
  return { config: { host }, devices: [['vfio-pci', { host: address, mode, channel }]] };
}

const INTEL = { viommu: { svm: true } } as const;
const ARM = { viommu: { svm: true }, config: { machine: 'virt' } } as const;

describe.each([
  ['pasid', 'xeon-mixed', '0000:16:00.0', INTEL],
  ['unmap-race', 'xeon-mixed', '0000:16:00.0', INTEL],
  ['pasid', 'arm-mmu-700', '0000:01:00.0', ARM],
  ['unmap-race', 'arm-mmu-700', '0000:01:00.0', ARM],
] as const)('%s on %s, %s', (guest, host, address, machine) => {
  const file = `guest/examples/${guest}/${guest}.c`;

  test.each([
    ['nested', 'iommufd', 1],
    ['nested', 'iommufd', 7],
    ['nested', 'svm', 2],
    ['shadow', 'iommufd', 3],
  ])('%s by %s, rebuilt after each announcement of %i, prints the same', async (mode, channel, every) => {
    const rebuilds = new Rebuilds(every);
    const assigned = onHost(host, address, mode, channel);

    const whole = await runC(file, { ...machine, devices: [['svm-engine']] });
    const rebuilt = await runC(file, {
      ...machine,
      ...assigned,
      config: { ...('config' in machine ? machine.config : {}), ...assigned.config },
      prepare: rebuilds.prepare,
    });

    expect(rebuilt.end).toEqual(whole.end);
    expect(rebuilt.console).toBe(whole.console);
    expect(rebuilds.done).toBeGreaterThan(2);
    expect(rebuilds.grown).toBe(0);
  });
});
