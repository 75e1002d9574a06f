/** The commands' Backend over the real machine: adapts one to the other, decides nothing. */

import { join } from 'node:path';
import { dumpFiles } from '../../firmware/index.ts';
import type { DeviceView } from '../bus/device.ts';
import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';
import { builtinRegistry } from '../machine/builtin.ts';
import type { MachineConfig } from '../machine/config.ts';
import { type GuestModule, prepareGuest } from '../machine/guest-module.ts';
import { Machine } from '../machine/machine.ts';
import { growLimitOf, planRam } from '../machine/platform.ts';
import { Q35 } from '../machine/q35.ts';
import type { Registry } from '../machine/registry.ts';
import { type RunResult, runGuest } from '../machine/run-guest.ts';
import { hiddenLayout } from '../mem/layout.ts';
import type { Tracer } from '../trace/tracer.ts';
import { openCache } from '../vcpu/cache/disk-cache.ts';
import type { Backend, RunLimits, RunOutcome, RunRequest, TraceRequest } from './backend.ts';
import { packageRoot } from './package-files.ts';

/** Minutes of a guest that computes; what runs longer is asked for with --fuel. */
const DEFAULT_FUEL = 100_000_000_000;

export function machineBackend(): Backend {
  return {
    registry: builtinRegistry,
    views: (config, registry) => {
      const machine = booted(config, registry);
      return [...machine.views, traceView(machine.tracer)];
    },
    acpi: (config, registry) => dumpFiles(booted(config, registry).acpi),
    run: async (request) => outcomeOf(await runRequest(request)),
  };
}

/** A machine as a guest would find it. */
function booted(config: MachineConfig, registry: Registry): Machine {
  const machine = new Machine(config, registry);
  machine.bootFirmware(planRam(config.memory, undefined, machine.reservedBase));
  return machine;
}

async function runRequest(request: RunRequest): Promise<RunResult> {
  const { config, registry, guest, observer, trace } = request;
  const module = await guestModule(request);
  observer.stage('loading');
  return runGuest(config, registry, module, {
    args: guest.args,
    env: guest.env,
    files: guest.files,
    stdout: (bytes) => observer.console(bytes),
    stderr: (bytes) => observer.console(bytes),
    ...limits(request.limits),
    ...(trace === undefined ? {} : { prepare: (machine: Machine) => select(machine.tracer, trace) }),
  });
}

function guestModule({ config, guest, observer, color }: RunRequest): Promise<GuestModule> {
  const layout = hiddenLayout(Q35.ramBase, config.memory);
  const source = {
    file: guest.file,
    cc: guest.cc,
    sdkDir: join(packageRoot(), 'guest', 'sdk'),
    color,
    onDiagnostics: (text: string) => observer.diagnostics(text),
    onStage: observer.stage,
  };
  return prepareGuest(source, layout, growLimitOf(config.memory), openCache());
}

function limits({ fuel, timeoutNs }: RunLimits) {
  return { fuelLimit: fuel ?? DEFAULT_FUEL, ...(timeoutNs === undefined ? {} : { timeLimit: timeoutNs }) };
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

function outcomeOf({ end, report, virtualNs, instructions, faults }: RunResult): RunOutcome {
  const common = { virtualNs, instructions, faults, ...(report === undefined ? {} : { report }) };
  switch (end.kind) {
    case 'exit':
      return { ...common, end: 'exited', exitStatus: end.status };
    case 'crash':
      return { ...common, end: 'crashed', reason: end.reason };
    case 'hung':
      return { ...common, end: 'hung', reason: end.reason };
    case 'suspended':
      return { ...common, end: 'saved' };
  }
}

function traceView(tracer: Tracer): DeviceView {
  const rows = () =>
    tracer
      .declared()
      .map(({ name, decl }) => ({ name, doc: decl.doc, args: decl.args }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    name: 'trace',
    doc: 'The trace events',
    json: rows,
    text: () =>
      rows()
        .map(({ name, doc, args }) => `${name}(${Object.keys(args).join(', ')}): ${doc}`)
        .join('\n'),
  };
}
