/**
 * QMP's framing: a stream of JSON values without a length or a separator. Bytes come in pieces of any size; what comes out
 * is one item for every value, and one for everything that is none, so that no command stays without an answer.
 */

import { exactId } from './exact-id.ts';

export type StreamItem =
  /** The id as text is there where its value is not all of it. */
  | { readonly kind: 'message'; readonly value: unknown; readonly exactId?: string }
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
const APOSTROPHE = 0x27;
/** From here on no byte is part of UTF-8: clients send one to be sure where a message begins (QEMU's QMP specification). */
const RESET = 0xfe;

export class QmpStream {
  readonly #limits: StreamLimits;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  /** Of the value that has begun: bytes of earlier pieces. */
  #pieces: Uint8Array[] = [];
  #held = 0;
  #stack: number[] = [];
  #expect = VALUE;
  /** The quote that ends the string; 0 outside of strings. */
  #quote = 0;
  #escaped = false;
  /** In a number or keyword. */
  #inWord = false;
  /** The value has begun. */
  #begun = false;
  /** Something was wrong: what belongs to the message goes, to its last bracket or to the end of the line. */
  #skipping = false;
  /** Open brackets of a message that is skipped. */
  #depth = 0;
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
      if (byte >= RESET) {
        if (!this.#skipping) items.push(parseError(stray(byte)));
        this.#restart(false);
        start = ++i;
        continue;
      }
      if (this.#skipping) {
        if (this.#skip(byte)) i++;
        start = i;
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
        if (!this.#afterError(byte, atLineStart)) i++;
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
        this.#startSkipping(this.#stack.length);
        start = i;
      }
    }
    if (this.#begun && !this.#skipping && start < bytes.length) {
      this.#pieces.push(bytes.slice(start));
      this.#held += bytes.length - start;
    }
    return items;
  }

  /** How it goes on after a byte that fits nowhere; true if the byte is to be looked at again. */
  #afterError(byte: number, atLineStart: boolean): boolean {
    const opens = byte === OPEN_OBJECT || byte === OPEN_ARRAY;
    // A message that begins on a line of its own: the one before was never closed.
    if (atLineStart && opens && this.#stack.length > 0) {
      this.#restart(true);
      return true;
    }
    if (byte === NEWLINE) {
      this.#restart(true);
      return false;
    }
    const closes = byte === CLOSE_OBJECT || byte === CLOSE_ARRAY;
    const depth = this.#stack.length + (opens ? 1 : closes ? -1 : 0);
    if (closes && depth <= 0) this.#restart(false);
    else this.#startSkipping(depth);
    return false;
  }

  #startSkipping(depth: number): void {
    this.#pieces = [];
    this.#held = 0;
    this.#stack = [];
    this.#inWord = false;
    this.#skipping = true;
    this.#depth = depth;
  }

  /** A byte of a message that is dropped; false if the next message begins with it. */
  #skip(byte: number): boolean {
    if (byte === NEWLINE) this.#restart(true);
    else if (this.#quote !== 0) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === this.#quote) {
        this.#quote = 0;
        if (this.#depth === 0) this.#restart(false);
      }
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (this.#depth++ === 0) {
        this.#restart(this.#lineStart);
        return false;
      }
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (--this.#depth <= 0) this.#restart(false);
    } else if (this.#depth === 0) {
      if (isSpace(byte)) this.#restart(false);
    } else if (byte === QUOTE || byte === APOSTROPHE) this.#quote = byte;
    return true;
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
    this.#quote = 0;
    this.#escaped = false;
    this.#inWord = false;
    this.#begun = false;
    this.#skipping = false;
    this.#depth = 0;
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
    const json = doubleQuoted(text);
    let value: unknown;
    try {
      value = JSON.parse(json) as unknown;
    } catch {
      return parseError(`invalid ${/^[a-z]+$/i.test(text) ? 'keyword' : 'value'} '${excerpt(text)}'`);
    }
    if (repeatsKey(json)) return parseError('duplicate key');
    const id = exactId(json);
    return { kind: 'message', value, ...(id === undefined ? {} : { exactId: id }) };
  }

  /** Takes one byte of a value; a text says what is wrong with it. */
  #step(byte: number): Step | string {
    if (this.#quote !== 0) return this.#stringByte(byte);
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
      case APOSTROPHE:
        return this.#openString(byte);
      default:
        if (!this.#wantsValue()) return `expecting ${WANTED[this.#expect]}`;
        if (!/[-\w+.]/.test(String.fromCharCode(byte))) return stray(byte);
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
    if (this.#stack.length === 0) return 'expecting value';
    if (this.#stack.at(-1) !== open) return `unexpected '${String.fromCharCode(byte)}'`;
    if (this.#expect !== COMMA_OR_END && this.#expect !== empty) return `expecting ${WANTED[this.#expect]}`;
    this.#stack.pop();
    this.#valueSeen();
    return this.#stack.length === 0 ? VALUE_ENDED : GOES_ON;
  }

  #openString(quote: number): Step | string {
    if (this.#expect === KEY || this.#expect === KEY_OR_END) this.#expect = COLON;
    else if (this.#wantsValue()) this.#valueSeen();
    else return `expecting ${WANTED[this.#expect]}`;
    this.#quote = quote;
    return GOES_ON;
  }

  /** A raw control character cannot be in a string: a string that was never closed ends with its line. */
  #stringByte(byte: number): Step | string {
    if (byte < 0x20) return 'unterminated string';
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === this.#quote) {
      this.#quote = 0;
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
    [COMMA, COLON_SIGN, QUOTE, APOSTROPHE, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT].includes(byte)
  );
}

/** QEMU takes apostrophes for quotes, which spares clients in a shell some backslashes. */
function doubleQuoted(text: string): string {
  if (!text.includes("'")) return text;
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '"' && text[at] !== "'") continue;
    const end = stringEnd(text, at);
    const inside = text.slice(at + 1, end);
    const escapes: Readonly<Record<string, string>> = { '"': '\\"', "\\'": "'" };
    pieces.push(text.slice(from, at), `"${inside.replace(/\\.|"/gs, (c) => escapes[c] ?? c)}"`);
    at = end;
    from = end + 1;
  }
  return pieces.join('') + text.slice(from);
}

/** Where the string that begins at `at` has its closing quote. */
function stringEnd(text: string, at: number): number {
  const quote = text.charCodeAt(at);
  let end = at + 1;
  while (end < text.length && text.charCodeAt(end) !== quote)
    end += text.charCodeAt(end) === BACKSLASH ? 2 : 1;
  return end;
}

/** An object has a key twice: which of the values is meant? @param json valid JSON */
function repeatsKey(json: string): boolean {
  const keys: (Set<string> | undefined)[] = [];
  let last = '';
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case QUOTE: {
        const end = stringEnd(json, at);
        last = json.slice(at, end + 1);
        at = end;
        break;
      }
      case OPEN_OBJECT:
        keys.push(new Set());
        break;
      case OPEN_ARRAY:
        keys.push(undefined);
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        keys.pop();
        break;
      case COLON_SIGN: {
        const own = keys.at(-1)!;
        const key = last.includes('\\') ? (JSON.parse(last) as string) : last.slice(1, -1);
        if (own.has(key)) return true;
        own.add(key);
      }
    }
  }
  return false;
}

function stray(byte: number): string {
  const printable = byte > 0x20 && byte < 0x7f;
  return `stray '${printable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`}'`;
}

function excerpt(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}

function parseError(why: string): StreamItem {
  return { kind: 'error', desc: `JSON parse error, ${why}` };
}
