/**
 * QEMU's qtest protocol: one command a line, one reply a line. Replies are those of QEMU 11.1; where QEMU ends itself with
 * an assertion (a missing or malformed argument), the reply is FAIL with the reason.
 */

import { NumberReader } from './number.ts';

export type AccessSize = 1 | 2 | 4 | 8;

export type InterceptAnswer = 'ok' | 'no-pins' | 'taken';

/** What the commands act on: a machine as its CPU sees it. Addresses and values travel as two 32-bit halves. */
export interface QtestTarget {
  /** Upper half of the last 8-byte load. */
  hi: number;
  /** One access of this width; what nobody answers reads 0. */
  load(lo: number, hi: number, size: AccessSize): number;
  store(lo: number, hi: number, size: AccessSize, valueLo: number, valueHi: number): void;
  /** Bulk access in the widest aligned pieces; the bytes may be a view that the next call changes. */
  read(lo: number, hi: number, length: number): Buffer;
  write(lo: number, hi: number, bytes: Uint8Array): void;
  /** False when more than FILL_LIMIT bytes of it are not RAM. */
  fill(lo: number, hi: number, length: number, byte: number): boolean;
  in(port: number, size: 1 | 2 | 4): number;
  out(port: number, size: 1 | 2 | 4, value: number): void;
  /** Virtual time in ns. */
  readonly now: number;
  /** When the next event is due; Infinity if nothing is scheduled. */
  readonly nextEvent: number;
  advanceTo(ns: number): void;
  /** There is a device at this path. */
  knows(path: string): boolean;
  /** Reports the input pins of a device from now on. */
  interceptIn(path: string): InterceptAnswer;
  interceptOut(path: string): InterceptAnswer;
  /** False when the device has no such pin. */
  setIrq(path: string, name: string | undefined, pin: number, level: number): boolean;
}

/** LIMIT: more bytes in one read or write are refused. */
export const TRANSFER_LIMIT = 64 << 20;
/** The longest line: a write of that many bytes in hex. */
export const LINE_LIMIT = 2 * TRANSFER_LIMIT + 4096;
/** LIMIT: memset beyond RAM is refused from here on. */
export const FILL_LIMIT = 16 << 20;

const SIZES: Readonly<Record<string, AccessSize>> = { b: 1, w: 2, l: 4, q: 8 };
const LAST_PORT = 0xffff;
/** Virtual time is a Number: exact up to here. */
const LAST_TIME = Number.MAX_SAFE_INTEGER;

type Command = (session: QtestProtocol, words: readonly string[]) => string;

/** A command that cannot be done; its text is the reply. */
class Refused extends Error {}

/** Number of arguments that each command needs, and what it does. */
const COMMANDS: Readonly<Record<string, readonly [number, Command]>> = {
  endianness: [0, () => 'OK little'],
  ...sized('read', (size) => [1, (s, w) => s.load(w, size)]),
  ...sized('write', (size) => [2, (s, w) => s.store(w, size)]),
  ...sized('in', (size) => [1, (s, w) => s.in(w, size)]),
  ...sized('out', (size) => [2, (s, w) => s.out(w, size)]),
  read: [2, (s, w) => `OK 0x${s.bytes(w, 1).toString('hex')}`],
  b64read: [2, (s, w) => `OK ${s.bytes(w, 0).toString('base64')}`],
  write: [3, (s, w) => s.write(w, 'hex')],
  b64write: [3, (s, w) => s.write(w, 'base64')],
  memset: [3, (s, w) => s.memset(w)],
  clock_step: [0, (s, w) => s.clockStep(w)],
  clock_set: [1, (s, w) => s.clockSet(w)],
  irq_intercept_in: [1, (s, w) => s.intercept(w, true)],
  irq_intercept_out: [1, (s, w) => s.intercept(w, false)],
  set_irq_in: [4, (s, w) => s.setIrq(w)],
  // There are no modules: everything is built in.
  module_load: [2, () => 'FAIL'],
};

/** Ports have no 8-byte access. */
function sized(prefix: string, make: (size: AccessSize) => readonly [number, Command]) {
  const letters = prefix === 'in' || prefix === 'out' ? ['b', 'w', 'l'] : ['b', 'w', 'l', 'q'];
  return Object.fromEntries(letters.map((letter) => [prefix + letter, make(SIZES[letter]!)]));
}

/** Every command there is. */
export const QTEST_COMMANDS: readonly string[] = Object.keys(COMMANDS);

const TABLE = new Map(Object.entries(COMMANDS));

/** One client's commands to replies. */
export class QtestProtocol {
  readonly #target: QtestTarget;
  readonly #a = new NumberReader();
  readonly #b = new NumberReader();

  constructor(target: QtestTarget) {
    this.#target = target;
  }

  /** The reply without its line end; undefined to a blank line. Never throws for what a client sends. */
  reply(line: string): string | undefined {
    if (line === '') return undefined;
    const words = line.split(' ');
    const command = TABLE.get(words[0]!);
    if (command === undefined) return `FAIL Unknown command '${words[0]}'`;
    // Trailing spaces end the line; a missing word between two spaces does not count as one.
    while (words.length > 1 && words.at(-1) === '') words.pop();
    if (words.length - 1 < command[0]) return `FAIL '${words[0]}' needs ${command[0]} arguments`;
    try {
      return command[1](this, words);
    } catch (error) {
      if (error instanceof Refused) return error.message;
      throw error;
    }
  }

  #number(reader: NumberReader, text: string): NumberReader {
    if (!reader.read(text)) throw new Refused(`FAIL '${text.slice(0, 40)}' is no number of 64 bits`);
    return reader;
  }

  load(words: readonly string[], size: AccessSize): string {
    const a = this.#number(this.#a, words[1]!);
    const lo = this.#target.load(a.lo, a.hi, size) >>> 0;
    const hi = size === 8 ? this.#target.hi : 0;
    return `OK 0x${hex8(hi)}${hex8(lo)}`;
  }

  store(words: readonly string[], size: AccessSize): string {
    const a = this.#number(this.#a, words[1]!);
    const v = this.#number(this.#b, words[2]!);
    const mask = size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
    this.#target.store(a.lo, a.hi, size, (v.lo & mask) >>> 0, size === 8 ? v.hi : 0);
    return 'OK';
  }

  #port(text: string): number {
    const port = this.#number(this.#a, text);
    if (port.value > LAST_PORT) throw new Refused(`FAIL there is no port ${text}`);
    return port.lo;
  }

  in(words: readonly string[], size: AccessSize): string {
    const value = this.#target.in(this.#port(words[1]!), size as 1 | 2 | 4) >>> 0;
    return `OK 0x${value.toString(16).padStart(4, '0')}`;
  }

  out(words: readonly string[], size: AccessSize): string {
    const port = this.#port(words[1]!);
    const mask = size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
    this.#target.out(port, size as 1 | 2 | 4, (this.#number(this.#b, words[2]!).lo & mask) >>> 0);
    return 'OK';
  }

  #length(text: string, least: number): number {
    const n = this.#number(this.#b, text).value;
    if (n < least || n > TRANSFER_LIMIT) {
      throw new Refused(`FAIL length ${text} is not between ${least} and ${TRANSFER_LIMIT}`);
    }
    return n;
  }

  bytes(words: readonly string[], least: number): Buffer {
    const a = this.#number(this.#a, words[1]!);
    return this.#target.read(a.lo, a.hi, this.#length(words[2]!, least));
  }

  /** Data that is short leaves zeros behind it; data that is long is cut. */
  write(words: readonly string[], encoding: 'hex' | 'base64'): string {
    const a = this.#number(this.#a, words[1]!);
    const length = this.#length(words[2]!, 0);
    const text = words[3]!;
    if (text.length < 3) return 'ERR invalid argument size';
    const bytes = Buffer.alloc(length);
    if (encoding === 'hex') bytes.write(text.slice(2, 2 + 2 * length), 'hex');
    else bytes.write(text, 'base64');
    this.#target.write(a.lo, a.hi, bytes);
    return 'OK';
  }

  memset(words: readonly string[]): string {
    const byte = this.#number(this.#a, words[3]!).lo & 0xff;
    const length = this.#number(this.#b, words[2]!).value;
    const a = this.#number(this.#a, words[1]!);
    if (length === 0 || this.#target.fill(a.lo, a.hi, length, byte)) return 'OK';
    return `FAIL more than ${FILL_LIMIT} bytes from ${words[1]} on are not RAM`;
  }

  #time(text: string): number {
    const t = this.#number(this.#a, text);
    return t.hi >= 0x80000000 ? t.value - 2 ** 64 : t.value;
  }

  clockStep(words: readonly string[]): string {
    const target = this.#target;
    const before = target.now;
    const to = words[1] === undefined ? target.nextEvent : before + this.#time(words[1]);
    if (to === Number.POSITIVE_INFINITY) {
      return 'FAIL cannot advance clock to the next deadline because there is no pending deadline';
    }
    if (to <= before || to > LAST_TIME) return 'FAIL could not advance time';
    target.advanceTo(to);
    return `OK ${target.now}`;
  }

  clockSet(words: readonly string[]): string {
    const target = this.#target;
    const to = this.#time(words[1]!);
    if (to < target.now || to > LAST_TIME) return `FAIL ${target.now}`;
    target.advanceTo(to);
    return `OK ${target.now}`;
  }

  intercept(words: readonly string[], inputs: boolean): string {
    const path = words[1]!;
    const target = this.#target;
    if (!target.knows(path)) return 'FAIL Unknown device';
    if (inputs && words[2] !== undefined) return 'FAIL Interception of named in-GPIOs not yet supported';
    const answer = inputs ? target.interceptIn(path) : target.interceptOut(path);
    if (answer === 'taken') return 'FAIL IRQ intercept already enabled';
    return answer === 'ok' ? 'OK' : 'FAIL No intercepts installed';
  }

  setIrq(words: readonly string[]): string {
    const name = words[2] === 'unnamed-gpio-in' ? undefined : words[2];
    const pin = this.#number(this.#a, words[3]!).value;
    const level = this.#time(words[4]!);
    const path = words[1]!;
    if (!this.#target.knows(path)) return 'FAIL Unknown device';
    return this.#target.setIrq(path, name, pin, level)
      ? 'OK'
      : `FAIL '${words[1]}' has no input pin ${words[2]} ${words[3]}`;
  }
}

function hex8(word: number): string {
  return word.toString(16).padStart(8, '0');
}
