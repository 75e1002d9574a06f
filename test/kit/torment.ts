import { expect, test } from 'vitest';
import type { AnyDevice } from '../../vmm/bus/device.ts';
import { Rng } from '../../vmm/core/rng.ts';
import type { SavedUnit } from '../../vmm/state/define.ts';
import { describeDeviceRules } from './device-rules.ts';

/** A unit that is handed nonsense. */
export interface Torment {
  readonly device: AnyDevice;
  /** Does one random thing. */
  step(): void;
  /** What came out of the unit so far. */
  seen(): readonly number[];
  save(): SavedUnit;
  load(unit: SavedUnit): void;
}

export interface TormentPlan<O, T extends Torment> {
  readonly units: readonly O[];
  readonly operations: number;
  readonly seed: number;
  readonly make: (options: O, seed: number) => T;
  /** Otherwise the unit slept through it. */
  readonly awake: (torment: T, options: O) => void;
  /** Those that the rules of devices are tried on, too, and the id of the unit. */
  readonly ruled: { readonly id: string; readonly units: readonly O[] };
}

/** Whatever is done to a unit, its state can be saved and loaded, and what can be rebuilt is no state. */
export function testTorment<O, T extends Torment>(plan: TormentPlan<O, T>): void {
  const { operations, seed, make } = plan;
  const units = plan.units.map((options, i) => ({ name: JSON.stringify(options), options, i }));
  const each = operations / units.length;

  test.each(units)(
    'random registers, tables, queues and requests end in a state that can be saved and loaded: $name',
    ({ options, i }) => {
      const torment = make(options, seed + i);
      for (let n = 0; n < each; n++) torment.step();
      const saved = JSON.parse(JSON.stringify(torment.save())) as SavedUnit;
      const other = make(options, seed + i);
      other.load(saved);
      expect(other.save()).toEqual(torment.save());
      plan.awake(torment, options);
      for (let n = 0; n < 1000; n++) other.step();
    },
    3_600_000,
  );

  test.each(units)(
    'dropping what can be rebuilt is not noticed: $name',
    ({ options, i }) => {
      const kept = make(options, seed + 100 + i);
      const dropped = make(options, seed + 100 + i);
      const drops = new Rng(seed);
      for (let n = 0; n < each / 20; n++) {
        kept.step();
        if (drops.below(20) === 0) dropped.device.dropCache();
        dropped.step();
      }
      expect(dropped.save()).toEqual(kept.save());
      expect(dropped.seen()).toEqual(kept.seen());
    },
    3_600_000,
  );

  for (const options of plan.ruled.units) {
    describeDeviceRules(`${plan.ruled.id} with ${JSON.stringify(options)}`, () => {
      const torment = make(options, seed);
      const access = () => {
        torment.step();
        return torment.seen();
      };
      return { device: torment.device, access };
    });
  }
}
