/** `tsvmm matrix`: one guest on emulated and on assigned devices. */

import { basename } from 'node:path';
import { completeOptions } from '../bus/iommu.ts';
import { EXIT, type ExitCode, TsvmmError } from '../core/errors.ts';
import type { FunctionEntry } from '../host/model/file.ts';
import type { HostDescription } from '../host/model/host.ts';
import { HOST_EVENT } from '../host/model/host-events.ts';
import type { DeviceConfig, HostConfig, MachineConfig } from '../machine/config.ts';
import type { Registry } from '../machine/registry.ts';
import { TapParser } from '../machine/tap.ts';
import type { PathMode } from '../passthru/guest-device.ts';
import { namedArgs, type TraceRecord } from '../trace/tracer.ts';
import type { Backend, RunLimits, RunOutcome } from './backend.ts';
import type { Invocation } from './command.ts';
import type { Context } from './context.ts';
import { viommusOf, withGuestMachine } from './guest-machine.ts';
import { readHost } from './hosts.ts';
import { COPY_HOST, machineFrom } from './machine-options.ts';
import {
  type Cell,
  compare,
  type Difference,
  gridOf,
  gridText,
  type MachineGrid,
  MODES,
  type Row,
  type Seen,
} from './matrix-grid.ts';
import { exampleFor, hostNames } from './package-files.ts';
import { Reporter } from './reporter.ts';
import { guestFile, guestOf, limitsOf } from './run.ts';
import type { MATRIX } from './table.ts';
import { parseKindSpec } from './values.ts';
import { quirksText } from './vconfig-files.ts';
import { verdictOf } from './verdict.ts';

type Asked = Invocation<typeof MATRIX.options>;

interface NamedHost {
  readonly name: string;
  readonly description: HostDescription;
}

export async function matrix(context: Context, asked: Asked): Promise<ExitCode> {
  const { options, operands } = asked;
  const file = guestOf(options, operands[0]);
  if (file === undefined) {
    throw new TsvmmError({
      code: 'missing-operand',
      object: 'tsvmm matrix',
      why: 'needs a guest',
      mend: 'name a .c, .wat or .wasm file, or use --example',
    });
  }
  const backend = await context.backend();
  const registry = backend.registry();
  const hosts: NamedHost[] = [];
  for (const name of new Set(options.host.length === 0 ? hostNames() : options.host))
    hosts.push({ name, description: await readHost(name, registry) });
  const machines: MachineGrid[] = [];
  for (const viommu of viommusToRun(options.viommu, file)) {
    const config = await emulatedMachine(context, asked, file, viommu, registry);
    machines.push(await machineGrid(new Player(context, backend, registry, asked, file), config, hosts));
  }
  const grid = gridOf(basename(file), machines);
  context.host.out(options.json ? `${JSON.stringify(grid)}\n` : gridText(grid));
  return grid.agree ? EXIT.ok : EXIT.guestFailed;
}

/** Undefined stands for the machine that a guest gets which asks for none. */
function viommusToRun(chosen: string | undefined, file: string): readonly (string | undefined)[] {
  if (chosen !== undefined) {
    if (parseKindSpec(chosen, '--viommu').kind === COPY_HOST) throw copiesManyHosts();
    return [chosen];
  }
  const named = viommusOf(file);
  return named.length === 0 ? [undefined] : named;
}

/** The emulated run has no host, and each row another one: what is compared would be different guests. */
const copiesManyHosts = (): TsvmmError =>
  new TsvmmError({
    code: 'many-hosts',
    object: '--viommu copy-host',
    why: 'is made after one host, and the grid compares machines that have the same IOMMU on every host',
    mend: "name an IOMMU; 'tsvmm info passthrough --viommu copy-host' tells which it would be",
  });

async function emulatedMachine(
  context: Context,
  { options }: Asked,
  file: string,
  viommu: string | undefined,
  registry: Registry,
): Promise<MachineConfig> {
  const wanted = {
    machine: undefined,
    highmem: undefined,
    viommu,
    device: [],
    host: undefined,
    fallback: undefined,
    verify: false,
    'vconfig-quirks': undefined,
    'vconfig-policy': undefined,
    memory: undefined,
    firmware: undefined,
    seed: options.seed,
    config: undefined,
    plugin: [],
  };
  return machineFrom(withGuestMachine(wanted, file, registry), registry, await context.accepted());
}

async function machineGrid(
  player: Player,
  config: MachineConfig,
  hosts: readonly NamedHost[],
): Promise<MachineGrid> {
  const matches = hosts.map((host) => ({ host, match: matchOf(host.description, config.devices) }));
  if (matches.every(({ match }) => match === undefined)) {
    throw new TsvmmError({
      code: 'nothing-to-assign',
      object: config.devices.map(({ kind }) => kind).join(', ') || 'a machine without devices',
      why: 'none of the hosts has such a device',
      mend: "see 'tsvmm host show'",
    });
  }
  const emulated = await player.play(config, 'emulated');
  const rows: Row[] = [];
  for (const { host, match } of matches) rows.push(await rowOf(player, config, host, match, emulated));
  const { viommu } = config;
  return {
    machine: config.machine,
    viommu: viommu === null ? 'no IOMMU' : viommu.kind,
    emulated: emulated.end,
    rows,
  };
}

interface Match {
  readonly device: DeviceConfig;
  readonly entry: FunctionEntry;
}

/** The guest's first device of a kind that the host has, and the first such device of the host. */
function matchOf({ functions }: HostDescription, devices: readonly DeviceConfig[]): Match | undefined {
  for (const device of devices) {
    const found = functions.find(({ entry }) => entry.model?.kind === device.kind);
    if (found !== undefined) return { device, entry: found.entry };
  }
  return undefined;
}

async function rowOf(
  player: Player,
  config: MachineConfig,
  { name, description }: NamedHost,
  match: Match | undefined,
  emulated: Played,
): Promise<Row> {
  if (match === undefined) {
    const cells = MODES.map((mode) => cannot(mode, 'the host has no such device'));
    return { host: name, address: null, device: null, unlike: [], cells };
  }
  const { device, entry } = match;
  const host = (fallback: HostConfig['fallback']) => ({
    file: description.file as unknown as HostConfig['file'],
    source: name,
    fallback,
    verify: player.verify,
  });
  const assigned = (mode: string, fallback: HostConfig['fallback']): MachineConfig => ({
    ...config,
    host: host(fallback),
    vconfigQuirks: quirksText(undefined),
    devices: config.devices.map((one) =>
      one === device ? { ...one, kind: 'vfio-pci', options: { host: entry.address, mode } } : one,
    ),
  });
  const cells: Cell[] = [];
  for (const mode of MODES) {
    // A path of the hardware counts only where that can do all of it, which is what forbid asks for.
    const possible = mode === 'software' ? undefined : assigned(mode, 'forbid');
    cells.push(await player.cell(mode, possible, assigned(mode, 'explain'), device.id, emulated));
  }
  const unlike = unlikeOptions(player.registry, device, entry);
  return { host: name, address: entry.address, device: device.id, unlike, cells };
}

function cannot(mode: PathMode, why: string): Cell {
  return { mode, state: 'cannot', why, moved: false, end: null, line: null, event: null };
}

/** A device of a host is as its file says, whatever the guest asks of an emulated one. */
function unlikeOptions(
  registry: Registry,
  { kind, options }: DeviceConfig,
  { model }: FunctionEntry,
): string[] {
  const given = { ...model!.options };
  const real = completeOptions(registry.pci(kind), given) as Readonly<Record<string, unknown>>;
  return Object.keys(real)
    .filter((key) => JSON.stringify(real[key]) !== JSON.stringify(options[key]))
    .map((key) => `${key} of the host's device is ${real[key]}, of the emulated one ${options[key]}`);
}

interface Played extends Seen {
  readonly events: Events;
  readonly outcome: RunOutcome;
}

/** Events of a run; of the runs after the first one only where they differ. */
class Events {
  readonly list: string[] = [];
  readonly #like: Events | undefined;
  #count = 0;
  #difference: Difference | null = null;

  constructor(like: Events | undefined) {
    this.#like = like;
  }

  /** Without its time: the paths take different times. */
  readonly sink = (record: TraceRecord): void => {
    if (this.#difference !== null || this.#count === MOST_EVENTS || record.name.startsWith(HOST_EVENT))
      return;
    const args = Object.entries(namedArgs(record)).map(([name, value]) => ` ${name}=${value}`);
    const text = `${record.name}${args.join('')}`;
    const at = this.#count++;
    if (this.#like === undefined) this.list.push(text);
    else if (this.#like.list[at] !== text) this.#difference = this.#at(at, text);
  };

  /** What differs first, once the run is over. */
  get difference(): Difference | null {
    if (this.#difference !== null || this.#like === undefined) return this.#difference;
    return this.#count < this.#like.list.length ? this.#at(this.#count, null) : null;
  }

  #at(at: number, assigned: string | null): Difference {
    return { number: at + 1, emulated: this.#like!.list[at] ?? null, assigned };
  }
}

/** For guests that are short, and wait longer where the path takes longer. */
const SPARE_FUEL = 10_000_000;
const MOST_EVENTS = 1_000_000;
/** Of the modelled host; what the real one refuses, as a full disk, is no matter of the grid. */
const REFUSALS = ['no-nesting', 'host-refused'];

/** Runs the guest on one machine after the other. */
class Player {
  readonly registry: Registry;
  readonly verify: boolean;
  readonly #backend: Backend;
  readonly #asked: Asked;
  readonly #file: string;
  readonly #limits: RunLimits;
  /** Instructions after which a run hangs that does what the emulated one did. */
  #enough = 0;
  readonly #reporter: Reporter;
  readonly #color: boolean;

  constructor({ host }: Context, backend: Backend, registry: Registry, asked: Asked, file: string) {
    this.registry = registry;
    this.verify = asked.options.verify;
    this.#backend = backend;
    this.#asked = asked;
    this.#file = file;
    this.#limits = limitsOf(asked.options);
    this.#reporter = new Reporter(host, asked.options.json);
    this.#color = host.color;
  }

  /** @param possible a machine that there is only where the host can do what the cell is about */
  async cell(
    mode: PathMode,
    possible: MachineConfig | undefined,
    config: MachineConfig,
    device: string,
    emulated: Played,
  ): Promise<Cell> {
    let played: Played;
    try {
      if (possible !== undefined) this.#backend.views(possible, this.registry);
      played = await this.play(config, `${config.host!.source}, ${mode}`, emulated.events);
    } catch (error) {
      if (!(error instanceof TsvmmError) || !REFUSALS.includes(error.code)) throw error;
      return cannot(mode, reasonOf(error));
    }
    const { state, end, line } = compare(emulated, played);
    const path = pathOf(played.outcome, device);
    const moved = path !== undefined && path.path !== mode;
    const event = state === 'differs' ? played.events.difference : null;
    return { mode, state, why: moved ? path.reasons.join('; ') : null, moved, end, line, event };
  }

  async play(config: MachineConfig, where: string, like?: Events): Promise<Played> {
    const { options, rest } = this.#asked;
    const linked = exampleFor(this.#file, config.machine);
    const tap = new TapParser();
    const printed: Uint8Array[] = [];
    const events = new Events(like);
    const { trace } = options;
    const observer = {
      console(bytes: Uint8Array) {
        tap.write(bytes);
        printed.push(bytes.slice());
      },
      earlier: () => {},
      stage: (stage: Parameters<Reporter['progress']>[0]) =>
        this.#reporter.progress(stage, `${basename(linked)}: ${where}`),
      // The compiler says the same of each run.
      diagnostics: (text: string) => {
        if (like === undefined) this.#reporter.say(text);
      },
    };
    try {
      const outcome = await this.#backend.run({
        config,
        registry: this.registry,
        guest: guestFile(options, linked, rest),
        limits: like === undefined ? this.#limits : { fuel: this.#enough, ...this.#limits },
        observer,
        color: this.#color,
        plugins: [],
        views: true,
        unexplained: true,
        ...(trace.length === 0 ? {} : { trace: { globs: trace, sink: events.sink } }),
      });
      if (like === undefined) this.#enough = 4 * outcome.instructions + SPARE_FUEL;
      const judged = { guest: basename(linked), seed: config.seed, outcome, tap: tap.end(), console: '' };
      const { verdict, exitStatus, reason } = verdictOf(judged);
      return { end: { verdict, exitStatus, reason }, console: Buffer.concat(printed), events, outcome };
    } finally {
      this.#reporter.clear();
    }
  }
}

/** What it says without the device, which the row names, and the advice, which is for other commands. */
function reasonOf({ message, object }: TsvmmError): string {
  const [text = message] = message.split('; take another host');
  return text.startsWith(`${object}: `) ? text.slice(object.length + 2) : text;
}

interface PathRow {
  readonly id: string;
  readonly path: PathMode;
  readonly reasons: readonly string[];
}

/** By `info passthrough` of the machine as the guest left it. */
function pathOf({ views }: RunOutcome, device: string): PathRow | undefined {
  const view = views?.find(({ name }) => name === 'passthrough')?.json();
  return (view as { readonly devices: readonly PathRow[] } | undefined)?.devices.find(
    ({ id }) => id === device,
  );
}
