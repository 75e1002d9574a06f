import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TsvmmError } from '../../../vmm/core/errors.ts';
import { loadMachineSnapshot, saveMachineSnapshot } from '../../../vmm/machine/snapshot-machine.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

const PORT = { kind: 'pcie-root-port', id: 'rp0', options: {} };
const REFUSAL =
  'engine: is 0000:16:00.0 of the host, and a snapshot cannot have what a device of the host holds; take the snapshot without it, or with an emulated device in its place';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function errorOf(work: () => void): TsvmmError {
  try {
    work();
  } catch (error) {
    return error as TsvmmError;
  }
  throw new Error('nothing was thrown');
}

describe('a machine with a device of its host', () => {
  test('is not saved, and nothing is written', () => {
    const machine = machineOn('xeon-mixed', [assigned('0000:16:00.0', 'engine')]);

    const error = errorOf(() => saveMachineSnapshot(machine, join(dir, 'one'), { program: '1' }));

    expect([error.message, error.code, error.exit]).toEqual([REFUSAL, 'not-saveable', 2]);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('is not loaded into', () => {
    const machine = machineOn('xeon-mixed', [PORT, assigned('0000:16:00.0', 'engine', 'rp0')]);

    const error = errorOf(() => loadMachineSnapshot(machine, join(dir, 'one')));

    expect(error.message).toBe(REFUSAL);
  });

  test('is saved and loaded when the device is unplugged', () => {
    const machine = machineOn('xeon-mixed', [PORT, assigned('0000:16:00.0', 'engine', 'rp0')]);
    machine.unplug('engine');

    saveMachineSnapshot(machine, join(dir, 'one'), { program: '1' });
    loadMachineSnapshot(machine, join(dir, 'one'));

    expect(existsSync(join(dir, 'one'))).toBe(true);
  });
});
