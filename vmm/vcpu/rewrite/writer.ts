const encoder = new TextEncoder();

/** A growing byte buffer: one typed array, reused by clear(). */
export class Writer {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
  }

  clear(): void {
    this.length = 0;
  }

  private grow(need: number): void {
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + need));
    larger.set(this.bytes);
    this.bytes = larger;
  }

  u8(value: number): void {
    if (this.length === this.bytes.length) this.grow(1);
    this.bytes[this.length++] = value;
  }

  u8x2(first: number, second: number): void {
    this.u8(first);
    this.u8(second);
  }

  u32(value: number): void {
    while (value > 127) {
      this.u8((value & 127) | 128);
      value >>>= 7;
    }
    this.u8(value);
  }

  s32(value: number): void {
    while (value > 63 || value < -64) {
      this.u8((value & 127) | 128);
      value >>= 7;
    }
    this.u8(value & 127);
  }

  /** source[from, to): byte by byte where a call would cost more than the copy. */
  range(source: Uint8Array, from: number, to: number): void {
    const count = to - from;
    if (this.length + count > this.bytes.length) this.grow(count);
    const target = this.bytes;
    let at = this.length;
    if (count > 48) target.set(source.subarray(from, to), at);
    else for (let i = from; i < to; i++) target[at++] = source[i] as number;
    this.length += count;
  }

  all(source: Uint8Array): void {
    this.range(source, 0, source.length);
  }

  append(other: Writer): void {
    this.range(other.bytes, 0, other.length);
  }

  name(text: string): void {
    const bytes = encoder.encode(text);
    this.u32(bytes.length);
    this.all(bytes);
  }

  /** A section or subsection: id, size, contents. */
  section(id: number, contents: Writer): void {
    this.u8(id);
    this.u32(contents.length);
    this.append(contents);
  }

  /** A copy of what was written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length) as Uint8Array<ArrayBuffer>;
  }
}
