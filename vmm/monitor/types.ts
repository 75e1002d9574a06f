/**
 * Types of monitor arguments and results, as plain data. The check of what a client sends, QEMU's introspection, the JSON
 * Schema and the reference page are all made from them.
 */

import type { Zod, ZodType } from '../core/zod.ts';

export type ScalarKind = 'str' | 'int' | 'number' | 'bool' | 'any' | 'address';

export type Type =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  | { readonly kind: 'array'; readonly of: Type }
  | { readonly kind: 'object'; readonly members: Members; readonly open: boolean };

export interface Member {
  readonly type: Type;
  readonly doc: string;
  readonly optional: boolean;
  /** Only by `name=value` in the text form, never by position. */
  readonly byName: boolean;
}

export type Members = Readonly<Record<string, Member>>;

export const STR: Type = { kind: 'str' };
export const INT: Type = { kind: 'int' };
export const NUMBER: Type = { kind: 'number' };
export const BOOL: Type = { kind: 'bool' };
export const ANY: Type = { kind: 'any' };
/** A number, or a text in hex where a JSON number is not exact. */
export const ADDRESS: Type = { kind: 'address' };

export function oneOf(...values: readonly string[]): Type {
  return { kind: 'enum', values };
}

export function arrayOf(of: Type): Type {
  return { kind: 'array', of };
}

export function need(type: Type, doc: string): Member {
  return { type, doc, optional: false, byName: false };
}

export function may(type: Type, doc: string): Member {
  return { type, doc, optional: true, byName: false };
}

/** Optional, and in the text form only as `name=value`. */
export function named(type: Type, doc: string): Member {
  return { type, doc, optional: true, byName: true };
}

/** A type, or a member of that type. A name that ends in `?` is optional. */
export function object(shape: Readonly<Record<string, Type | Member>>): Type {
  const members: Record<string, Member> = {};
  for (const [key, value] of Object.entries(shape)) {
    const optional = key.endsWith('?');
    const name = optional ? key.slice(0, -1) : key;
    members[name] = 'doc' in value ? value : { type: value, doc: '', optional, byName: false };
  }
  return { kind: 'object', members, open: false };
}

export const EMPTY: Type = object({});

const WORD: Readonly<Record<Type['kind'], string>> = {
  str: 'string',
  int: 'integer',
  number: 'number',
  bool: 'boolean',
  any: 'any value',
  address: 'integer or string',
  enum: 'string',
  array: 'array',
  object: 'object',
};

/** What is wrong with `value`, in the words QEMU has for it; undefined when nothing is. */
export function problemWith(type: Type, value: unknown, name: string): string | undefined {
  switch (type.kind) {
    case 'enum':
      if (typeof value !== 'string') return wrongType(type, name);
      return type.values.includes(value) ? undefined : `Parameter '${name}' does not accept value '${value}'`;
    case 'array':
      if (!Array.isArray(value)) return wrongType(type, name);
      return firstProblem(value.map((item, i) => problemWith(type.of, item, `${name}[${i}]`)));
    case 'object':
      if (!isRecord(value)) return wrongType(type, name);
      return membersProblem(type.members, type.open, value, name);
    default:
      if (isScalar(type.kind, value)) return undefined;
      return isInexact(type.kind, value)
        ? `Parameter '${name}' is beyond 2^53${type.kind === 'address' ? ': give it as a string in hex' : ''}`
        : wrongType(type, name);
  }
}

/** An integer that is the wrong one as likely as not: a JSON number is exact only up to there. */
function isInexact(kind: ScalarKind, value: unknown): boolean {
  return (kind === 'int' || kind === 'address') && Number.isInteger(value) && !Number.isSafeInteger(value);
}

/** The arguments of a command. */
export function argumentsProblem(members: Members, open: boolean, value: Readonly<Record<string, unknown>>) {
  return membersProblem(members, open, value, '');
}

function membersProblem(
  members: Members,
  open: boolean,
  value: Readonly<Record<string, unknown>>,
  name: string,
): string | undefined {
  const path = (key: string) => (name === '' ? key : `${name}.${key}`);
  for (const [key, member] of Object.entries(members)) {
    if (!Object.hasOwn(value, key)) {
      if (!member.optional) return `Parameter '${path(key)}' is missing`;
      continue;
    }
    const problem = problemWith(member.type, value[key], path(key));
    if (problem !== undefined) return problem;
  }
  const extra = Object.keys(value).find((key) => !Object.hasOwn(members, key));
  return extra === undefined || open ? undefined : `Parameter '${path(extra)}' is unexpected`;
}

function isScalar(kind: ScalarKind, value: unknown): boolean {
  switch (kind) {
    case 'str':
      return typeof value === 'string';
    case 'int':
      return Number.isSafeInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'bool':
      return typeof value === 'boolean';
    case 'address':
      return (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) || isHex(value);
    case 'any':
      return true;
  }
}

function isHex(value: unknown): boolean {
  return (
    typeof value === 'string' && /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(value) && BigInt(value) < 1n << 64n
  );
}

function wrongType(type: Type, name: string): string {
  return `Invalid parameter type for '${name}', expected: ${WORD[type.kind]}`;
}

function firstProblem(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find((problem) => problem !== undefined);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The zod schema of a type. */
export function zodOf(z: Zod, type: Type): ZodType {
  switch (type.kind) {
    case 'str':
      return z.string();
    case 'int':
      return z.number().int();
    case 'number':
      return z.number();
    case 'bool':
      return z.boolean();
    case 'any':
      return z.any();
    case 'address':
      return z.union([z.number().int().min(0), z.string().regex(/^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/)]);
    case 'enum':
      return z.enum(type.values as [string, ...string[]]);
    case 'array':
      return z.array(zodOf(z, type.of));
    case 'object': {
      const shape = Object.fromEntries(
        Object.entries(type.members).map(([name, member]) => {
          const inner = zodOf(z, member.type);
          const described = member.doc === '' ? inner : inner.describe(member.doc);
          return [name, member.optional ? described.optional() : described];
        }),
      );
      return type.open ? z.looseObject(shape) : z.strictObject(shape);
    }
  }
}

/** `int`, `[str]`, `r|w|x`: for help and the reference page. */
export function typeText(type: Type): string {
  switch (type.kind) {
    case 'enum':
      return type.values.join('|');
    case 'array':
      return `[${typeText(type.of)}]`;
    case 'object':
      return Object.keys(type.members).length === 0 && !type.open
        ? '{}'
        : `{${Object.entries(type.members)
            .map(([name, m]) => `${name}${m.optional ? '?' : ''}: ${typeText(m.type)}`)
            .join(', ')}${type.open ? ', ...' : ''}}`;
    default:
      return type.kind;
  }
}
