/** `tsvmm run`, and what it shares with `snapshot save` and `snapshot load`: from options to a verdict. Glue only. */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ExplainedFault } from '../bus/iommu.ts';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import { configToJson, type MachineConfig } from '../machine/config.ts';
import { faultText, KEPT_FAULTS } from '../machine/explain.ts';
import type { Registry } from '../machine/registry.ts';
import { TapParser } from '../machine/tap.ts';
import { endpointText, parseEndpoint } from '../monitor/endpoint.ts';
import type {
  Backend,
  GuestFile,
  MonitorAttachment,
  RunLimits,
  RunObserver,
  RunOutcome,
  SaveRequest,
  TraceRequest,
} from './backend.ts';
import type { Invocation, OptionsOf } from './command.ts';
import type { Context } from './context.ts';
import { withGuestMachine } from './guest-machine.ts';
import type { Host } from './host.ts';
import { columns, kindHelp } from './kind-help.ts';
import { machineFrom } from './machine-options.ts';
import { checkWritable, makeDirectory, type TraceFormat, traceOutput, writeWhole } from './output-file.ts';
import { exampleFor, exampleGuest, exampleList } from './package-files.ts';
import { loadPlugins } from './plugins.ts';
import { Reporter } from './reporter.ts';
import type { MONITOR_OPTIONS, REPORT_OPTIONS, RUN_OPTIONS, SAVE_OPTIONS } from './table.ts';
import { parseCount, parsePair, parseTime } from './values.ts';
import { type Verdict, verdictLine, verdictOf } from './verdict.ts';

type RunOptions = OptionsOf<typeof RUN_OPTIONS>;

/** Explanations printed in full; a guest can fault for ever. */
const MAX_EXPLAINED = 20;

/** @param reportFile where a report goes that another option than --report asks for */
export async function run(
  context: Context,
  invocation: Invocation<typeof RUN_OPTIONS>,
  reportFile?: string,
): Promise<ExitCode> {
  const { options } = invocation;
  const { host } = context;
  const backend = await context.backend();
  const registry = backend.registry();
  await loadPlugins(options.plugin, registry, host.cwd);
  const help = await valueHelp(options, registry);
  if (help !== undefined) {
    host.out(help);
    return EXIT.ok;
  }
  const accepted = options.plugin.length === 0 ? await context.accepted() : undefined;
  const file = guestOf(options, invocation.operands[0]);
  const config = await machineFrom(withGuestMachine(options, file, registry), registry, accepted);
  if (options.trace.includes('help')) {
    host.out(viewText(backend, config, registry, 'trace'));
    return EXIT.ok;
  }
  if (options['dump-config']) {
    host.out(`${JSON.stringify(configToJson(config), null, 2)}\n`);
    return EXIT.ok;
  }
  if (options['dump-acpi'] !== undefined) dumpAcpi(options['dump-acpi'], backend, config, registry);
  if (file === undefined) {
    if (options['dump-acpi'] !== undefined) return EXIT.ok;
    throw new TsvmmError({
      code: 'missing-operand',
      object: `tsvmm ${invocation.command.name}`,
      why: 'needs a guest',
      mend: 'name a .c, .wat or .wasm file, or use --example',
    });
  }
  const linked = options.example === undefined ? file : exampleFor(file, config.machine);
  const guest = guestFile(options, linked, invocation.rest);
  const report = reportOf(
    reportFile ?? (options as Partial<OptionsOf<typeof REPORT_OPTIONS>>).report,
    configToJson(config),
  );
  const watched = { guest: basename(linked), seed: config.seed, options, ...report };
  const save = saveOf(options as SaveOptions);
  const monitor = monitorOf(options as MonitorOptions, options.json, host);
  return supervise(context, watched, (observer, limits, trace) => {
    const traced = trace === undefined ? {} : { trace };
    const attached = monitor === undefined ? {} : { monitor };
    const reported = report === undefined ? {} : { report: { globs: options.trace } };
    const { record } = options as RecordOptions;
    const recorded = record === undefined ? {} : { record };
    const common = { config, registry, guest, limits, observer, color: host.color, plugins: options.plugin };
    const request = { ...common, ...traced, ...attached, ...reported, ...recorded };
    return save === undefined ? backend.run(request) : backend.save(request, save);
  });
}

/** Options that list what can be given to them. */
async function valueHelp(options: RunOptions, registry: Registry): Promise<string | undefined> {
  if (options.example === 'help') return columns(exampleList());
  return (
    (await kindHelp('--device', options.device, registry)) ??
    (await kindHelp('--viommu', options.viommu === undefined ? [] : [options.viommu], registry))
  );
}

export function viewText(backend: Backend, config: MachineConfig, registry: Registry, name: string): string {
  const views = backend.views(config, registry).filter((view) => view.name === name);
  return views.map((view) => `${view.text().trimEnd()}\n`).join('');
}

function dumpAcpi(directory: string, backend: Backend, config: MachineConfig, registry: Registry): void {
  const files = backend.acpi(config, registry);
  makeDirectory(directory);
  for (const { name, bytes } of files) writeWhole(join(directory, name), bytes);
}

export function guestOf(
  options: Pick<RunOptions, 'example'>,
  operand: string | undefined,
): string | undefined {
  if (options.example === undefined) return operand;
  if (operand === undefined) return exampleGuest(options.example);
  throw new TsvmmError({
    code: 'two-guests',
    object: `--example ${options.example}`,
    why: `'${operand}' is a guest too`,
    mend: 'give one of the two',
  });
}

export function guestFile(
  options: Pick<RunOptions, 'cc' | 'env' | 'file'>,
  file: string,
  args: readonly string[],
): GuestFile {
  return {
    file,
    cc: options.cc ?? 'bundled',
    args: [basename(file), ...args],
    env: Object.fromEntries(options.env.map((text) => parsePair(text, '--env', 'NAME=VALUE'))),
    files: new Map(
      options.file.map((text) => {
        const [guestPath, hostPath] = parsePair(text, '--file', 'GUESTPATH=HOSTPATH');
        return [guestPath, readHostFile(hostPath)];
      }),
    ),
  };
}

function readHostFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw new TsvmmError({ code: 'unreadable-file', object: path, why, mend: 'check --file', cause });
  }
}

type RecordOptions = { readonly record?: string };
type MonitorOptions = Partial<OptionsOf<typeof MONITOR_OPTIONS>>;

/** What --monitor, --qmp and -S ask for. `snapshot save` has none of them. */
export function monitorOf(options: MonitorOptions, json: boolean, host: Host): MonitorAttachment | undefined {
  const { monitor = [], qmp = [], hold = false } = options;
  const endpoints = [
    ...monitor.map((text) => parseEndpoint(text, 'text', '--monitor')),
    ...qmp.map((text) => parseEndpoint(text, 'qmp', '--qmp')),
  ];
  const stdio = endpoints.filter((e) => e.path === undefined && e.host === undefined).length;
  if (stdio > 1 || (stdio === 1 && json)) {
    throw new TsvmmError({
      code: 'bad-value',
      object: '--monitor stdio',
      why: json ? 'stdout has one JSON object and nothing else with --json' : 'there is one terminal',
      mend: 'write --monitor unix:PATH',
    });
  }
  if (hold && endpoints.length === 0) {
    throw new TsvmmError({
      code: 'missing-option',
      object: '-S',
      why: 'nobody could let the guest go',
      mend: 'add --monitor stdio, or another monitor',
    });
  }
  if (endpoints.length === 0) return undefined;
  return {
    endpoints,
    held: hold,
    out: (text) => host.out(text),
    print: (line) => host.err(`${line}\n`),
    listening: (where) => {
      for (const e of where)
        host.err(`tsvmm: ${e.kind === 'qmp' ? 'QMP' : 'monitor'} at ${endpointText(e)}\n`);
    },
  };
}

type SaveOptions = Partial<OptionsOf<typeof SAVE_OPTIONS>>;

/** What `--out` and the options beside it ask for. */
export function saveOf({ out, at, point, force }: SaveOptions): SaveRequest | undefined {
  if (out === undefined) return undefined;
  const n = at === undefined ? 1 : parseCount(at, '--at');
  if (n > 0) {
    return {
      dir: out,
      at: n,
      force: force ?? false,
      ...(point === undefined ? {} : { point: point as 'wfi' | 'yield' }),
    };
  }
  throw new TsvmmError({ code: 'bad-value', object: '--at', why: 'counts from 1', mend: 'write --at 1' });
}

/**
 * Where the report of a run goes. The file is looked at before the run, not only after it.
 * @param machine as --config reads it
 */
export function reportOf(file: string | undefined, machine: unknown): Pick<Watched, 'deliver'> | undefined {
  if (file === undefined) return undefined;
  checkWritable(file);
  return {
    async deliver(verdict, { inside }) {
      if (inside === undefined) return;
      const { writeReport } = await import('./report.ts');
      writeReport(file, verdict, machine, inside);
    },
  };
}

export interface Watched {
  readonly guest: string;
  readonly seed: number | null;
  readonly options: Pick<RunOptions, 'trace' | 'trace-file' | 'trace-format' | 'json' | 'quiet'> &
    Partial<Pick<RunOptions, 'fuel' | 'timeout'>>;
  /** Told how the run ended, before anybody else. */
  readonly deliver?: (verdict: Verdict, outcome: RunOutcome) => Promise<void>;
  /** The command that does the run again, where it is not recorded. */
  readonly replay?: string;
}

type Start = (
  observer: RunObserver,
  limits: RunLimits,
  trace: TraceRequest | undefined,
) => Promise<RunOutcome>;

/** Runs, shows what happens on the way, and tells the verdict. */
export async function supervise(context: Context, watched: Watched, start: Start): Promise<ExitCode> {
  const { options, deliver } = watched;
  const { host } = context;
  const reporter = new Reporter(host, options.quiet || options.json);
  const limits = limitsOf(options);
  const trace = openTrace(context, options);
  const tap = new TapParser();
  const console_: Uint8Array[] = [];
  const observer: RunObserver = {
    console(bytes) {
      tap.write(bytes);
      if (options.json || deliver !== undefined) console_.push(bytes.slice());
      if (options.json) return;
      reporter.clear();
      trace?.output.flush();
      host.out(bytes);
    },
    earlier: (bytes) => tap.write(bytes),
    stage: (stage) => reporter.progress(stage, watched.guest),
    diagnostics: (text) => reporter.say(text),
  };
  let outcome: RunOutcome;
  try {
    outcome = await start(observer, limits, trace?.request);
    trace?.output.close(outcome);
  } catch (error) {
    trace?.output.discard();
    reporter.clear();
    throw error;
  }
  const judged = verdictOf({
    guest: watched.guest,
    seed: watched.seed,
    outcome,
    tap: tap.end(),
    console: Buffer.concat(console_).toString('utf8'),
  });
  const verdict =
    judged.exitCode === EXIT.ok ? judged : { ...judged, replay: await replayOf(watched, outcome) };
  await deliver?.(verdict, outcome);
  if (options.json) host.out(`${JSON.stringify(verdict)}\n`);
  else tell(reporter, verdict);
  return verdict.exitCode;
}

/** The command that does the run again. */
async function replayOf({ replay }: Watched, { record }: RunOutcome): Promise<string | null> {
  const file = replay === undefined ? await record?.() : undefined;
  return replay ?? (file === undefined ? null : `tsvmm replay ${shellWord(file)}`);
}

/** A word of a command line as a shell reads it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function limitsOf({ fuel, timeout }: Pick<Watched['options'], 'fuel' | 'timeout'>): RunLimits {
  return {
    ...(fuel === undefined ? {} : { fuel: parseCount(fuel, '--fuel') }),
    ...(timeout === undefined ? {} : { timeoutNs: parseTime(timeout, '--timeout') }),
  };
}

function openTrace({ host }: Context, options: Watched['options']) {
  const file = options['trace-file'];
  const format = options['trace-format'] as TraceFormat | undefined;
  if (options.trace.length === 0) {
    if (file === undefined && format === undefined) return undefined;
    throw new TsvmmError({
      code: 'missing-option',
      object: file === undefined ? '--trace-format' : '--trace-file',
      why: 'nothing is traced',
      mend: "add --trace '*'",
    });
  }
  const output = traceOutput(host, file, format);
  return { output, request: { globs: options.trace, sink: output.sink } };
}

function explain(reporter: Reporter, faults: readonly ExplainedFault[]): void {
  for (const fault of faults.slice(0, MAX_EXPLAINED)) reporter.say(reporter.ink('yellow', faultText(fault)));
  const more = faults.length - MAX_EXPLAINED;
  if (more <= 0) return;
  const capped = faults.length === KEPT_FAULTS;
  const [count, listed] = capped ? [`at least ${more}`, `the first ${KEPT_FAULTS}`] : [more, 'them'];
  reporter.say(`tsvmm: ${count} more DMA faults are not shown; --json lists ${listed}`);
}

function tell(reporter: Reporter, verdict: Verdict): void {
  reporter.clear();
  explain(reporter, verdict.faults);
  if (verdict.report !== null) reporter.say(verdict.report);
  const good = verdict.exitCode === EXIT.ok;
  const word = reporter.ink(good ? 'green' : 'red', verdict.verdict);
  reporter.note(`tsvmm: ${word} ${verdictLine(verdict)}`);
  if (verdict.replay !== null) reporter.note(`replay: ${verdict.replay}`);
}
