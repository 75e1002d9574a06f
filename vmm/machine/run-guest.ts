import type { ExplainedFault } from '../bus/iommu.ts';
import { hex } from '../core/u64.ts';
import { crashReport, machineReport } from '../vcpu/run/crash.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import type { MachineConfig } from './config.ts';
import type { GuestModule } from './guest-module.ts';
import { Machine } from './machine.ts';
import type { Registry } from './registry.ts';
import { fillWriters } from './replay-writers.ts';
import { Session, type SessionOptions } from './session.ts';

/** How a run ended, with what reports need. */
export interface RunResult {
  readonly end: GuestEnd;
  /** The crash or hang report for people. */
  readonly report?: string;
  readonly virtualNs: number;
  readonly instructions: number;
  readonly faults: readonly ExplainedFault[];
}

export interface RunGuestOptions extends SessionOptions {
  /** Called with the machine before the guest runs: traces are selected here. */
  readonly prepare?: (machine: Machine) => void;
  /** Nobody reads who wrote the entries of faults: the run is not repeated to find out. */
  readonly unexplained?: true;
}

/** Boots a guest on a new machine and runs it to its end. @throws TsvmmError for what the host got wrong */
export async function runGuest(
  config: MachineConfig,
  registry: Registry,
  guest: GuestModule,
  options: RunGuestOptions,
): Promise<RunResult> {
  const machine = new Machine(config, registry, guest);
  options.prepare?.(machine);
  const session = await Session.open(machine, guest, options);
  if (options.unexplained) session.vcpu.stores.only(new Set());
  const end = session.run();
  const result = resultOf(session, end);
  if (options.unexplained) return result;
  const faults = await fillWriters(result.faults, config, registry, guest, options, session.vcpu.executed);
  return { ...result, faults };
}

export function resultOf(session: Session, end: GuestEnd): RunResult {
  const { machine, vcpu } = session;
  const virtualNs = machine.clock.now;
  const instructions = vcpu.executed;
  const base = { end, virtualNs, instructions, faults: machine.faults };
  if (end.kind !== 'crash' && end.kind !== 'hung') return base;
  const recent = machine.tracer.recent();
  return {
    ...base,
    report: crashReport(end, { registers: glance(machine), recent, virtualNs, instructions }),
  };
}

/** The machine of a guest that stands somewhere, for people. */
export function machineGlance(
  machine: Machine,
  title: string,
  stack: readonly string[],
  instructions: number,
): string {
  const recent = machine.tracer.recent();
  const at = { registers: glance(machine), recent, virtualNs: machine.clock.now, instructions };
  return machineReport(
    title,
    stack.map((frame, i) => `#${i} ${frame}`),
    at,
  );
}

/** What a crash report shows: where RAM is, and registers of the IOMMU that are not zero and not constant. */
function glance(machine: Machine): string[] {
  const registers = machine.deviceViews.filter((v) => v.owner === 'iommu' && v.name === 'registers');
  const shown = registers
    .flatMap((v) => v.text().split('\n'))
    .filter((line) => !/value=0x0+(?![0-9a-f])|name=E?CAP |name=VER /.test(line))
    .map((line) => line.trim().replace(/^offset=\S+ name=(\S+) value=(\S+)/, '$1 $2'));
  return [`RAM ${hex(machine.ram.base)}..${hex(machine.ram.end - 1)} (--memory)`, ...shown];
}
