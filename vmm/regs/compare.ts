import { type FieldDecl, fieldReader, maskInWord, type Words } from './field.ts';
import type { Layout } from './layout.ts';

/** A field that two values of one register do not agree in. */
export interface FieldDifference {
  readonly register: string;
  /** The field's name; `undeclared` for bits that the table gives no meaning. */
  readonly field: string;
  /** `37:34`. */
  readonly bits: string;
  readonly doc: string;
  readonly a: number;
  readonly b: number;
}

/** Where two values of a register differ, from bit 0 on; undeclared bits come one by one, at the end. */
export function fieldDifferences(layout: Layout, a: Words, b: Words): readonly FieldDifference[] {
  const out: FieldDifference[] = [];
  const note = (field: string, { hi, lo, doc }: Pick<FieldDecl, 'hi' | 'lo' | 'doc'>, x: number, y: number) =>
    out.push({
      register: layout.name,
      field,
      bits: hi === lo ? `${hi}` : `${hi}:${lo}`,
      doc,
      a: x,
      b: y,
    });
  for (const [name, field] of Object.entries(layout.fields)) {
    if (field.access === 'rsvd') continue;
    const read = fieldReader(field);
    const x = read(a, 0);
    const y = read(b, 0);
    if (x !== y) note(name, field, x, y);
  }
  for (let bit = 0; bit < layout.bytes * 8; bit++) {
    const word = bit >>> 5;
    const mask = maskInWord({ hi: bit, lo: bit, access: 'rsvd', doc: '' }, word);
    if ((layout.reserved[word]! & mask) === 0) continue;
    const x = (a[word]! & mask) === 0 ? 0 : 1;
    const y = (b[word]! & mask) === 0 ? 0 : 1;
    if (x !== y) note('undeclared', { hi: bit, lo: bit, doc: 'reserved, or of an older revision' }, x, y);
  }
  return out;
}
