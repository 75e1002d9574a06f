import { describe, expect, test } from 'vitest';
import type { AnyDevice } from '../../vmm/bus/device.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { Rng } from '../../vmm/core/rng.ts';
import type { Schema } from '../../vmm/state/schema.ts';

/** A device with a way to poke at it: `access` makes one access chosen by `rng` and returns what the guest saw of it. */
export interface RuledDevice {
  readonly device: AnyDevice;
  access(rng: Rng): unknown;
}

const STEPS = 400;

/** The rules every device of the code base keeps; `make` returns a new one each time. */
export function describeDeviceRules(name: string, make: () => RuledDevice): void {
  describe(`${name}: device rules`, () => {
    test('its own properties are state, wiring and cache', () => {
      const { device } = make();

      expect(Reflect.ownKeys(device).sort()).toEqual(['c', 's', 'w']);
      expect(Object.isFrozen(device.w)).toBe(true);
    });

    test('every leaf of its state is saved, and load undoes a change of it', () => {
      for (const path of leavesOf(make().device)) {
        const { device } = make();
        const def = device.stateDef();
        const before = def.save(device.s);

        mutate(device, path);

        expect(def.save(device.s), path.join('.')).not.toEqual(before);
        def.load(device.s, before, name);
        expect(def.save(device.s), path.join('.')).toEqual(before);
      }
    });

    test('a used device is loaded into a fresh one without loss', () => {
      const used = make();
      run(used, STEPS, 7);
      const def = used.device.stateDef();
      const fresh = make().device;

      const saved = JSON.parse(JSON.stringify(def.save(used.device.s)));
      def.load(fresh.s, saved, name);

      expect(def.save(fresh.s)).toEqual(saved);
    });

    test('a foreign kind, a newer version and an unknown key are refused', () => {
      const { device } = make();
      const def = device.stateDef();
      const saved = def.save(device.s);

      for (const unit of [
        { ...saved, kind: 'no-such-kind' },
        { ...saved, version: saved.version + 1 },
        { ...saved, body: { ...(saved.body as object), nosuchkey: 1 } },
      ])
        expect(() => def.load(device.s, unit, name)).toThrow(TsvmmError);
    });

    test('dropping its cache at random is not noticed', () => {
      const kept = make();
      const dropped = make();

      const seen = run(kept, STEPS, 11);
      const seenWithDrops = run(dropped, STEPS, 11, new Rng(5));

      expect(seenWithDrops).toEqual(seen);
      const save = ({ device }: RuledDevice) => device.stateDef().save(device.s);
      expect(save(dropped)).toEqual(save(kept));
    });

    test('a cold reset of a used device gives the state of a new one', () => {
      const used = make();
      run(used, STEPS, 13);

      used.device.reset('cold');

      const fresh = make().device;
      fresh.reset('cold');
      expect(used.device.stateDef().save(used.device.s)).toEqual(fresh.stateDef().save(fresh.s));
    });
  });
}

function run(subject: RuledDevice, steps: number, seed: number, drops?: Rng): unknown[] {
  const rng = new Rng(seed);
  return Array.from({ length: steps }, () => {
    if (drops !== undefined && drops.below(3) === 0) subject.device.dropCache();
    return subject.access(rng);
  });
}

/** Paths to the leaves; arrays without elements (a function without MSI-X) hold nothing. */
function leavesOf(device: AnyDevice): string[][] {
  const walk = (schema: Schema<unknown>, path: string[]): string[][] => {
    if (schema.shape === undefined) return schema.type.endsWith('[0]') ? [] : [path];
    return Object.entries(schema.shape).flatMap(([k, s]) => walk(s as Schema<unknown>, [...path, k]));
  };
  return walk(device.stateDef().schema, []);
}

function mutate(device: AnyDevice, path: readonly string[]): void {
  let schema: Schema<unknown> = device.stateDef().schema;
  let holder: Record<string, unknown> = device.s;
  for (const [i, key] of path.entries()) {
    schema = (schema.shape as Record<string, Schema<unknown>>)[key]!;
    if (i < path.length - 1) holder = holder[key] as Record<string, unknown>;
  }
  const last = path.at(-1)!;
  holder[last] = schema.mutate(holder[last]);
}
