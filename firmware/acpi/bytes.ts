import { TsvmmError } from '../../vmm/core/errors.ts';
import { hiOf, loOf } from '../../vmm/core/u64.ts';

/** A value of the machine description that the tables cannot hold. */
export function badDescription(object: string, why: string): TsvmmError {
  return new TsvmmError({ code: 'acpi-description', object, why });
}

/** Little-endian bytes in the order they are written; a value out of its field's range is refused, never cut. */
export class ByteWriter {
  /** What `bytes` was given: copied once, at the end, because a start writes thousands of them and has no compiled code yet. */
  readonly #parts: ArrayLike<number>[] = [];
  /** What has been written since the last of them. */
  #bytes: number[] = [];
  #partsLength = 0;
  readonly #object: string;

  /** @param object what is being written, for messages. */
  constructor(object: string) {
    this.#object = object;
  }

  get length(): number {
    return this.#partsLength + this.#bytes.length;
  }

  u8(value: number): this {
    return this.#put(value, 1);
  }

  u16(value: number): this {
    return this.#put(value, 2);
  }

  u32(value: number): this {
    return this.#put(value, 4);
  }

  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw badDescription(this.#object, `${value} is not an address or length below 2^53`);
    return this.u32(loOf(value)).u32(hiOf(value));
  }

  zeros(count: number): this {
    for (let i = 0; i < count; i++) this.#bytes.push(0);
    return this;
  }

  /** Characters as they are, without a terminator. */
  ascii(text: string): this {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code < 0x20 || code > 0x7e)
        throw badDescription(this.#object, `"${text}" holds a character that is not printable ASCII`);
      this.u8(code);
    }
    return this;
  }

  bytes(source: ArrayLike<number>): this {
    this.#parts.push(this.#bytes, source);
    this.#partsLength += this.#bytes.length + source.length;
    this.#bytes = [];
    return this;
  }

  done(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of [...this.#parts, this.#bytes]) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  #put(value: number, size: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size))
      throw badDescription(this.#object, `${value} does not fit in ${8 * size} bits`);
    for (let i = 0; i < size; i++) this.#bytes.push((value >>> (8 * i)) & 0xff);
    return this;
  }
}
