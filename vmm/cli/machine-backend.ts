/** The commands' Backend over the real machine: adapts one to the other, decides nothing. */

import { basename, join } from 'node:path';
import { dumpFiles } from '../../firmware/index.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import { builtinRegistry } from '../machine/builtin.ts';
import type { MachineConfig } from '../machine/config.ts';
import { type GuestModule, prepareGuest } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import { addressMapOf } from '../machine/platforms/platforms.ts';
import { growLimitOf, planRam } from '../machine/ram-plan.ts';
import type { Registry } from '../machine/registry.ts';
import { requestersOf } from '../machine/requesters.ts';
import { type RunGuestOptions, type RunResult, runGuest } from '../machine/run-guest.ts';
import type { SaveAt } from '../machine/snapshot-run.ts';
import { hiddenLayout } from '../mem/layout.ts';
import type { Recorded } from '../replay/read-record.ts';
import type { RunRecord } from '../replay/record-run.ts';
import type { Again, RunRecorder } from '../report/collect.ts';
import type { RunInside } from '../report/data.ts';
import { globToRegExp, type Tracer } from '../trace/tracer.ts';
import { openCache } from '../vcpu/cache/disk-cache.ts';
import type {
  Backend,
  RecordGlance,
  ReplayRequest,
  ReportRequest,
  ResumeRequest,
  RunLimits,
  RunObserver,
  RunOutcome,
  RunRequest,
  SaveRequest,
  TraceRequest,
} from './backend.ts';
import { loadZod } from './machine-options.ts';
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
    recordGlance,
    replay,
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
  const record = await recordIfAsked(request, guest, options);
  const heard = record?.listen(options) ?? options;
  if (request.report !== undefined) return runForReport(request, request.report, guest, heard, record);
  const result = await runWith(request, guest, heard, record);
  const views = request.views === undefined ? {} : { views: seen.machine!.views };
  return { ...outcomeOf(result, seen), ...views, record: recorded(request, guest, options, result, record) };
}

async function runWith(
  request: RunRequest,
  guest: GuestModule,
  options: RunGuestOptions,
  record: RunRecord | undefined,
): Promise<RunResult> {
  const { config, registry, monitor, unexplained } = request;
  if (monitor === undefined)
    return runGuest(config, registry, guest, unexplained ? { ...options, unexplained } : options);
  const { runMonitored } = await import('../monitor/run.ts');
  const recorder = record === undefined ? {} : { recorder: record.recorder };
  // A report is made of one run, from its start.
  const wholeRuns = request.report !== undefined;
  const attached = { ...monitor, program: packageVersion(), wholeRuns, ...recorder };
  return runMonitored(config, registry, guest, options, attached);
}

async function runForReport(
  request: RunRequest,
  { globs }: ReportRequest,
  guest: GuestModule,
  options: RunGuestOptions,
  record: RunRecord | undefined,
): Promise<RunOutcome> {
  const { config, registry, monitor } = request;
  const { RunRecorder } = await import('../report/collect.ts');
  const recorder = new RunRecorder(globs);
  const prepare = (machine: Machine) => {
    options.prepare?.(machine);
    recorder.attach(machine);
  };
  const result = await runWith(request, guest, { ...options, prepare }, record);
  const { instructions } = result;
  // What was done from a monitor is not repeated.
  const again = monitor === undefined ? { config, registry, guest, options, instructions } : undefined;
  const inside = await recorder.inside(again);
  return {
    ...outcomeOf(result, {}),
    ...reportedBy(inside),
    record: recorded(request, guest, options, result, record),
  };
}

/** From its start, a run that is to be recorded, and one that is asked things: a failed run has them in its record. */
async function recordIfAsked(
  request: RunRequest,
  module: GuestModule,
  options: RunGuestOptions,
): Promise<RunRecord | undefined> {
  if (request.monitor === undefined && request.record === undefined) return undefined;
  return recordOf(request, module, options, request.record);
}

/** Ends the record; its file, also that of a run that is put down only because it turned out to have failed. */
function recorded(
  request: RunRequest,
  module: GuestModule,
  options: RunGuestOptions,
  result: RunResult,
  record: RunRecord | undefined,
): () => Promise<string | undefined> {
  record?.end(result);
  return async () => {
    const made = record ?? (await recordOf(request, module, options, undefined)).unheard();
    if (record === undefined) made.end(result);
    return made.keep(openCache().dir);
  };
}

async function recordOf(
  { config, plugins }: RunRequest,
  module: GuestModule,
  options: RunGuestOptions,
  file: string | undefined,
): Promise<RunRecord> {
  const { RunRecord } = await import('../replay/record-run.ts');
  return new RunRecord({ program: packageVersion(), config, plugins, guest: { module, options } }, file);
}

async function save(request: RunRequest, where: SaveRequest): Promise<RunOutcome> {
  const { runToSnapshot, suspendable } = await import('../machine/snapshot-run.ts');
  const module = await guestModule(request);
  const guest = await suspendable(module, openCache(), () => request.observer.stage('rewriting'));
  const { config, registry } = request;
  const seen: Seen = {};
  const options = runOptions(request, seen);
  const result = await runToSnapshot(config, registry, guest, options, saveAt(where));
  return { ...outcomeOf(result, seen), record: recorded(request, module, options, result, undefined) };
}

/** zod, and what only replays need, are loaded for them alone. */
async function openRecord(file: string) {
  const [{ readRecord }, z] = await Promise.all([import('../replay/read-record.ts'), loadZod()]);
  return readRecord(file, z);
}

async function recordGlance(file: string): Promise<RecordGlance> {
  const { header } = await openRecord(file);
  const { seed } = (header.machine ?? {}) as { readonly seed?: unknown };
  return {
    guest: header.guest?.args[0] ?? basename(file),
    seed: typeof seed === 'number' ? seed : null,
    machine: header.machine,
  };
}

async function replay(request: ReplayRequest): Promise<RunOutcome> {
  const recorded = await openRecord(request.file);
  const { cautionOf, checkPlugins, configOf } = await import('../replay/open-record.ts');
  checkPlugins(recorded, request.plugins);
  const caution = cautionOf(recorded, packageVersion());
  if (caution !== undefined) request.caution(caution);
  const config = configOf(recorded, request.registry, await loadZod());
  const { guest } = recorded.header;
  const shown = await replayShown(request);
  if (guest === null || config === null) return replayClients(request, recorded, config, shown);
  const { replayGuest } = await import('../replay/replay-guest.ts');
  const { observer, registry } = request;
  const seen: Seen = {};
  let again: Omit<Again, 'instructions'> | undefined;
  const result = await replayGuest(recorded, guest, config, registry, openCache(), {
    ...replayOptions(request, seen, shown),
    stdout: (bytes) => observer.console(bytes),
    stderr: (bytes) => observer.console(bytes),
    onStage: (stage) => observer.stage(stage),
    held: request.monitor?.held ?? false,
    wholeRuns: shown !== undefined,
    onGuest(module, options, alone) {
      if (alone) again = { config, registry, guest: module, options };
    },
  });
  const { instructions, stoppedAfter } = result;
  const inside = await shown?.inside(again === undefined ? undefined : { ...again, instructions });
  const outcome = { ...outcomeOf(result, seen), ...reportedBy(inside), record: async () => request.file };
  return stoppedAfter === undefined ? outcome : { ...outcome, reason: `after ${stoppedAfter}` };
}

/** Collects what a report of the replay shows. */
async function replayShown({ report }: ReplayRequest): Promise<RunRecorder | undefined> {
  if (report === undefined) return undefined;
  const { RunRecorder } = await import('../report/collect.ts');
  return new RunRecorder(report.globs);
}

function reportedBy(inside: RunInside | undefined) {
  return inside === undefined ? {} : { inside, requesters: inside.requesters };
}

async function replayClients(
  request: ReplayRequest,
  recorded: Recorded,
  config: MachineConfig | null,
  shown: RunRecorder | undefined,
): Promise<RunOutcome> {
  const { replayQtest } = await import('../replay/replay-qtest.ts');
  const result = replayQtest(recorded, config, request.registry, replayOptions(request, {}, shown));
  const { commands, virtualNs, faults, stoppedAfter, report } = result;
  const common = { end: 'stopped', virtualNs, instructions: 0, faults } as const;
  const where = stoppedAfter === undefined ? 'at the end of the record' : `after ${stoppedAfter}`;
  return {
    ...common,
    reason: `${where}, ${commands} commands`,
    ...(report === undefined ? {} : { report }),
    ...reportedBy(await shown?.inside(undefined)),
  };
}

function replayOptions({ monitor, trace, until }: ReplayRequest, seen: Seen, shown: RunRecorder | undefined) {
  const silent = { endpoints: [], out: () => {}, print: () => {}, listening: () => {} };
  return {
    ...(monitor ?? silent),
    program: packageVersion(),
    prepare: (machine: Machine) => {
      if (trace !== undefined) {
        seen.machine = machine;
        select(machine.tracer, trace);
      }
      if (until !== undefined) known(machine.tracer, until.glob, '--until');
      shown?.attach(machine);
    },
    ...(until === undefined ? {} : { until }),
  };
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
  machine.bootFirmware(planRam(machine.platform.map, config.memory, undefined, machine.reservedBase));
  return machine;
}

/** The machine of a run whose trace is to name who made requests, or that is looked at when it has ended. */
interface Seen {
  machine?: Machine;
}

function runOptions({ guest, observer, limits, trace, views }: RunRequest, seen: Seen): RunGuestOptions {
  const { args, env, files } = guest;
  const kept = views === undefined ? {} : { prepare: (machine: Machine) => void (seen.machine = machine) };
  return { args, env, files, ...kept, ...common(observer, limits, trace, seen) };
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
  const map = addressMapOf(config.machine);
  const layout = hiddenLayout(map.ramBase, config.memory);
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
  const module = await prepareGuest(source, layout, growLimitOf(map, config.memory), openCache());
  observer.stage('loading');
  return module;
}

function select(tracer: Tracer, { globs, sink }: TraceRequest): void {
  tracer.addSink(sink);
  for (const glob of globs) {
    known(tracer, glob, '--trace');
    tracer.select(glob);
  }
}

/** @throws TsvmmError when no event of the machine matches */
function known(tracer: Tracer, glob: string, option: string): void {
  const pattern = globToRegExp(glob);
  const names = tracer.declared().map((event) => event.name);
  if (names.some((name) => pattern.test(name))) return;
  throw new TsvmmError({
    code: 'unknown-event',
    object: `${option} ${glob}`,
    why: 'this machine has no such event',
    mend: `${didYouMean(glob, names).startsWith('did') ? didYouMean(glob, names) : "see 'tsvmm info trace'"}`,
  });
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
