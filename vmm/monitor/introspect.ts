/** query-qmp-schema: the declared commands and events as QEMU's introspection describes them. */

import type { MonitorCommand } from './command.ts';
import { EVENTS } from './events.ts';
import type { Members, ScalarKind, Type } from './types.ts';

type Entity = Readonly<Record<string, unknown>>;

const JSON_TYPE: Readonly<Record<Exclude<ScalarKind, 'address'>, string>> = {
  str: 'string',
  int: 'int',
  number: 'number',
  bool: 'boolean',
  any: 'value',
};

/** Types are numbered in the order they are met; equal ones share a number. */
class Types {
  readonly entities: Entity[] = [];
  readonly #names = new Map<string, string>();

  /** The name of a type, which is described on first use. */
  name(type: Type): string {
    if (type.kind === 'array') return this.#array(this.name(type.of));
    if (type.kind === 'object') return this.members(type.members);
    if (type.kind === 'enum') {
      return this.#numbered(`enum ${type.values.join()}`, (name) => ({
        name,
        'meta-type': 'enum',
        members: type.values.map((value) => ({ name: value })),
        values: type.values,
      }));
    }
    if (type.kind === 'address') return this.#address();
    return this.#builtin(type.kind);
  }

  members(members: Members): string {
    const list = Object.entries(members).map(([name, member]) => ({
      name,
      type: this.name(member.type),
      ...(member.optional ? { default: null } : {}),
    }));
    return this.#numbered(`object ${JSON.stringify(list)}`, (name) => ({
      name,
      'meta-type': 'object',
      members: list,
    }));
  }

  #array(element: string): string {
    return this.#named(`[${element}]`, { 'meta-type': 'array', 'element-type': element });
  }

  #builtin(kind: Exclude<ScalarKind, 'address'>): string {
    return this.#named(kind, { 'meta-type': 'builtin', 'json-type': JSON_TYPE[kind] });
  }

  #address(): string {
    const members = [{ type: this.#builtin('int') }, { type: this.#builtin('str') }];
    return this.#numbered('address', (name) => ({ name, 'meta-type': 'alternate', members }));
  }

  #named(name: string, rest: Entity): string {
    if (!this.#names.has(name)) {
      this.#names.set(name, name);
      this.entities.push({ name, ...rest });
    }
    return name;
  }

  #numbered(key: string, describe: (name: string) => Entity): string {
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = String(this.#names.size);
    this.#names.set(key, name);
    this.entities.push(describe(name));
    return name;
  }
}

export function introspection(commands: readonly MonitorCommand[]): readonly Entity[] {
  const types = new Types();
  const own = commands.map((command) => ({
    name: command.name,
    'meta-type': 'command',
    'arg-type': types.members(command.args),
    'ret-type': types.name(command.result),
    'allow-oob': false,
  }));
  const events = Object.entries(EVENTS).map(([name, event]) => ({
    name,
    'meta-type': 'event',
    'arg-type': types.members(event.data),
  }));
  return [...own, ...events, ...types.entities];
}
