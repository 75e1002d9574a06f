/** Inputs that no client should send, and some that one may, from a seed. */

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to below - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }

  many<T>(atMost: number, make: () => T): T[] {
    return Array.from({ length: this.below(atMost + 1) }, make);
  }

  bytes(atMost: number): Buffer {
    return Buffer.from(this.many(atMost, () => this.below(256)));
  }
}

/** Pieces of 1 byte to all of it. */
export function cut(chance: Chance, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  const most = chance.one([1, 3, 40, 1000, 1 << 20]);
  // Many tiny pieces of a long input are one kind of cut; they need not be all of it.
  for (let at = 0; at < bytes.length; ) {
    const size = pieces.length > 50 ? bytes.length : 1 + chance.below(most);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

// qtest

const NUMBERS = [
  ...[
    '0',
    '1',
    '4',
    '-1',
    '+3',
    '0x',
    '0xg',
    '08',
    '1e3',
    '0x10000',
    '0xfed90018',
    '0xfed90028',
    '0xfed90088',
  ],
  ...[
    '0xe0000000',
    '0xffffffffffffffff',
    '0x10000000000000000',
    '99999999999999999999',
    '0xcf8',
    '0xcfc',
    '65536',
  ],
  ...['', ' ', '\t', 'x', '-', '--1', '0x-1', 'ﬀ', '\0', '0x7fffffffffffffff', '4294967295', '0x80000000'],
];

const QTEST_WORDS = [
  ...['readb', 'readw', 'readl', 'readq', 'writeb', 'writew', 'writel', 'writeq', 'read', 'write', 'memset'],
  ...[
    'b64read',
    'b64write',
    'inb',
    'inw',
    'inl',
    'outb',
    'outw',
    'outl',
    'clock_step',
    'clock_set',
    'endianness',
  ],
  ...[
    'irq_intercept_in',
    'irq_intercept_out',
    'set_irq_in',
    'module_load',
    'READL',
    'readl\0',
    'quit',
    ' readl',
  ],
];

const QTEST_OTHERS = [
  'ioapic',
  'nobody',
  'unnamed-gpio-in',
  '0x',
  '0xzz',
  '0x0',
  'AAAA',
  '====',
  '%s%n',
  '/machine',
];

/** A line without its end. */
export function qtestLine(chance: Chance): Buffer {
  const argument = () => (chance.below(4) === 0 ? chance.one(QTEST_OTHERS) : chance.one(NUMBERS));
  const words = [chance.one(QTEST_WORDS), ...chance.many(5, argument)];
  switch (chance.below(8)) {
    case 0:
      return Buffer.from(chance.bytes(200).filter((b) => b !== 10 && b !== 13));
    case 1:
      return Buffer.from(`${'z'.repeat(chance.below(200_000))} 1 2`);
    case 2:
      return Buffer.from(`write 0x1000 8 0x${'5a'.repeat(chance.below(50_000))}`);
    case 3:
      return Buffer.from(words.join('  '));
    default:
      return Buffer.from(words.join(' '), chance.below(2) === 0 ? 'utf8' : 'latin1');
  }
}

// QMP

const SCALARS = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1,
    5,
    1e308,
    -0.5,
    4294967296,
    9007199254740992,
    '',
    'a',
    '*',
    '\0',
    '\ud800',
  ],
  ...[
    '0x1000',
    '99999999999999999999',
    'edu0',
    'rp0',
    '/machine',
    'x'.repeat(70_000),
    '__proto__',
    'constructor',
  ],
];

function jsonValue(chance: Chance, depth: number): unknown {
  if (depth > 0 && chance.below(4) === 0) return chance.many(4, () => jsonValue(chance, depth - 1));
  if (depth > 0 && chance.below(4) === 0)
    return jsonObject(chance, ['a', 'id', '__proto__', 'toString'], depth - 1);
  return chance.one(SCALARS);
}

function jsonObject(chance: Chance, names: readonly string[], depth: number): Record<string, unknown> {
  const entries = chance.many(4, () => [chance.one(names), jsonValue(chance, depth)] as const);
  return Object.fromEntries(entries);
}

/** Names of arguments that any command has. */
const ARGUMENTS = [
  ...[
    'id',
    'driver',
    'bus',
    'addr',
    'path',
    'typename',
    'command-line',
    'event',
    'count',
    'topic',
    'device',
    'address',
  ],
  ...[
    'access',
    'pasid',
    'format',
    'size',
    'val',
    'filename',
    'name',
    'enable',
    'job-id',
    'tag',
    'force',
    'implements',
  ],
  ...['abstract', 'cpu-index', 'vcpu', 'dma_mask', '__proto__'],
];

/** Something that is to be answered by an error, or, where it happens to be a command, by its answer. */
export function qmpInput(chance: Chance, commands: readonly string[]): Buffer {
  const request = {
    execute: chance.below(10) === 0 ? jsonValue(chance, 2) : chance.one(commands),
    ...(chance.below(4) > 0 ? { arguments: jsonObject(chance, ARGUMENTS, 2) } : {}),
    ...(chance.below(10) === 0 ? jsonObject(chance, ['execute', 'exec-oob', 'control', 'arguments'], 3) : {}),
  };
  const text = JSON.stringify(request);
  const middle = 1 + chance.below(Math.max(1, text.length - 1));
  switch (chance.below(11)) {
    case 0:
      return Buffer.concat([Buffer.from('!'), chance.bytes(300)]);
    case 1:
      return Buffer.from(`${text.slice(0, middle)}\n`);
    case 2:
      return Buffer.from(text.slice(middle));
    case 3:
      return Buffer.concat([
        Buffer.from(text.slice(0, middle)),
        chance.one([
          Buffer.of(0),
          Buffer.of(0xc3, 0x28),
          Buffer.of(0xff),
          Buffer.from('\ufeff'),
          Buffer.of(0x1b),
        ]),
        Buffer.from(text.slice(middle)),
      ]);
    case 4:
      return Buffer.from(chance.one(['[', '{"a":', '[{"a":']).repeat(chance.one([3, 1000, 1025, 100_000])));
    case 5:
      return Buffer.from(JSON.stringify(jsonValue(chance, 3)) ?? 'nul');
    case 6:
      return Buffer.from(
        chance.one(['foo', '}', ']', ',', ':', "'", '"', '\\', '01', '-', '+1', '1.', '{"a":1,}', '{,}']),
      );
    default:
      return Buffer.from(text);
  }
}
