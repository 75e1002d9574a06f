/** What the commands need of the machine. The commands know only this, so tests give them a machine of their own. */

import type { DumpFile } from '../../firmware/index.ts';
import type { DeviceView } from '../bus/device.ts';
import type { ExplainedFault } from '../bus/iommu.ts';
import type { MachineConfig } from '../machine/config.ts';
import type { GuestStage } from '../machine/guest-module.ts';
import type { Registry } from '../machine/registry.ts';
import type { Requester } from '../machine/requesters.ts';
import type { SnapshotDifference } from '../machine/snapshot-diff.ts';
import type { Endpoint } from '../monitor/endpoint.ts';
import type { RunInside } from '../report/data.ts';
import type { TraceSink } from '../trace/tracer.ts';

export interface GuestFile {
  /** As the user typed it: .c, .wat or .wasm. */
  readonly file: string;
  readonly cc: string;
  /** argv of the guest; its name first. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** What may end a run before the guest does. */
export interface RunLimits {
  /** Instructions. */
  readonly fuel?: number;
  /** Virtual time in ns. */
  readonly timeoutNs?: number;
}

export interface TraceRequest {
  /** A glob that selects no event is a TsvmmError. */
  readonly globs: readonly string[];
  readonly sink: TraceSink;
}

/** Where the machine goes on its way; none of these calls may change what the guest sees. */
export interface RunObserver {
  /** Bytes of the guest's console, in order. */
  console(bytes: Uint8Array): void;
  /** What the guest had printed before it was saved. */
  earlier(bytes: Uint8Array): void;
  stage(stage: GuestStage): void;
  /** The compiler's text, verbatim. */
  diagnostics(text: string): void;
}

export interface SaveRequest {
  readonly dir: string;
  /** At which point, counted from 1 where the run starts. */
  readonly at: number;
  /** Which points count; both kinds if absent. */
  readonly point?: 'wfi' | 'yield';
  /** Replace a snapshot that is there. */
  readonly force: boolean;
}

export interface RunRequest {
  readonly config: MachineConfig;
  readonly registry: Registry;
  readonly guest: GuestFile;
  readonly limits: RunLimits;
  readonly trace?: TraceRequest;
  readonly observer: RunObserver;
  /** Colour in diagnostics. */
  readonly color: boolean;
  readonly monitor?: MonitorAttachment;
  /** Files of plugins: a record names them. */
  readonly plugins: readonly string[];
  /** File to record the run in. */
  readonly record?: string;
  /** Keep what a report shows. */
  readonly report?: ReportRequest;
  /** Give the views of the machine as the guest left it. */
  readonly views?: true;
  /** Nobody reads who wrote the entries of faults. */
  readonly unexplained?: true;
}

export interface ReportRequest {
  /** Events beside those that every timeline has. */
  readonly globs: readonly string[];
}

/** Monitors of a run, and what they say outside their own connections. */
export interface MonitorAttachment {
  readonly endpoints: readonly Endpoint[];
  /** The guest waits before its first instruction. */
  readonly held: boolean;
  /** Answers to stdin. */
  out(text: string): void;
  /** Lines of traces that no text monitor prints. */
  print(line: string): void;
  listening(endpoints: readonly Endpoint[]): void;
}

export interface ResumeRequest {
  readonly dir: string;
  readonly registry: Registry;
  readonly limits: RunLimits;
  readonly trace?: TraceRequest;
  readonly observer: RunObserver;
  readonly save?: SaveRequest;
}

export interface ReplayRequest {
  readonly file: string;
  readonly registry: Registry;
  readonly plugins: readonly string[];
  /** Stop at the `count`-th event that matches. */
  readonly until?: { readonly glob: string; readonly count: number };
  readonly trace?: TraceRequest;
  /** Keep what a report shows. */
  readonly report?: ReportRequest;
  readonly observer: RunObserver;
  readonly monitor?: MonitorAttachment;
  /** Told what is to be known before the run begins. */
  caution(text: string): void;
}

/** What a record says before it is replayed. */
export interface RecordGlance {
  /** Name of the guest; of the record if there is none. */
  readonly guest: string;
  readonly seed: number | null;
  /** The machine as --config reads it; null for machine none. */
  readonly machine: unknown;
}

export interface RunOutcome {
  /** How the guest ended: it exited, did what no driver may do, ran out of fuel or time, or was saved. */
  readonly end: 'exited' | 'crashed' | 'hung' | 'saved' | 'stopped';
  /** When it exited. */
  readonly exitStatus?: number;
  /** In one line, when it did not exit. */
  readonly reason?: string;
  /** The crash or hang report for people. */
  readonly report?: string;
  readonly virtualNs: number;
  readonly instructions: number;
  readonly faults: readonly ExplainedFault[];
  /** Who makes requests, where the trace or the report names them. */
  readonly requesters?: readonly Requester[];
  /** Of the machine as the guest left it, where they were asked for. */
  readonly views?: readonly DeviceView[];
  /** What a report was asked for. */
  readonly inside?: RunInside;
  /** The file that the run can be replayed from; it is written now, if it is not there. Undefined where it cannot be. */
  readonly record?: () => Promise<string | undefined>;
}

export interface InspectedMachine {
  /** Carries out a line of the text monitor. */
  execute(line: string): string;
  /** Candidates for the last word of a line. */
  complete(line: string): string[];
  /** False once `quit` was said. */
  readonly open: boolean;
}

export interface Backend {
  /** The built-in kinds; plugins are added to it. */
  registry(): Registry;
  /** The views of a machine in which no guest has run. */
  views(config: MachineConfig, registry: Registry): readonly DeviceView[];
  acpi(config: MachineConfig, registry: Registry): readonly DumpFile[];
  run(request: RunRequest): Promise<RunOutcome>;
  save(request: RunRequest, save: SaveRequest): Promise<RunOutcome>;
  /** Continues to the end, or with `save` to the next snapshot. */
  resume(request: ResumeRequest): Promise<RunOutcome>;
  /** @throws TsvmmError for a file that is no record */
  recordGlance(file: string): Promise<RecordGlance>;
  /** Does a recorded run again. */
  replay(request: ReplayRequest): Promise<RunOutcome>;
  /** The monitor of a snapshot's machine, which does not run. */
  inspect(dir: string, registry: Registry): Promise<InspectedMachine>;
  diff(a: string, b: string): Promise<readonly SnapshotDifference[]>;
}
