import { RewriteError } from './error.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });

/** A bounds-checked cursor over a module's bytes: nothing it is given can make it read outside [pos, end). */
export class Reader {
  readonly bytes: Uint8Array;
  pos: number;
  end: number;

  constructor(bytes: Uint8Array, pos = 0, end = bytes.length) {
    this.bytes = bytes;
    this.pos = pos;
    this.end = end;
  }

  fail(why: string, offset = this.pos): never {
    throw new RewriteError(why, offset);
  }

  u8(): number {
    if (this.pos >= this.end) this.fail('unexpected end');
    return this.bytes[this.pos++] as number;
  }

  u32(): number {
    const first = this.pos < this.end ? (this.bytes[this.pos] as number) : 128;
    if (first < 128) {
      this.pos++;
      return first;
    }
    return this.longU32();
  }

  private longU32(): number {
    const start = this.pos;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte > 15) break;
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
    return this.fail('LEB128 number does not fit 32 bits', start);
  }

  s32(): number {
    const start = this.pos;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      value |= (byte & 127) << shift;
      if (byte < 128) {
        if (shift < 28) return (value << (25 - shift)) >> (25 - shift);
        if ((byte & 0x78) !== 0 && (byte & 0x78) !== 0x78) break;
        return value;
      }
    }
    return this.fail('LEB128 number does not fit 32 bits', start);
  }

  /** Passes over a LEB128 number of at most `limit` bytes. */
  skipLeb(limit: number): void {
    const start = this.pos;
    for (let i = 0; i < limit; i++) if (this.u8() < 128) return;
    this.fail('LEB128 number is too long', start);
  }

  skip(count: number): void {
    if (count > this.end - this.pos) this.fail('unexpected end');
    this.pos += count;
  }

  /** The length of a vector whose elements take at least one byte each. */
  count(): number {
    const start = this.pos;
    const n = this.u32();
    if (n > this.end - this.pos) this.fail('vector is longer than its section', start);
    return n;
  }

  name(): string {
    const start = this.pos;
    const length = this.u32();
    this.skip(length);
    try {
      return decoder.decode(this.bytes.subarray(this.pos - length, this.pos));
    } catch {
      return this.fail('name is not UTF-8', start);
    }
  }
}
