import { TsvmmError } from '../core/errors.ts';
import { hex32 } from '../core/u64.ts';
import type { RegisterBlock } from '../regs/block.ts';

/**
 * Schemas of device state. The schema is the type of the state: there is no second list to forget a field in.
 * A value is saved as JSON; typed arrays are saved as runs of non-zero words and loaded in place, so that whoever holds
 * a reference to one keeps the right one.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Schema<T> {
  /** For messages and docs: `u32`, `u32[16]`, `list`. */
  readonly type: string;
  fresh(): T;
  save(value: T): Json;
  /** Decodes; `into` is the present value, reused where it can be. @throws TsvmmError with the path */
  load(json: Json, path: string, into: T): T;
  /** A different valid value (for the generic test that every leaf is saved); mutates in place where load does. */
  mutate(value: T): T;
  /** Leaves below this one; undefined for a leaf. */
  readonly shape?: Shape;
}

export type Shape = { readonly [key: string]: Schema<never> | Schema<unknown> };
// biome-ignore lint/suspicious/noExplicitAny: variance of Schema<T> in both directions
type AnySchema = Schema<any>;
export type StateOf<S extends Record<string, AnySchema>> = {
  -readonly [K in keyof S]: ReturnType<S[K]['fresh']>;
};

function bad(path: string, wanted: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-state',
    object: path,
    why: `is not ${wanted}`,
    mend: 'the snapshot is damaged or was made by another program',
  });
}

function integer(type: string, max: number): Schema<number> {
  return {
    type,
    fresh: () => 0,
    save: (v) => v,
    load(json, path) {
      if (typeof json !== 'number' || !Number.isInteger(json) || json < 0 || json > max)
        throw bad(path, `a ${type}`);
      return json;
    },
    mutate: (v) => (v === 0 ? 1 : v - 1),
  };
}

export const u8 = integer('u8', 0xff);
export const u16 = integer('u16', 0xffff);
export const u32 = integer('u32', 0xffffffff);
/** A non-negative integer below 2^53: times, counters, byte counts. */
export const count = integer('count', Number.MAX_SAFE_INTEGER);

/** Any finite number. */
export const number: Schema<number> = {
  type: 'number',
  fresh: () => 0,
  save: (v) => v,
  load(json, path) {
    if (typeof json !== 'number' || !Number.isFinite(json)) throw bad(path, 'a number');
    return json;
  },
  mutate: (v) => v + 1,
};

export const bool: Schema<boolean> = {
  type: 'bool',
  fresh: () => false,
  save: (v) => v,
  load(json, path) {
    if (typeof json !== 'boolean') throw bad(path, 'a bool');
    return json;
  },
  mutate: (v) => !v,
};

export const text: Schema<string> = {
  type: 'text',
  fresh: () => '',
  save: (v) => v,
  load(json, path) {
    if (typeof json !== 'string') throw bad(path, 'a text');
    return json;
  },
  mutate: (v) => `${v}x`,
};

/** The same leaf with another reset value. */
export function withFresh<T>(schema: Schema<T>, fresh: T): Schema<T> {
  return { ...schema, fresh: () => fresh };
}

type Typed = Uint8Array | Uint32Array | Uint16Array;

function typedArray<A extends Typed>(type: string, make: () => A, digits: number): Schema<A> {
  return {
    type,
    fresh: make,
    save: (v) => saveRuns(v, digits),
    load(json, path, into) {
      loadRuns(json, path, into, digits);
      return into;
    },
    mutate(v) {
      v[v.length - 1]! ^= 1;
      return v;
    },
  };
}

/** n 32-bit words, zero when fresh. */
export function words(n: number): Schema<Uint32Array> {
  return typedArray(`u32[${n}]`, () => new Uint32Array(n), 8);
}

/** n bytes, zero when fresh or a copy of `initial`. */
export function bytes(n: number, initial?: () => Uint8Array): Schema<Uint8Array> {
  return typedArray(`u8[${n}]`, () => initial?.() ?? new Uint8Array(n), 2);
}

/** Words with a fresh value of their own. */
export function wordsFrom(n: number, initial: () => Uint32Array): Schema<Uint32Array> {
  return typedArray(`u32[${n}]`, initial, 8);
}

/** Registers: saved by name and dword, so that a snapshot can be read and survives an inserted register. */
export function registers(block: RegisterBlock): Schema<Uint32Array> {
  const names = new Map<string, number>();
  for (const r of block.registers) {
    for (let w = 0; w < r.bytes / 4; w++) names.set(w === 0 ? r.name : `${r.name}.hi`, r.offset / 4 + w);
  }
  return {
    type: 'registers',
    fresh: () => block.fresh(),
    save(v) {
      return Object.fromEntries([...names].map(([name, i]) => [name, hex32(v[i]!)]));
    },
    load(json, path, into) {
      if (!isRecord(json)) throw bad(path, 'a set of registers');
      for (const name of Object.keys(json)) {
        if (!names.has(name)) throw bad(`${path}.${name}`, 'a register of this device');
      }
      for (const [name, i] of names) {
        const value = json[name];
        if (typeof value !== 'string' || !/^0x[0-9a-f]{8}$/.test(value))
          throw bad(`${path}.${name}`, 'a register value');
        into[i] = Number.parseInt(value, 16);
      }
      return into;
    },
    mutate(v) {
      const last = [...names.values()].at(-1)!;
      v[last]! ^= 1;
      return v;
    },
  };
}

/** A list of plain records. */
export function list<S extends Record<string, AnySchema>>(shape: S): Schema<StateOf<S>[]> {
  const item = record(shape);
  return {
    type: 'list',
    fresh: () => [],
    save: (v) => v.map((x) => item.save(x)),
    load(json, path, into) {
      if (!Array.isArray(json)) throw bad(path, 'a list');
      into.length = 0;
      for (const [i, x] of json.entries()) into.push(item.load(x as Json, `${path}[${i}]`, item.fresh()));
      return into;
    },
    mutate(v) {
      v.push(item.fresh());
      return v;
    },
  };
}

export function record<S extends Record<string, AnySchema>>(shape: S): Schema<StateOf<S>> {
  const keys = Object.keys(shape);
  return {
    type: 'record',
    shape,
    fresh: () => Object.fromEntries(keys.map((k) => [k, shape[k]!.fresh()])) as StateOf<S>,
    save: (v) => Object.fromEntries(keys.map((k) => [k, shape[k]!.save((v as Record<string, unknown>)[k])])),
    load(json, path, into) {
      if (!isRecord(json)) throw bad(path, 'a record');
      for (const k of Object.keys(json))
        if (!keys.includes(k)) throw bad(`${path}.${k}`, 'a field of this state');
      const target = into as Record<string, unknown>;
      for (const k of keys) {
        if (!(k in json)) throw bad(`${path}.${k}`, 'there');
        target[k] = shape[k]!.load(json[k]!, `${path}.${k}`, target[k]);
      }
      return into;
    },
    mutate: (v) => v,
  };
}

function isRecord(json: Json): json is { readonly [key: string]: Json } {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** Non-zero runs as `{ "index": "hex words" }`: empty caches cost nothing in a snapshot. */
function saveRuns(v: Typed, digits: number): Json {
  const out: Record<string, Json> = {};
  for (let i = 0; i < v.length; i++) {
    if (v[i] === 0) continue;
    const start = i;
    let run = '';
    while (i < v.length && v[i] !== 0) run += v[i++]!.toString(16).padStart(digits, '0');
    out[String(start)] = run;
  }
  return out;
}

function loadRuns(json: Json, path: string, into: Typed, digits: number): void {
  if (!isRecord(json)) throw bad(path, 'a set of runs');
  into.fill(0);
  for (const [key, run] of Object.entries(json)) {
    const start = Number(key);
    if (typeof run !== 'string' || !/^[0-9a-f]*$/.test(run) || run.length % digits !== 0)
      throw bad(`${path}[${key}]`, 'a run');
    const n = run.length / digits;
    if (!Number.isInteger(start) || start < 0 || start + n > into.length)
      throw bad(`${path}[${key}]`, 'inside the array');
    for (let i = 0; i < n; i++)
      into[start + i] = Number.parseInt(run.slice(i * digits, (i + 1) * digits), 16);
  }
}
