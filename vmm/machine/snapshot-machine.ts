/** Snapshots of a machine on which no guest runs: RAM and the units of the machine. */

import { TsvmmError } from '../core/errors.ts';
import { damaged, readSnapshot, type Snapshot, writeSnapshot } from '../state/container.ts';
import { decodePages, encodePages, pageIndexes } from '../state/container-pages.ts';
import type { Json } from '../state/schema.ts';
import { configToJson } from './config.ts';
import type { Machine } from './machine.ts';
import { checkSaveable } from './snapshot-check.ts';
import { machineUnits } from './snapshot-units.ts';

const RAM_FILE = 'ram.bin';

export interface MachineSaveOptions {
  /** Version of tsvmm, for the manifest. */
  readonly program: string;
  /** Replace a snapshot that is there. */
  readonly force?: boolean;
}

/** @throws TsvmmError when the place cannot be written */
export function saveMachineSnapshot(machine: Machine, dir: string, options: MachineSaveOptions): void {
  const { ram } = machine;
  checkSaveable(machine);
  if (ram.highSize > 0) {
    throw new TsvmmError({
      code: 'high-ram',
      object: 'snapshot',
      why: 'RAM above 4 GiB cannot be saved',
      mend: 'give the machine 2 GiB or less',
    });
  }
  const units = new Map(machineUnits(machine).map((unit) => [unit.id, unit.save()]));
  const files = new Map([[RAM_FILE, encodePages(ram.u8, ram.base, ram.end)]]);
  const config = configToJson(machine.config) as Json;
  writeSnapshot(dir, { program: options.program, config, units, files }, { force: options.force === true });
}

/** Makes a machine what a snapshot of the same machine says. @throws TsvmmError, and the machine is as it was */
export function loadMachineSnapshot(machine: Machine, dir: string): void {
  checkSaveable(machine);
  const snapshot = readSnapshot(dir);
  checkSameMachine(machine, snapshot, dir);
  const before = machineUnits(machine).map((unit) => [unit, unit.save()] as const);
  try {
    loadInto(machine, snapshot, dir);
  } catch (error) {
    for (const [unit, saved] of before) unit.load(saved);
    for (const [unit] of before) unit.loaded?.();
    throw error;
  }
}

/** The devices, memory and clock of a snapshot; what belongs to a guest in it is left alone. @throws TsvmmError */
export function loadInto(machine: Machine, snapshot: Snapshot, dir: string): void {
  const { ram } = machine;
  const units = machineUnits(machine);
  const bytes = snapshot.files.get(RAM_FILE);
  if (bytes === undefined) throw damaged(dir, RAM_FILE, 'is missing');
  const pages = pageIndexes(bytes, ram.base, ram.end);
  if (typeof pages === 'string') throw damaged(dir, RAM_FILE, pages);
  for (const unit of units) {
    const saved = snapshot.units.get(unit.id);
    if (saved === undefined) throw damaged(dir, 'state.json', `lacks the unit '${unit.id}'`);
    unit.load(saved);
  }
  const wrong = decodePages(bytes, ram.u8, ram.base, ram.end);
  if (wrong !== undefined) throw damaged(dir, RAM_FILE, wrong);
  for (const unit of units) unit.loaded?.();
}

/** @throws TsvmmError for a snapshot of a machine with another description */
export function checkSameConfig(machine: Machine, snapshot: Snapshot, dir: string): void {
  const same =
    JSON.stringify(snapshot.config) ===
    JSON.stringify(JSON.parse(JSON.stringify(configToJson(machine.config))));
  if (same) return;
  throw new TsvmmError({
    code: 'foreign-state',
    object: dir,
    why: 'is of another machine',
    mend: 'load it into the machine it was saved from',
  });
}

function checkSameMachine(machine: Machine, snapshot: Snapshot, dir: string): void {
  checkSameConfig(machine, snapshot, dir);
  const known = new Set(machineUnits(machine).map((unit) => unit.id));
  const extra = [...snapshot.units.keys()].find((id) => !known.has(id));
  if (extra !== undefined)
    throw damaged(dir, 'state.json', `has a unit '${extra}', which this machine does not have`);
}
