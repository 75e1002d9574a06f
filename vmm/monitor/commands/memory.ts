/** Commands that read memory. Registers are not read: reading some of them does things. */

import { writeFileSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { hex, hi32, lo32, u64 } from '../../core/u64.ts';
import type { Machine } from '../../machine/machine.ts';
import { command, DONE, type MonitorCommand, type Values } from '../command.ts';
import { MonitorError } from '../error.ts';
import { ADDRESS, arrayOf, EMPTY, INT, may, need, object, oneOf, STR } from '../types.ts';

const FORMATS = ['x', 'd', 'u', 'o', 'c'] as const;
const SIZES = { b: 1, h: 2, w: 4, g: 8 } as const;
type Format = (typeof FORMATS)[number];
type Size = (typeof SIZES)[keyof typeof SIZES];

const MAX_VALUES = 1 << 16;

interface Dump {
  readonly address: string;
  readonly values: readonly string[];
}

const SAVE_ARGS = {
  val: need(ADDRESS, 'first address'),
  size: need(INT, 'bytes'),
  filename: need(STR, 'file to write'),
};

export const MEMORY_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'x-tsvmm-memory',
    summary: 'Show memory',
    details:
      "In the text form the format is QEMU's: a count, one of x d u o c, and a size b h w g (1, 2, 4, 8 bytes). Only RAM is read.",
    args: {
      address: need(ADDRESS, 'first address'),
      count: may(INT, 'values; 1 if absent'),
      format: may(oneOf(...FORMATS), 'hex, signed, unsigned, octal or characters; hex if absent'),
      size: may(INT, 'bytes of a value: 1, 2, 4 or 8; 4 if absent'),
    },
    result: object({ address: STR, values: arrayOf(STR) }),
    run: ({ machine }, args) => dump(machine, args),
    text: {
      name: 'x',
      usage: '[/FMT] ADDR',
      parse: parseFormat,
      show: (result, args) => dumpText(result as Dump, args),
    },
  }),
  command({
    name: 'memsave',
    summary: 'Write a part of memory, as the guest addresses it, to a file',
    details: "A guest's addresses are physical addresses.",
    args: { ...SAVE_ARGS, 'cpu-index': may(INT, 'the processor; there is only 0') },
    result: EMPTY,
    run({ machine }, args) {
      if ((args['cpu-index'] ?? 0) !== 0)
        throw new MonitorError("Invalid parameter 'cpu-index', expected: a CPU number");
      return save(machine, args);
    },
    text: { name: 'memsave', usage: 'ADDR SIZE FILE', show: () => '' },
  }),
  command({
    name: 'pmemsave',
    summary: 'Write a part of physical memory to a file',
    args: SAVE_ARGS,
    result: EMPTY,
    run: ({ machine }, args) => save(machine, args),
    text: { name: 'pmemsave', usage: 'ADDR SIZE FILE', show: () => '' },
  }),
];

/** `/4xw 0x1000`: the slash belongs to the command's name in QEMU; spaces before it are allowed here. */
function parseFormat(rest: string): Values {
  const m = /^(?:\/(\d*)([xduoc]?)([bhwg]?)([xduoc]?)\s+)?(\S+)$/.exec(rest);
  if (m === null || (m[2] !== '' && m[4] !== '' && m[2] !== undefined)) {
    const why = /^\/\d*[bhwg]?i/.test(rest)
      ? 'instructions are WebAssembly and not in guest memory'
      : 'usage: x [/FMT] ADDR';
    throw new MonitorError(why);
  }
  const format = (m[2] || m[4] || 'x') as Format;
  const letter = m[3] as keyof typeof SIZES | '' | undefined;
  return {
    address: m[5]!,
    ...(m[1] ? { count: Number(m[1]) } : {}),
    format,
    size: format === 'c' ? 1 : letter ? SIZES[letter] : 4,
  };
}

function dump(machine: Machine, args: Values): Dump {
  const { count, size } = shapeOf(args);
  const address = BigInt(args['address'] as string | number);
  const at = ramAt(machine, address, count * size);
  const { u8 } = machine.ram;
  const values: string[] = [];
  for (let i = 0; i < count; i++) values.push(hex(valueAt(u8, at + i * size, size)));
  return { address: hex(address), values };
}

function shapeOf(args: Values): { count: number; size: Size; format: Format } {
  const count = (args['count'] ?? 1) as number;
  const size = (args['size'] ?? 4) as Size;
  if (count < 1 || count > MAX_VALUES)
    throw new MonitorError(`Parameter 'count' expects a number from 1 to ${MAX_VALUES}`);
  if (![1, 2, 4, 8].includes(size)) throw new MonitorError("Parameter 'size' expects 1, 2, 4 or 8");
  return { count, size, format: (args['format'] ?? 'x') as Format };
}

function valueAt(u8: Uint8Array, at: number, size: number): bigint {
  let lo = 0;
  let hi = 0;
  for (let i = 0; i < Math.min(4, size); i++) lo |= u8[at + i]! << (i * 8);
  for (let i = 4; i < size; i++) hi |= u8[at + i]! << ((i - 4) * 8);
  return u64(lo, hi);
}

/** As QEMU prints it: 16 bytes a line (8 of single bytes), the address in front. */
function dumpText({ address, values }: Dump, args: Values): string {
  const { size, format } = shapeOf(args);
  const perLine = size === 1 ? 8 : 16 / size;
  const lines: string[] = [];
  for (let i = 0; i < values.length; i += perLine) {
    const at = (Number(address) + i * size).toString(16).padStart(16, '0');
    const shown = values.slice(i, i + perLine).map((v) => ` ${valueText(BigInt(v), format, size)}`);
    lines.push(`${at}:${shown.join('')}`);
  }
  return lines.join('\n');
}

function valueText(value: bigint, format: Format, size: Size): string {
  const decimals = Math.ceil((size * 80) / 33);
  switch (format) {
    case 'x':
      return `0x${value.toString(16).padStart(size * 2, '0')}`;
    case 'u':
      return value.toString().padStart(decimals);
    case 'd':
      return BigInt.asIntN(size * 8, value)
        .toString()
        .padStart(decimals);
    case 'o':
      return `#${value.toString(8).padStart(Math.ceil((size * 8) / 3))}`;
    case 'c':
      return characterText(Number(value & 0xffn));
  }
}

function characterText(code: number): string {
  const escapes: Readonly<Record<number, string>> = { 10: '\\n', 13: '\\r', 39: "\\'", 92: '\\\\' };
  const shown = escapes[code] ?? (code >= 32 && code <= 126 ? String.fromCharCode(code) : undefined);
  return `'${shown ?? `\\x${code.toString(16).padStart(2, '0')}`}'`;
}

/** Where in the linear memory those bytes are. @throws MonitorError when they are not all RAM */
function ramAt({ ram, mmio }: Machine, address: bigint, bytes: number): number {
  const at = ram.locate(lo32(address), hi32(address), bytes);
  if (at >= 0) return at;
  const first = Number(address);
  const range = mmio.ranges.find((r) => first < r.base + r.size && r.base < first + bytes);
  const what = range === undefined ? 'nothing is mapped there' : `${range.name} is there`;
  throw new MonitorError(`${bytes} bytes at ${hex(address)} are not all RAM: ${what}`);
}

function save(machine: Machine, args: Values): typeof DONE {
  const address = BigInt(args['val'] as string | number);
  const size = args['size'] as number;
  const filename = args['filename'] as string;
  if (size < 1) throw new MonitorError("Parameter 'size' expects a positive number");
  const at = ramAt(machine, address, size);
  try {
    writeFileSync(filename, machine.ram.u8.subarray(at, at + size));
  } catch (cause) {
    const { errno = 0 } = cause as NodeJS.ErrnoException;
    const [, why = String(cause)] = getSystemErrorMap().get(errno) ?? [];
    throw new MonitorError(`Could not open '${filename}': ${why[0]!.toUpperCase()}${why.slice(1)}`);
  }
  return DONE;
}
