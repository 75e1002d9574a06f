import type { ExplainedFault, WalkStep } from '../bus/iommu.ts';
import type { MachineConfig } from './config.ts';
import type { GuestModule } from './guest-module.ts';
import { Machine } from './machine.ts';
import type { Registry } from './registry.ts';
import { Session, type SessionOptions } from './session.ts';

/** Instructions. Longer runs are not repeated only to say who wrote an entry. */
export const MOST_REPEATED = 500_000_000;
/** The first faults say most. */
const MAX_FAULTS = 32;

/**
 * Names the writers of entries that were stored before their page was watched, or so often that nobody kept count.
 *
 * A page is watched from the moment the IOMMU reads it as a table, so stores that set the table up are not known. Runs are
 * deterministic: the same guest is run again, silently, with those pages watched from the start, and its faults, which are
 * the same ones in the same order, then know their writers.
 */
export async function fillWriters(
  faults: readonly ExplainedFault[],
  config: MachineConfig,
  registry: Registry,
  guest: GuestModule,
  options: SessionOptions,
  instructions: number,
): Promise<readonly ExplainedFault[]> {
  const pages = pagesToWatch(faults.slice(0, MAX_FAULTS));
  if (pages.size === 0 || instructions > MOST_REPEATED || options.stdin !== undefined) return faults;
  const machine = new Machine(config, registry, guest);
  const session = await Session.open(machine, guest, { ...options, stdout: ignore, stderr: ignore });
  const watcher = { stored: ignore };
  session.vcpu.stores.only(pages);
  session.vcpu.stores.only(pages);
  for (const page of pages) if (machine.ram.holds(page, 0, 1)) machine.ram.watch(page, watcher);
  session.run();
  return faults.map((fault, i) => {
    const again = machine.faults[i];
    return again !== undefined && again.address === fault.address ? withWriters(fault, again) : fault;
  });
}

function ignore(): void {}

function unknown(step: WalkStep): boolean {
  return step.lastWriter === undefined && step.address !== undefined;
}

function pagesToWatch(faults: readonly ExplainedFault[]): Set<number> {
  const pages = new Set<number>();
  for (const step of faults.flatMap((f) => f.steps).filter(unknown))
    pages.add((Number(step.address) >>> 12) << 12);
  return pages;
}

function withWriters(fault: ExplainedFault, again: ExplainedFault): ExplainedFault {
  return {
    ...fault,
    steps: fault.steps.map((step, i) => {
      const lastWriter = step.lastWriter ?? again.steps[i]?.lastWriter;
      return { ...step, lastWriter };
    }),
  };
}
