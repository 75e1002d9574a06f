/** The little languages of option values: key=val lists, sizes, counts, times, pairs. */

import { TsvmmError } from '../core/errors.ts';
import { didYouMean } from '../core/suggest.ts';

export interface KindSpec {
  readonly kind: string;
  /** In the order given. */
  readonly entries: readonly (readonly [key: string, value: string])[];
  /** `KIND,help`. */
  readonly help: boolean;
}

/** `KIND[,key=val...]`; a doubled comma stands for one in a value, and a key alone means on. */
export function parseKindSpec(text: string, option: string): KindSpec {
  const [kind = '', ...parts] = splitCommas(text);
  if (kind === '' || kind.includes('=')) throw bad(option, `'${text}' names no kind`, 'write KIND,key=val');
  const entries: [string, string][] = [];
  let help = false;
  for (const part of parts) {
    if (part === 'help' || part === '?') {
      help = true;
      continue;
    }
    const at = part.indexOf('=');
    const key = at < 0 ? part : part.slice(0, at);
    if (key === '') throw bad(option, `'${text}' has an empty key`, 'write KIND,key=val');
    if (entries.some(([k]) => k === key)) throw bad(option, `'${key}' is given twice`, 'give it once');
    entries.push([key, at < 0 ? 'on' : part.slice(at + 1)]);
  }
  return { kind, entries, help };
}

/** What parseKindSpec() reads as this kind with these entries. */
export function kindSpecText(kind: string, entries: KindSpec['entries']): string {
  return [kind, ...entries.map(([key, value]) => `${key}=${value.replaceAll(',', ',,')}`)].join(',');
}

function splitCommas(text: string): string[] {
  const parts = [''];
  for (let i = 0; i < text.length; i++) {
    const escaped = text[i] === ',' && text[i + 1] === ',';
    if (text[i] === ',' && !escaped) parts.push('');
    else parts.push(`${parts.pop() ?? ''}${text[i]}`);
    if (escaped) i++;
  }
  return parts;
}

const WHOLE = /^(0x[0-9a-f]+|\d+)$/i;

/** Turns the text of a key into the type that the default of the key has. */
export function typedValue(value: string, like: unknown, where: string): unknown {
  if (typeof like === 'boolean') return parseSwitch(value, where);
  // A number too large to be one here goes on as text: masks of 64 bits are options too, and the schema decides.
  if (typeof like === 'number')
    return WHOLE.test(value) ? (numberOf(value) ?? value) : parseNumber(value, where);
  if (typeof like === 'string') return value;
  // No default says the type: what looks like a switch or a number is one, and the schema decides.
  if (/^(on|off|true|false)$/.test(value)) return parseSwitch(value, where);
  return numberOf(value) ?? value;
}

export function parseSwitch(value: string, where: string): boolean {
  if (/^(on|true|yes)$/.test(value)) return true;
  if (/^(off|false|no)$/.test(value)) return false;
  throw bad(where, `'${value}' is neither on nor off`, 'write on or off');
}

export function parseNumber(value: string, where: string): number {
  const n = numberOf(value);
  if (n === undefined) throw bad(where, `'${value}' is not a number`, 'write 12, 0x1f or 64M');
  return n;
}

const BINARY: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Decimal, hex, or a size with a binary suffix. */
function numberOf(value: string): number | undefined {
  if (/^-?0x[0-9a-f]+$/i.test(value))
    return safe(value.startsWith('-') ? -Number(value.slice(1)) : Number(value));
  const size = /^(-?\d+)([KMGT]?)(?:i?B)?$/i.exec(value);
  if (size === null) return undefined;
  return safe(Number(size[1]) * BINARY[size[2]!.toUpperCase()]!);
}

function safe(n: number): number | undefined {
  return Number.isSafeInteger(n) ? n : undefined;
}

/** A non-negative integer that fits a double: hex, or decimal with a decimal suffix. */
export function parseCount(value: string, option: string): number {
  const match = /^(\d+)([kMG]?)$/.exec(value);
  const scale = { '': 1, k: 1e3, M: 1e6, G: 1e9 }[match?.[2] ?? '']!;
  const n =
    match === null ? (/^0x[0-9a-f]+$/i.test(value) ? Number(value) : Number.NaN) : Number(match[1]) * scale;
  if (!Number.isSafeInteger(n))
    throw bad(option, `'${value}' is not a count`, 'write a whole number such as 1000 or 10M');
  return n;
}

const NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** Virtual time in ns: `500ms`, `10s`. */
export function parseTime(value: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)(ns|us|ms|s)$/.exec(value);
  const ns = match === null ? Number.NaN : Math.round(Number(match[1]) * NS[match[2]!]!);
  if (!(ns > 0) || !Number.isSafeInteger(ns))
    throw bad(option, `'${value}' is not a time`, 'write 500ms or 10s');
  return ns;
}

/** `LEFT=RIGHT`, split at the first `=`. */
export function parsePair(value: string, option: string, shape: string): readonly [string, string] {
  const at = value.indexOf('=');
  if (at <= 0) throw bad(option, `'${value}' is not ${shape}`, `write ${option} ${shape}`);
  return [value.slice(0, at), value.slice(at + 1)];
}

/** @throws TsvmmError with a suggestion when the key is not among those known */
export function checkKey(key: string, known: readonly string[], where: string): void {
  if (known.includes(key)) return;
  throw bad(where, `there is no key '${key}'`, didYouMean(key, known), 'unknown-key');
}

function bad(object: string, why: string, mend: string, code = 'bad-value'): TsvmmError {
  return new TsvmmError({ code, object, why, mend });
}
