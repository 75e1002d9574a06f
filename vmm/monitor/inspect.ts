/** A snapshot, asked without running it. */

import { Machine } from '../machine/machine.ts';
import type { Registry } from '../machine/registry.ts';
import { checkRam, configOf } from '../machine/snapshot.ts';
import { loadInto } from '../machine/snapshot-machine.ts';
import { stateUnit } from '../machine/snapshot-units.ts';
import { readSnapshot, type Snapshot } from '../state/container.ts';
import type { SnapshotUnit } from '../state/unit.ts';
import { VCPU_STATE } from '../vcpu/run/state.ts';
import { MonitorError } from './error.ts';
import { idleControl } from './idle.ts';
import { loadZodNow } from './load-zod.ts';
import { Monitor } from './monitor.ts';
import type { RunControl } from './run-control.ts';
import { completions } from './text.ts';

export interface Inspected {
  execute(line: string): string;
  /** Candidates for the last word of a line. */
  complete(line: string): string[];
  readonly open: boolean;
}

/** @throws TsvmmError when it cannot be read */
export async function inspectSnapshot(dir: string, registry: Registry, program: string): Promise<Inspected> {
  const snapshot = readSnapshot(dir);
  const config = await configOf(snapshot, registry, dir);
  checkRam(snapshot, config, dir);
  const machine = new Machine(config, registry);
  loadInto(machine, snapshot, dir);
  let open = true;
  const monitor = new Monitor({
    machine,
    registry,
    zod: loadZodNow,
    program,
    moreUnits: () => guestUnits(snapshot, dir),
    control: (m) => frozen(idleControl('paused', () => (open = false))(m)),
  });
  return {
    execute: (line) => monitor.execute(line),
    complete: (line) => [...completions(monitor, line)],
    get open() {
      return open;
    },
  };
}

/** What is in the snapshot of the guest's processor. */
function guestUnits(snapshot: Snapshot, dir: string): SnapshotUnit[] {
  const saved = snapshot.units.get('vcpu');
  if (saved === undefined) return [];
  const state = VCPU_STATE.fresh();
  VCPU_STATE.load(state, saved, `${dir}: vcpu`);
  return [stateUnit('vcpu', VCPU_STATE, state)];
}

/** Time does not go on in a snapshot that is looked at. */
function frozen(control: RunControl): RunControl {
  const refuse = (): never => {
    throw new MonitorError("a snapshot that is looked at does not run; use 'tsvmm snapshot load'");
  };
  return {
    status: 'paused',
    hasGuest: false,
    here: () => undefined,
    stop() {},
    cont: refuse,
    step: refuse,
    runUntil: refuse,
    reverse: refuse,
    save: refuse,
    load: refuse,
    reset: refuse,
    quit: () => control.quit(),
  };
}
