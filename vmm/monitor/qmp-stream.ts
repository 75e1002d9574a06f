/**
 * QMP's framing: a stream of JSON values without a length or a separator. Bytes come in pieces of any size; what comes out
 * is one item for every value, and one for everything that is none, so that no command stays without an answer.
 */

export type StreamItem =
  | { readonly kind: 'message'; readonly value: unknown }
  | { readonly kind: 'error'; readonly desc: string };

export interface StreamLimits {
  /** Bytes of one message. */
  readonly bytes: number;
  readonly depth: number;
}

/** A QMP command has some hundred bytes; QEMU allows 64 MiB. */
const LIMITS: StreamLimits = { bytes: 16 << 20, depth: 1024 };

/** What may come next, between tokens. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const COMMA_OR_END = 5;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON_SIGN = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const NEWLINE = 0x0a;

export class QmpStream {
  readonly #limits: StreamLimits;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  /** Of the value that has begun: bytes of earlier pieces. */
  #pieces: Uint8Array[] = [];
  #held = 0;
  #stack: number[] = [];
  #expect = VALUE;
  #inString = false;
  #escaped = false;
  /** In a number or keyword. */
  #inWord = false;
  /** The value has begun. */
  #begun = false;
  /** Something was wrong: the rest of the line goes. */
  #skipping = false;
  /** Nothing but spaces so far on this line. */
  #lineStart = true;

  constructor(limits: StreamLimits = LIMITS) {
    this.#limits = limits;
  }

  push(bytes: Uint8Array): StreamItem[] {
    const items: StreamItem[] = [];
    let start = 0;
    let i = 0;
    while (i < bytes.length) {
      const byte = bytes[i]!;
      if (this.#skipping) {
        if (byte === NEWLINE) this.#restart(true);
        start = ++i;
        continue;
      }
      if (!this.#begun) {
        if (isSpace(byte)) {
          if (byte === NEWLINE) this.#lineStart = true;
          start = ++i;
          continue;
        }
        this.#begun = true;
        start = i;
      }
      const atLineStart = this.#lineStart;
      const step = this.#step(byte);
      this.#noteLine(byte);
      if (typeof step === 'string') {
        items.push(parseError(step));
        const resume = atLineStart && this.#stack.length > 0 && (byte === OPEN_OBJECT || byte === OPEN_ARRAY);
        this.#restart(byte === NEWLINE || resume);
        this.#skipping = byte !== NEWLINE && !resume;
        if (!resume) i++;
        start = i;
        continue;
      }
      if (step === WORD_ENDED) {
        items.push(this.#finish(bytes.subarray(start, i)));
        start = i;
        continue;
      }
      i++;
      if (step === VALUE_ENDED) {
        items.push(this.#finish(bytes.subarray(start, i)));
        start = i;
      } else if (this.#held + (i - start) > this.#limits.bytes) {
        items.push(parseError('message is too long'));
        this.#restart(byte === NEWLINE);
        this.#skipping = byte !== NEWLINE;
        start = i;
      }
    }
    if (this.#begun && !this.#skipping && start < bytes.length) {
      this.#pieces.push(bytes.slice(start));
      this.#held += bytes.length - start;
    }
    return items;
  }

  #noteLine(byte: number): void {
    if (byte === NEWLINE) this.#lineStart = true;
    else if (!isSpace(byte)) this.#lineStart = false;
  }

  #restart(lineStart: boolean): void {
    this.#pieces = [];
    this.#held = 0;
    this.#stack = [];
    this.#expect = VALUE;
    this.#inString = false;
    this.#escaped = false;
    this.#inWord = false;
    this.#begun = false;
    this.#skipping = false;
    this.#lineStart = lineStart;
  }

  #finish(last: Uint8Array): StreamItem {
    const bytes = this.#pieces.length === 0 ? last : Buffer.concat([...this.#pieces, last]);
    this.#restart(this.#lineStart);
    let text: string;
    try {
      text = this.#decoder.decode(bytes);
    } catch {
      return parseError('invalid UTF-8 sequence in string');
    }
    try {
      return { kind: 'message', value: JSON.parse(text) as unknown };
    } catch {
      return parseError(`invalid value '${excerpt(text)}'`);
    }
  }

  /** Takes one byte of a value; a text says what is wrong with it. */
  #step(byte: number): Step | string {
    if (this.#inString) return this.#stringByte(byte);
    if (this.#inWord) {
      if (!isDelimiter(byte)) return GOES_ON;
      this.#inWord = false;
      if (this.#stack.length === 0) return WORD_ENDED;
    }
    if (isSpace(byte)) return GOES_ON;
    switch (byte) {
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        return this.#open(byte);
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        return this.#close(byte);
      case COMMA:
        if (this.#expect !== COMMA_OR_END) return "unexpected ','";
        this.#expect = this.#stack.at(-1) === OPEN_OBJECT ? KEY : VALUE;
        return GOES_ON;
      case COLON_SIGN:
        if (this.#expect !== COLON) return "unexpected ':'";
        this.#expect = VALUE;
        return GOES_ON;
      case QUOTE:
        return this.#openString();
      default:
        if (!this.#wantsValue()) return `expecting ${WANTED[this.#expect]}`;
        if (!/[-\w+.]/.test(String.fromCharCode(byte))) return 'stray character';
        this.#inWord = true;
        this.#valueSeen();
        return GOES_ON;
    }
  }

  #wantsValue(): boolean {
    return this.#expect === VALUE || this.#expect === VALUE_OR_END;
  }

  #valueSeen(): void {
    this.#expect = COMMA_OR_END;
  }

  #open(byte: number): Step | string {
    if (!this.#wantsValue()) return `expecting ${WANTED[this.#expect]}`;
    if (this.#stack.length >= this.#limits.depth) return 'nesting is too deep';
    this.#stack.push(byte);
    this.#expect = byte === OPEN_OBJECT ? KEY_OR_END : VALUE_OR_END;
    return GOES_ON;
  }

  #close(byte: number): Step | string {
    const open = byte === CLOSE_OBJECT ? OPEN_OBJECT : OPEN_ARRAY;
    const empty = byte === CLOSE_OBJECT ? KEY_OR_END : VALUE_OR_END;
    if (this.#stack.at(-1) !== open) return `unexpected '${String.fromCharCode(byte)}'`;
    if (this.#expect !== COMMA_OR_END && this.#expect !== empty) return `expecting ${WANTED[this.#expect]}`;
    this.#stack.pop();
    this.#valueSeen();
    return this.#stack.length === 0 ? VALUE_ENDED : GOES_ON;
  }

  #openString(): Step | string {
    if (this.#expect === KEY || this.#expect === KEY_OR_END) this.#expect = COLON;
    else if (this.#wantsValue()) this.#valueSeen();
    else return `expecting ${WANTED[this.#expect]}`;
    this.#inString = true;
    return GOES_ON;
  }

  /** A raw control character cannot be in a string: a string that was never closed ends with its line. */
  #stringByte(byte: number): Step | string {
    if (byte < 0x20) return 'unterminated string';
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#inString = false;
      if (this.#stack.length === 0) return VALUE_ENDED;
    }
    return GOES_ON;
  }
}

type Step = typeof GOES_ON | typeof VALUE_ENDED | typeof WORD_ENDED;
const GOES_ON = 0;
/** With this byte. */
const VALUE_ENDED = 1;
/** Before this byte. */
const WORD_ENDED = 2;

const WANTED: Readonly<Record<number, string>> = {
  [VALUE]: 'value',
  [VALUE_OR_END]: "value or ']'",
  [KEY]: 'string',
  [KEY_OR_END]: "string or '}'",
  [COLON]: "':'",
  [COMMA_OR_END]: "',' or end of value",
};

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === NEWLINE || byte === 0x0d || byte === 0x09;
}

function isDelimiter(byte: number): boolean {
  return (
    isSpace(byte) ||
    [COMMA, COLON_SIGN, QUOTE, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT].includes(byte)
  );
}

function excerpt(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}

function parseError(why: string): StreamItem {
  return { kind: 'error', desc: `JSON parse error, ${why}` };
}
