import { Bug } from '../core/errors.ts';

/**
 * How software may touch a field.
 * ro read-only | rw | w1c write 1 to clear | w1cs the same, kept over a warm reset (sticky) | ros read-only sticky |
 * wo write-only, reads 0 | rsvd reserved by the specification | unimpl defined by the specification, not done here:
 * reads as its reset value, ignores writes and is listed by `tsvmm info limits`.
 */
export type Access = 'ro' | 'rw' | 'w1c' | 'w1cs' | 'ros' | 'wo' | 'rsvd' | 'unimpl';

export interface FieldDecl {
  readonly hi: number;
  readonly lo: number;
  readonly access: Access;
  readonly doc: string;
  /** Names of values. */
  readonly values?: Readonly<Record<number, string>>;
  /** Reset value; 0 if absent. */
  readonly reset?: number;
}

export type Fields = Readonly<Record<string, FieldDecl>>;

function make(access: Access) {
  return (hi: number, lo: number, doc: string, values?: Record<number, string>, reset = 0): FieldDecl =>
    values === undefined ? { hi, lo, access, doc, reset } : { hi, lo, access, doc, reset, values };
}

export const ro = make('ro');
export const rw = make('rw');
export const w1c = make('w1c');
export const w1cs = make('w1cs');
export const ros = make('ros');
export const wo = make('wo');
export const rsvd = make('rsvd');
export const unimpl = make('unimpl');

export function widthOf(field: FieldDecl): number {
  return field.hi - field.lo + 1;
}

/** The part of a field's mask that lies in the 32-bit word `word` of its register or structure. */
export function maskInWord(field: FieldDecl, word: number): number {
  const low = Math.max(field.lo, word * 32);
  const high = Math.min(field.hi, word * 32 + 31);
  if (low > high) return 0;
  const bits = high - low + 1;
  return (bits === 32 ? 0xffffffff : ((1 << bits) - 1) << (low - word * 32)) >>> 0;
}

/** OR of the masks of the fields with one of these access kinds, for one 32-bit word. */
export function maskOf(fields: Fields, word: number, ...kinds: readonly Access[]): number {
  let mask = 0;
  for (const field of Object.values(fields)) {
    if (kinds.includes(field.access)) mask |= maskInWord(field, word);
  }
  return mask >>> 0;
}

/** Bits of a word that no field declares, or that a field declares reserved. */
export function reservedMask(fields: Fields, word: number): number {
  let declared = 0;
  for (const field of Object.values(fields)) {
    if (field.access !== 'rsvd') declared |= maskInWord(field, word);
  }
  return ~declared >>> 0;
}

/** Any source of 32-bit words: Uint32Array, number[]. */
export type Words = { readonly [index: number]: number };

/** Reads a field out of words[at...]; a Number, exact to 53 bits (every wider field is refused at declaration). */
export type FieldReader = (words: Words, at: number) => number;

export function fieldReader(field: FieldDecl): FieldReader {
  const first = field.lo >>> 5;
  const last = field.hi >>> 5;
  const shift = field.lo & 31;
  const width = widthOf(field);
  if (first === last) {
    if (width === 32) return (words, at) => words[at + first]! >>> 0;
    const mask = ((1 << width) - 1) >>> 0;
    return (words, at) => (words[at + first]! >>> shift) & mask;
  }
  const lowBits = 32 - shift;
  const highMask = maskInWord(field, last);
  const scale = 2 ** lowBits;
  return (words, at) => (words[at + first]! >>> shift) + ((words[at + last]! & highMask) >>> 0) * scale;
}

/** Writes a field into words[at...]; the inverse of fieldReader. */
export function writeField(field: FieldDecl, words: Uint32Array, at: number, value: number): void {
  let rest = value;
  for (let bit = field.lo; bit <= field.hi; ) {
    const word = bit >>> 5;
    const shift = bit & 31;
    const bits = Math.min(32 - shift, field.hi - bit + 1);
    const scale = 2 ** bits;
    const mask = (bits === 32 ? 0xffffffff : ((1 << bits) - 1) << shift) >>> 0;
    const part = ((rest % scale) * 2 ** shift) >>> 0;
    words[at + word] = ((words[at + word]! & ~mask) | part) >>> 0;
    rest = Math.floor(rest / scale);
    bit += bits;
  }
}

/** Refuses overlapping, reversed and overflowing fields, and those that no reader can return. @throws Bug */
export function checkFields(owner: string, fields: Fields, bits: number): void {
  const taken: number[] = [];
  for (const name of Object.keys(fields)) {
    const field = fields[name]!;
    if (field.hi < field.lo || field.hi >= bits)
      throw new Bug(`${owner}.${name}: bits ${field.hi}:${field.lo}`);
    const first = field.lo >>> 5;
    const last = field.hi >>> 5;
    if (last > first + 1 || widthOf(field) > 53)
      throw new Bug(`${owner}.${name}: a field spans at most two words and 53 bits`);
    for (let word = first; word <= last; word++) {
      const mask = maskInWord(field, word);
      const before = taken[word] ?? 0;
      if (before & mask) throw new Bug(`${owner}: ${name} overlaps another field`);
      taken[word] = before | mask;
    }
  }
}
