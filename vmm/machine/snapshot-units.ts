/** Everything a run's state consists of, as units: what is not in this list is not in a snapshot. */

import type { ExplainedFault } from '../bus/iommu.ts';
import { TsvmmError } from '../core/errors.ts';
import { defineState, type SavedUnit, type StateDef } from '../state/define.ts';
import { bool, count, type Json, list, number, text, words } from '../state/schema.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import { cpuImageUnit } from '../vcpu/asyncify/cpu-image.ts';
import { processesUnit } from '../vcpu/process/state.ts';
import { VCPU_STATE } from '../vcpu/run/state.ts';
import type { Machine } from './machine.ts';
import type { Session } from './session.ts';

const CLOCK = defineState('clock', 1, {
  now: number,
  seq: count,
  queue: list({ at: number, seq: count, dev: text, ev: text, arg: number }),
});
const RNG = defineState('rng', 1, { s: words(4) });
const TRACE = defineState('trace', 1, { recent: list({ time: number, name: text, args: text }) });
/** What was given to the guest at start. */
export const INPUTS = defineState('inputs', 1, {
  guest: text,
  guarded: bool,
  stackLow: count,
  args: list({ text }),
  env: list({ name: text, value: text }),
  files: list({ path: text, bytes: count }),
});

/** The machine without its guest. */
export function machineUnits(machine: Machine): SnapshotUnit[] {
  const devices = [...machine.devices].map(
    ([id, device]): SnapshotUnit => ({
      id,
      save: () => device.stateDef().save(device.s),
      load: (unit) => device.stateDef().load(device.s, unit, id),
      loaded: () => device.dropCache(),
    }),
  );
  return [...devices, clockUnit(machine), rngUnit(machine), faultsUnit(machine), traceUnit(machine)];
}

/** The guest on it. */
export function guestUnits(session: Session): SnapshotUnit[] {
  const { vcpu, wasi, instance, guest, machine } = session;
  const { memory, layout } = machine.ram;
  return [
    stateUnit('vcpu', VCPU_STATE, vcpu.s),
    cpuImageUnit({ instance, rewritten: guest.rewritten, memory, layout }),
    ...(wasi === undefined ? [] : [wasi.unit]),
    ...(session.processes === undefined ? [] : [processesUnit(session.processes)]),
  ];
}

/** A unit whose state lives in one object. */
export function stateUnit<T>(id: string, def: StateDef<T>, state: T): SnapshotUnit {
  return { id, save: () => def.save(state), load: (unit) => def.load(state, unit, id) };
}

function clockUnit({ clock }: Machine): SnapshotUnit {
  return {
    id: 'clock',
    save() {
      const { now, seq, queue } = clock.save();
      return CLOCK.save({ now, seq, queue: queue.map((event) => ({ ...event })) });
    },
    load(unit) {
      const state = CLOCK.fresh();
      CLOCK.load(state, unit, 'clock');
      const lost = state.queue.find((event) => !clock.handles(event.dev));
      if (lost !== undefined) throw badUnit('clock', `has an event of the unknown device '${lost.dev}'`);
      clock.load(state);
    },
  };
}

function rngUnit({ rng }: Machine): SnapshotUnit {
  return stateUnit('rng', RNG, { s: rng.s });
}

/** The faults so far: reports and the verdict list them. */
function faultsUnit({ faults }: Machine): SnapshotUnit {
  return {
    id: 'faults',
    save: () => ({ kind: 'faults', version: 1, body: JSON.parse(JSON.stringify(faults)) as Json }),
    load(unit) {
      checkKind('faults', unit);
      if (!Array.isArray(unit.body)) throw badUnit('faults', 'is not a list');
      faults.splice(0, faults.length, ...(unit.body as unknown as ExplainedFault[]));
    },
  };
}

/** The last events, which crash reports print. */
function traceUnit({ tracer }: Machine): SnapshotUnit {
  return {
    id: 'trace',
    save: () =>
      TRACE.save({
        recent: tracer.recent().map(({ time, name, args }) => ({ time, name, args: JSON.stringify(args) })),
      }),
    load(unit) {
      const state = TRACE.fresh();
      TRACE.load(state, unit, 'trace');
      const records = state.recent.map(({ time, name, args }) => ({ time, name, args: eventArgs(args) }));
      tracer.restoreRecent(records);
    },
  };
}

function eventArgs(json: string): (number | string)[] {
  try {
    const args: unknown = JSON.parse(json);
    if (Array.isArray(args)) return args as (number | string)[];
  } catch {
    // Falls through to the refusal.
  }
  throw badUnit('trace', 'has an event with bad arguments');
}

function checkKind(kind: string, unit: SavedUnit): void {
  if (unit.kind !== kind || unit.version !== 1)
    throw badUnit(kind, `is a '${unit.kind}' of version ${unit.version}`);
}

export function badUnit(id: string, why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-state',
    object: id,
    why,
    mend: 'the snapshot is damaged or was made by another program',
  });
}
