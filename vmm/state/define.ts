import { TsvmmError } from '../core/errors.ts';
import { type Json, record, type Schema, type StateOf } from './schema.ts';

/** One unit of a snapshot: the state of one device. */
export interface SavedUnit {
  readonly kind: string;
  readonly version: number;
  readonly body: Json;
}

/** Turns the body of version n into that of version n + 1. */
export type Upgrade = (old: Json) => Json;

export interface StateDef<T> {
  readonly kind: string;
  readonly version: number;
  readonly schema: Schema<T>;
  fresh(): T;
  save(state: T): SavedUnit;
  /** Loads in place. @throws TsvmmError naming `id` and the path */
  load(state: T, unit: SavedUnit, id: string): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a shape holds schemas of many types
export function defineState<S extends Record<string, Schema<any>>>(
  kind: string,
  version: number,
  shape: S,
  upgrades: Readonly<Record<number, Upgrade>> = {},
): StateDef<StateOf<S>> {
  const schema = record(shape);
  return {
    kind,
    version,
    schema,
    fresh: schema.fresh,
    save: (state) => ({ kind, version, body: schema.save(state) }),
    load(state, unit, id) {
      if (unit.kind !== kind) {
        throw new TsvmmError({
          code: 'foreign-state',
          object: id,
          why: `the snapshot holds a '${unit.kind}' here, the machine has a '${kind}'`,
          mend: 'load it into the machine it was saved from',
        });
      }
      let body = unit.body;
      for (let v = unit.version; v !== version; v++) {
        const upgrade = upgrades[v];
        if (upgrade === undefined || v > version) {
          throw new TsvmmError({
            code: 'state-version',
            object: id,
            why: `state version ${unit.version} of '${kind}' cannot be loaded by version ${version}`,
            mend: v > version ? 'use a newer tsvmm' : 'use an older tsvmm to load it',
          });
        }
        body = upgrade(body);
      }
      schema.load(body, id, state);
    },
  };
}
