/** Seeded generator (sfc32): the only source of chance in the VMM. Its four words are its whole state. */
export class Rng {
  readonly s: Uint32Array;

  constructor(seed: number) {
    this.s = Uint32Array.of(seed >>> 0, (seed / 4294967296) >>> 0, 0x9e3779b9, 1);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** Uniform in 0 .. 2^32 - 1. */
  next(): number {
    const s = this.s;
    const out = (s[0]! + s[1]! + s[3]!) | 0;
    s[3] = s[3]! + 1;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = (s[2]! + (s[2]! << 3)) | 0;
    s[2] = ((s[2]! << 21) | (s[2]! >>> 11)) + out;
    return out >>> 0;
  }

  /** Uniform in 0 .. bound - 1. */
  below(bound: number): number {
    return Math.floor((this.next() / 4294967296) * bound);
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next();
  }
}
