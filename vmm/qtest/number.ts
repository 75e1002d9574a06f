/** Numbers as C's strtoull with base 0 reads them, as two 32-bit halves. */

const ZERO = 48;
const UPPER_HALF = 4294967296;

export class NumberReader {
  lo = 0;
  hi = 0;

  /** False when `text` is no number or has more than 64 bits. A minus sign negates modulo 2^64, as in C. */
  read(text: string): boolean {
    const negative = text.charCodeAt(0) === 45;
    let at = negative || text.charCodeAt(0) === 43 ? 1 : 0;
    let base = 10;
    if (text.charCodeAt(at) === ZERO && text.length > at + 1) {
      const hex = (text.charCodeAt(at + 1) | 32) === 120;
      base = hex ? 16 : 8;
      at += hex ? 2 : 1;
    }
    if (at >= text.length || !this.#digits(text, at, base)) return false;
    if (negative) this.#negate();
    return true;
  }

  #digits(text: string, at: number, base: number): boolean {
    let lo = 0;
    let hi = 0;
    for (; at < text.length; at++) {
      const digit = digitOf(text.charCodeAt(at));
      if (digit >= base) return false;
      const low = lo * base + digit;
      hi = hi * base + Math.floor(low / UPPER_HALF);
      lo = low >>> 0;
      if (hi >= UPPER_HALF) return false;
    }
    this.lo = lo;
    this.hi = hi >>> 0;
    return true;
  }

  #negate(): void {
    this.hi = (~this.hi + (this.lo === 0 ? 1 : 0)) >>> 0;
    this.lo = -this.lo >>> 0;
  }

  /** The value as a Number; exact below 2^53. */
  get value(): number {
    return this.hi * UPPER_HALF + this.lo;
  }
}

/** 36 and more: no digit of any base. */
function digitOf(code: number): number {
  if (code >= ZERO && code <= 57) return code - ZERO;
  const letter = code | 32;
  return letter >= 97 && letter <= 122 ? letter - 87 : 99;
}
