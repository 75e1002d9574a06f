import {
  type Access,
  checkFields,
  type FieldDecl,
  type FieldReader,
  type Fields,
  fieldReader,
  maskOf,
  reservedMask,
  type Words,
  widthOf,
  writeField,
} from './field.ts';

/** True in the bundles: the tests load the tables from source, and to check them all again would be a twentieth of a start. */
declare const TSVMM_CHECKED: true | undefined;

/**
 * A declared layout of bits: a register (4 or 8 bytes) or a structure in memory (any multiple of 4 bytes).
 * Field positions count from bit 0 of the whole layout.
 */
export class Layout<F extends Fields = Fields> {
  readonly name: string;
  /** `document: section title`. */
  readonly cite: string;
  readonly bytes: number;
  readonly fields: F;

  constructor(name: string, cite: string, bytes: number, fields: F) {
    if (typeof TSVMM_CHECKED === 'undefined') checkFields(name, fields, bytes * 8);
    this.name = name;
    this.cite = cite;
    this.bytes = bytes;
    this.fields = fields;
  }

  /** One reader a field: `ENTRY.get.DID(words, at)`. Made when first asked for: a start needs few of them. */
  get get(): { readonly [K in keyof F]: FieldReader } {
    const readers: Record<string, FieldReader> = {};
    for (const key of Object.keys(this.fields)) readers[key] = fieldReader(this.fields[key]!);
    return this.#keep('get', readers as { readonly [K in keyof F]: FieldReader });
  }

  /** Undeclared and reserved bits of each 32-bit word. */
  get reserved(): Uint32Array {
    const masks = new Uint32Array(this.bytes / 4);
    for (let word = 0; word < masks.length; word++) masks[word] = reservedMask(this.fields, word);
    return this.#keep('reserved', masks);
  }

  /** A property of its own hides the getter: later reads find it without a call. */
  #keep<T>(name: 'get' | 'reserved', value: T): T {
    Object.defineProperty(this, name, { value });
    return value;
  }

  /** A fresh array of words with these field values; everything else 0. For tests and table builders. */
  pack(values: Partial<Record<keyof F, number>>): Uint32Array {
    const words = new Uint32Array(this.bytes / 4);
    for (const [key, value] of Object.entries(values)) this.set(words, 0, key, value as number);
    return words;
  }

  set(words: Uint32Array, at: number, field: keyof F, value: number): void {
    writeField(this.fields[field]!, words, at, value);
  }

  /** Every field with its value, in declaration order. */
  decode(words: Words, at = 0): Record<keyof F & string, number> {
    const out: Record<string, number> = {};
    for (const key of Object.keys(this.fields)) out[key] = this.get[key]!(words, at);
    return out as Record<keyof F & string, number>;
  }

  /** One line for monitor and trace: `P=1 AW=2 (48-bit) DID=0x12`; zero fields only where `all` is set. */
  show(words: Words, at = 0, all = false): string {
    const parts: string[] = [];
    for (const [key, field] of Object.entries(this.fields)) {
      const value = this.get[key]!(words, at);
      if (value !== 0 || all || field.lo === 0) parts.push(`${key}=${valueText(field, value)}`);
    }
    return parts.join(' ');
  }
}

function valueText(field: FieldDecl, value: number): string {
  const number = widthOf(field) <= 3 || value < 10 ? String(value) : `0x${value.toString(16)}`;
  const name = field.values?.[value];
  return name === undefined ? number : `${number} (${name})`;
}

/** A structure in memory. */
export function struct<const F extends Fields>(
  name: string,
  bytes: number,
  cite: string,
  fields: F,
): Layout<F> {
  return new Layout(name, cite, bytes, fields);
}

/** A register: a layout with a place in a block. */
export class Register<F extends Fields = Fields> extends Layout<F> {
  readonly offset: number;

  constructor(offset: number, name: string, cite: string, bytes: 4 | 8, fields: F) {
    super(name, cite, bytes, fields);
    this.offset = offset;
  }

  /** The same register at another offset (arrays of registers). */
  at(offset: number, name: string): Register<F> {
    return new Register(offset, name, this.cite, this.bytes as 4 | 8, this.fields);
  }

  /** OR of the masks of fields with this access, in the 32-bit word `word` (0 or 1). */
  mask(word: number, ...kinds: readonly Access[]): number {
    return maskOf(this.fields, word, ...kinds);
  }
}

export function reg32<const F extends Fields>(
  offset: number,
  name: string,
  cite: string,
  fields: F,
): Register<F> {
  return new Register(offset, name, cite, 4, fields);
}

export function reg64<const F extends Fields>(
  offset: number,
  name: string,
  cite: string,
  fields: F,
): Register<F> {
  return new Register(offset, name, cite, 8, fields);
}
