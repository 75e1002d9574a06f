/**
 * Source maps as the carrier of code offsets through binaryen, which keeps the locations of the expressions it moves.
 * One source, one generated line: the generated column is a byte offset in the module, the source line a byte offset plus
 * one (ECMA-426, Source map format: lines count from 0 in a map, from 1 in binaryen).
 */

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map(Array.from(DIGITS, (digit, value) => [digit, value]));

/** Pairs (offset in the module, offset in the original), ascending in the first. */
export type Locations = readonly (readonly [at: number, original: number])[];

export function encodeSourceMap(locations: Locations): string {
  const segments: string[] = [];
  let lastAt = 0;
  let lastOriginal = 0;
  for (const [at, original] of locations) {
    segments.push(vlq(at - lastAt) + vlq(0) + vlq(original - lastOriginal) + vlq(0));
    lastAt = at;
    lastOriginal = original;
  }
  return JSON.stringify({ version: 3, sources: ['guest'], names: [], mappings: segments.join(',') });
}

/** Locations of a map; code that stands for nothing in the original is left to the location before it. */
export function decodeSourceMap(json: string): Locations {
  const { mappings } = JSON.parse(json) as { mappings: string };
  const out: [number, number][] = [];
  let at = 0;
  let original = 0;
  for (const segment of mappings.split(',')) {
    if (segment === '') continue;
    const fields = unvlq(segment);
    at += fields[0]!;
    if (fields.length === 1) continue;
    original += fields[2]!;
    out.push([at, original]);
  }
  return out;
}

/** Base64 VLQ: five bits a digit, the lowest first, the sign in the lowest bit of all. */
function vlq(value: number): string {
  let rest = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = '';
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += DIGITS[rest === 0 ? digit : digit | 32];
  } while (rest !== 0);
  return text;
}

function unvlq(text: string): number[] {
  const out: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = VALUES.get(character) ?? 0;
    value |= (digit & 31) << shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    out.push((value & 1) === 0 ? value >>> 1 : -(value >>> 1));
    value = 0;
    shift = 0;
  }
  return out;
}
