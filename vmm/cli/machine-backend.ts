/** The commands' Backend over the real machine: adapts one to the other, decides nothing. */

import { join } from 'node:path';
import { dumpFiles } from '../../firmware/index.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import { builtinRegistry } from '../machine/builtin.ts';
import type { MachineConfig } from '../machine/config.ts';
import { type GuestModule, prepareGuest } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import { growLimitOf, planRam } from '../machine/platform.ts';
import { Q35 } from '../machine/q35.ts';
import type { Registry } from '../machine/registry.ts';
import { requestersOf } from '../machine/requesters.ts';
import { type RunGuestOptions, type RunResult, runGuest } from '../machine/run-guest.ts';
import type { SaveAt } from '../machine/snapshot-run.ts';
import { hiddenLayout } from '../mem/layout.ts';
import type { Tracer } from '../trace/tracer.ts';
import { openCache } from '../vcpu/cache/disk-cache.ts';
import type {
  Backend,
  ReportRequest,
  ResumeRequest,
  RunLimits,
  RunObserver,
  RunOutcome,
  RunRequest,
  SaveRequest,
  TraceRequest,
} from './backend.ts';
import { packageRoot, packageVersion } from './package-files.ts';

/** Ten seconds or so of a guest that computes; what runs longer is asked for with --fuel. */
const DEFAULT_FUEL = 10_000_000_000;

export function machineBackend(): Backend {
  return {
    registry: builtinRegistry,
    views: (config, registry) => booted(config, registry).views,
    acpi: (config, registry) => dumpFiles(booted(config, registry).acpi),
    run,
    save,
    resume,
    inspect: async (dir, registry) => {
      const { inspectSnapshot } = await import('../monitor/inspect.ts');
      return inspectSnapshot(dir, registry, packageVersion());
    },
    diff: async (a, b) => {
      const [{ readSnapshot }, { diffSnapshots }] = await Promise.all([
        import('../state/container.ts'),
        import('../machine/snapshot-diff.ts'),
      ]);
      return diffSnapshots(readSnapshot(a), readSnapshot(b));
    },
  };
}

async function run(request: RunRequest): Promise<RunOutcome> {
  const guest = await guestModule(request);
  const seen: Seen = {};
  const options = runOptions(request, seen);
  if (request.report !== undefined) return runForReport(request, request.report, guest, options);
  return outcomeOf(await runWith(request, guest, options), seen);
}

async function runWith(
  request: RunRequest,
  guest: GuestModule,
  options: RunGuestOptions,
): Promise<RunResult> {
  const { config, registry, monitor } = request;
  if (monitor === undefined) return runGuest(config, registry, guest, options);
  const { runMonitored } = await import('../monitor/run.ts');
  const attached = { ...monitor, program: packageVersion() };
  return runMonitored(config, registry, guest, options, attached);
}

async function runForReport(
  request: RunRequest,
  { globs }: ReportRequest,
  guest: GuestModule,
  options: RunGuestOptions,
): Promise<RunOutcome> {
  const { config, registry, monitor } = request;
  const { RunRecorder } = await import('../report/collect.ts');
  const recorder = new RunRecorder(globs);
  const prepare = (machine: Machine) => {
    options.prepare?.(machine);
    recorder.attach(machine);
  };
  const result = await runWith(request, guest, { ...options, prepare });
  const { instructions } = result;
  // What was done from a monitor is not repeated.
  const again = monitor === undefined ? { config, registry, guest, options, instructions } : undefined;
  const inside = await recorder.inside(again);
  return { ...outcomeOf(result, {}), inside, requesters: inside.requesters };
}

async function save(request: RunRequest, where: SaveRequest): Promise<RunOutcome> {
  const { runToSnapshot, suspendable } = await import('../machine/snapshot-run.ts');
  const module = await guestModule(request);
  const guest = await suspendable(module, openCache(), () => request.observer.stage('rewriting'));
  const { config, registry } = request;
  const seen: Seen = {};
  const result = await runToSnapshot(config, registry, guest, runOptions(request, seen), saveAt(where));
  return outcomeOf(result, seen);
}

async function resume(request: ResumeRequest): Promise<RunOutcome> {
  const { resumeSnapshot } = await import('../machine/snapshot-run.ts');
  const { dir, registry, observer, limits, trace } = request;
  const seen: Seen = {};
  const options = {
    ...common(observer, limits, trace, seen),
    earlier: (bytes: Uint8Array) => observer.earlier(bytes),
  };
  const where = request.save === undefined ? undefined : saveAt(request.save);
  return outcomeOf(await resumeSnapshot(dir, registry, options, where), seen);
}

function saveAt({ dir, at, point, force }: SaveRequest): SaveAt {
  return { dir, n: at, force, program: packageVersion(), ...(point === undefined ? {} : { point }) };
}

/** A machine as a guest would find it. */
function booted(config: MachineConfig, registry: Registry): Machine {
  const machine = new Machine(config, registry);
  machine.bootFirmware(planRam(config.memory, undefined, machine.reservedBase));
  return machine;
}

/** The machine of a run whose trace is to name who made requests. */
interface Seen {
  machine?: Machine;
}

function runOptions({ guest, observer, limits, trace }: RunRequest, seen: Seen): RunGuestOptions {
  const { args, env, files } = guest;
  return { args, env, files, ...common(observer, limits, trace, seen) };
}

function common(
  observer: RunObserver,
  { fuel, timeoutNs }: RunLimits,
  trace: TraceRequest | undefined,
  seen: Seen,
) {
  return {
    stdout: (bytes: Uint8Array) => observer.console(bytes),
    stderr: (bytes: Uint8Array) => observer.console(bytes),
    fuelLimit: fuel ?? DEFAULT_FUEL,
    ...(timeoutNs === undefined ? {} : { timeLimit: timeoutNs }),
    ...(trace === undefined ? {} : { prepare: (machine: Machine) => prepare(machine, trace, seen) }),
  };
}

function prepare(machine: Machine, trace: TraceRequest, seen: Seen): void {
  seen.machine = machine;
  select(machine.tracer, trace);
}

async function guestModule({ config, guest, observer, color }: RunRequest): Promise<GuestModule> {
  const layout = hiddenLayout(Q35.ramBase, config.memory);
  const source = {
    file: guest.file,
    cc: guest.cc,
    // Looked for only when there is something to compile.
    get sdkDir() {
      return join(packageRoot(), 'guest', 'sdk');
    },
    color,
    onDiagnostics: (text: string) => observer.diagnostics(text),
    onStage: observer.stage,
  };
  const module = await prepareGuest(source, layout, growLimitOf(config.memory), openCache());
  observer.stage('loading');
  return module;
}

function select(tracer: Tracer, { globs, sink }: TraceRequest): void {
  tracer.addSink(sink);
  for (const glob of globs) {
    if (tracer.select(glob) > 0) continue;
    const names = tracer.declared().map((event) => event.name);
    throw new TsvmmError({
      code: 'unknown-event',
      object: `--trace ${glob}`,
      why: 'this machine has no such event',
      mend: `${didYouMean(glob, names).startsWith('did') ? didYouMean(glob, names) : "see 'tsvmm info trace'"}`,
    });
  }
}

function outcomeOf(
  { end, report, virtualNs, instructions, faults }: RunResult,
  { machine }: Seen,
): RunOutcome {
  const common = {
    virtualNs,
    instructions,
    faults,
    ...(report === undefined ? {} : { report }),
    ...(machine === undefined ? {} : { requesters: requestersOf(machine) }),
  };
  switch (end.kind) {
    case 'exit':
      return { ...common, end: 'exited', exitStatus: end.status };
    case 'crash':
      return {
        ...common,
        end: 'crashed',
        reason: end.address === undefined ? end.reason : `${end.reason} ${end.address}`,
      };
    case 'hung':
      return { ...common, end: 'hung', reason: end.reason };
    case 'suspended':
      return { ...common, end: 'saved' };
    case 'stopped':
      return { ...common, end: 'stopped', reason: 'ended from the monitor' };
  }
}
