/** Whole-machine snapshots: RAM, every unit, and the guest's module, between a suspended session and a directory. */

import { damaged, type Snapshot } from '../state/container.ts';
import { decodePages, encodePages, pageIndexes } from '../state/container-pages.ts';
import type { Json } from '../state/schema.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import { programsOf } from '../vcpu/process/program.ts';
import { decodeRewritten, encodeRewritten } from '../vcpu/rewrite/index.ts';
import { configToJson, type MachineConfig, parseMachineConfig } from './config.ts';
import type { GuestModule } from './guest-module.ts';
import { addressMapOf } from './platforms/platforms.ts';
import type { Registry } from './registry.ts';
import type { Session } from './session.ts';
import { checkSaveable } from './snapshot-check.ts';
import { badUnit, guestUnits, INPUTS, machineUnits } from './snapshot-units.ts';

const RAM_FILE = 'ram.bin';
/** As its author's tools made it: names and debug information. */
const ORIGINAL_FILE = 'guest.wasm';
/** As it runs: the frames of the guest's stack fit these very bytes only. */
const REWRITTEN_FILE = 'guest.rewritten';
const INPUTS_UNIT = 'inputs';

/** A program of user mode as it runs; its author's module is a section of the guest's. */
const programFile = (index: number): string => `program${index}.rewritten`;

/** What a guest was started with, and what it has printed: the verdict needs all of it. */
export interface GuestInputs {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The suspended session as a snapshot. @throws TsvmmError for a machine that cannot be saved */
export function takeSnapshot(
  session: Session,
  inputs: GuestInputs,
  console: Uint8Array,
  program: string,
): Snapshot {
  const { machine, guest } = session;
  checkSaveable(machine);
  const { ram } = machine;
  const files = new Map<string, Uint8Array>([
    [RAM_FILE, encodePages(ram.u8, ram.base, ram.end)],
    [ORIGINAL_FILE, guest.original],
    [REWRITTEN_FILE, encodeRewritten(guest.rewritten)],
  ]);
  for (const [i, image] of (guest.programs ?? []).entries())
    files.set(programFile(i), encodeRewritten(image.rewritten));
  const units = new Map<string, Snapshot['units'] extends ReadonlyMap<string, infer U> ? U : never>();
  for (const unit of unitsOf(session, inputs, console)) {
    units.set(unit.id, unit.save());
    if (unit.bulk !== undefined) files.set(bulkFile(unit.id), unit.bulk.save());
  }
  return { program, config: configToJson(machine.config) as Json, units, files };
}

/** Which machine a snapshot needs. @throws TsvmmError */
export async function configOf(snapshot: Snapshot, registry: Registry, dir: string): Promise<MachineConfig> {
  const z = await import('zod');
  return parseMachineConfig(z, registry, snapshot.config, `${dir}/config.json`);
}

/** RAM, and with it the guest's module, are those of a machine of one size. @throws TsvmmError */
export function checkRam(snapshot: Snapshot, config: MachineConfig, dir: string): void {
  const { ramBase } = addressMapOf(config.machine);
  const end = ramBase + config.memory;
  const pages = pageIndexes(fileOf(snapshot, dir, RAM_FILE), ramBase, end);
  if (typeof pages === 'string') throw damaged(dir, RAM_FILE, pages);
}

/** Which guest ran on it, and what it had been given and had printed. @throws TsvmmError */
export function guestOf(
  snapshot: Snapshot,
  dir: string,
): { guest: GuestModule; inputs: GuestInputs; console: Uint8Array } {
  const holder = inputsUnit(undefined, { args: [], env: {}, files: new Map() });
  loadUnit(holder.unit, snapshot, dir);
  const { guest: file, guarded, stackLow } = holder.state();
  const original = fileOf(snapshot, dir, ORIGINAL_FILE);
  const programs = programsOf(original).map((program, i) => ({
    ...program,
    rewritten: decodeRewritten(fileOf(snapshot, dir, programFile(i))),
  }));
  const guest = {
    file,
    original,
    rewritten: decodeRewritten(fileOf(snapshot, dir, REWRITTEN_FILE)),
    stackLow: guarded ? stackLow : undefined,
    suspendable: true,
    ...(programs.length === 0 ? {} : { programs }),
  } as const;
  return { guest, inputs: holder.inputs(), console: fileOf(snapshot, dir, bulkFile('console')) };
}

/** Makes a session that has not run yet what the snapshot says. @throws TsvmmError */
export function restore(session: Session, snapshot: Snapshot, inputs: GuestInputs, dir: string): void {
  checkSaveable(session.machine);
  const { ram } = session.machine;
  const units = unitsOf(session, inputs, new Uint8Array(0));
  checkComplete(units, snapshot, dir);
  // RAM after instantiation, which has written the module's data segments.
  const wrong = decodePages(fileOf(snapshot, dir, RAM_FILE), ram.u8, ram.base, ram.end);
  if (wrong !== undefined) throw damaged(dir, RAM_FILE, wrong);
  for (const unit of units) loadUnit(unit, snapshot, dir);
  for (const unit of units) unit.loaded?.();
}

function unitsOf(session: Session, inputs: GuestInputs, console: Uint8Array): SnapshotUnit[] {
  return [
    ...machineUnits(session.machine),
    ...guestUnits(session),
    inputsUnit(session.guest, inputs).unit,
    consoleUnit(console),
  ];
}

/** Missing and extra units and files are errors alike: a part that nobody asked for is a part that got lost. */
function checkComplete(units: readonly SnapshotUnit[], snapshot: Snapshot, dir: string): void {
  const ids = new Set(units.map((unit) => unit.id));
  const missing = units.find((unit) => !snapshot.units.has(unit.id));
  if (missing !== undefined) throw damaged(dir, 'state.json', `lacks the unit '${missing.id}'`);
  const extra = [...snapshot.units.keys()].find((id) => !ids.has(id));
  if (extra !== undefined)
    throw damaged(dir, 'state.json', `has a unit '${extra}', which this machine does not have`);
  const bulk = units.filter((unit) => unit.bulk !== undefined).map((unit) => bulkFile(unit.id));
  const programs = [...snapshot.files.keys()].filter((name) => /^program\d+\.rewritten$/.test(name));
  const known = new Set([RAM_FILE, ORIGINAL_FILE, REWRITTEN_FILE, ...programs, ...bulk]);
  const file = [...snapshot.files.keys()].find((name) => !known.has(name));
  if (file !== undefined) throw damaged(dir, file, 'belongs to no unit of this machine');
}

function loadUnit(unit: SnapshotUnit, snapshot: Snapshot, dir: string): void {
  const saved = snapshot.units.get(unit.id);
  if (saved === undefined) throw damaged(dir, 'state.json', `lacks the unit '${unit.id}'`);
  unit.bulk?.load(fileOf(snapshot, dir, bulkFile(unit.id)));
  unit.load(saved);
}

function bulkFile(id: string): string {
  return `${id}.bin`;
}

function fileOf(snapshot: Snapshot, dir: string, name: string): Uint8Array {
  const bytes = snapshot.files.get(name);
  if (bytes === undefined) throw damaged(dir, name, 'is missing');
  return bytes;
}

/** What the guest has printed so far: TAP is judged as a whole. */
function consoleUnit(console: Uint8Array): SnapshotUnit {
  return {
    id: 'console',
    save: () => ({ kind: 'console', version: 1, body: {} }),
    load(unit) {
      if (unit.kind !== 'console' || unit.version !== 1) throw badUnit('console', 'is of another kind');
    },
    bulk: { save: () => console, load: () => {} },
  };
}

function inputsUnit(guest: GuestModule | undefined, given: GuestInputs) {
  let state = INPUTS.fresh();
  let contents: Uint8Array = Buffer.concat([...given.files.values()]);
  const unit: SnapshotUnit = {
    id: INPUTS_UNIT,
    save() {
      state = {
        guest: guest?.file ?? '',
        guarded: guest?.stackLow !== undefined,
        stackLow: guest?.stackLow ?? 0,
        args: given.args.map((text) => ({ text })),
        env: Object.entries(given.env).map(([name, value]) => ({ name, value })),
        files: [...given.files].map(([path, bytes]) => ({ path, bytes: bytes.length })),
      };
      return INPUTS.save(state);
    },
    load: (saved) => INPUTS.load(state, saved, INPUTS_UNIT),
    bulk: { save: () => contents, load: (bytes) => void (contents = bytes) },
  };
  const inputs = (): GuestInputs => {
    let at = 0;
    const files = new Map(
      state.files.map(({ path, bytes }) => [path, contents.subarray(at, (at += bytes))] as const),
    );
    if (at !== contents.length) throw badUnit(INPUTS_UNIT, 'has files that do not match their contents');
    return {
      args: state.args.map((arg) => arg.text),
      env: Object.fromEntries(state.env.map(({ name, value }) => [name, value])),
      files,
    };
  };
  return { unit, state: () => state, inputs };
}
