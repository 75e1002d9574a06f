import { hex } from '../../vmm/core/u64.ts';
import type { AddressRange } from '../description.ts';
import { ByteWriter, badDescription } from './bytes.ts';

/** ACPI 6.3: Resource Data Types for ACPI; each function gives one descriptor. */

const IO_PORT_DESCRIPTOR = 0x47;
const END_TAG = 0x79;
const MEMORY32_FIXED = 0x86;
const DWORD_SPACE = 0x87;
const WORD_SPACE = 0x88;
const QWORD_SPACE = 0x8a;

const MEMORY_RANGE = 0;
const IO_RANGE = 1;
const BUS_RANGE = 2;

/** General flags: minimum and maximum fixed, positive decode, resource producer. */
const FIXED_WINDOW = 0x0c;
/** I/O: the window covers ISA and non-ISA addresses. */
const ENTIRE_RANGE = 3;
const READ_WRITE = 1;
const PREFETCHABLE = 3 << 1;
/** I/O: the other side of the bridge is memory. */
const TYPE_TRANSLATION = 1 << 4;
const CONSUMER = 1;

const DECODE_16 = 1;

/** Word Address Space Descriptor of the buses below a host bridge. */
export function busWindow(firstBus: number, lastBus: number): Uint8Array {
  if (lastBus > 0xff || lastBus < firstBus)
    throw badDescription('DSDT', `bus range ${firstBus}..${lastBus} is not one`);
  return wordWindow(BUS_RANGE, 0, firstBus, lastBus);
}

export function ioWindow(range: AddressRange): Uint8Array {
  checkRange(range, 2 ** 16);
  return wordWindow(IO_RANGE, ENTIRE_RANGE, range.base, range.base + range.length - 1);
}

/** Ports that appear in memory from `at` on: a DWord Address Space Descriptor with type translation. */
export function mappedIoWindow(range: AddressRange, at: number): Uint8Array {
  checkRange(range, 2 ** 16);
  const w = resource()
    .u8(DWORD_SPACE)
    .u16(0x17)
    .u8(IO_RANGE)
    .u8(FIXED_WINDOW)
    .u8(ENTIRE_RANGE | TYPE_TRANSLATION);
  for (const value of [0, range.base, range.base + range.length - 1, at, range.length]) w.u32(value);
  return w.done();
}

/** A DWord descriptor where the window ends below 4 GiB, else a QWord one. */
export function memoryWindow(range: AddressRange, prefetchable: boolean): Uint8Array {
  checkRange(range, 2 ** 52);
  const last = range.base + range.length - 1;
  const wide = last >= 2 ** 32;
  const w = resource()
    .u8(wide ? QWORD_SPACE : DWORD_SPACE)
    .u16(wide ? 0x2b : 0x17)
    .u8(MEMORY_RANGE)
    .u8(FIXED_WINDOW)
    .u8(READ_WRITE | (prefetchable ? PREFETCHABLE : 0));
  // Granularity, minimum, maximum, translation offset, length.
  for (const value of [0, range.base, last, 0, range.length]) wide ? w.u64(value) : w.u32(value);
  return w.done();
}

/** I/O Port Descriptor: ports the device itself decodes. */
export function ioPorts(range: AddressRange): Uint8Array {
  checkRange(range, 2 ** 16);
  return resource()
    .u8(IO_PORT_DESCRIPTOR)
    .u8(DECODE_16)
    .u16(range.base)
    .u16(range.base)
    .u8(1)
    .u8(range.length)
    .done();
}

/** Memory the device itself decodes: a 32-bit Fixed Memory Range Descriptor, above 4 GiB a QWord one. */
export function fixedMemory(range: AddressRange): Uint8Array {
  checkRange(range, 2 ** 52);
  const last = range.base + range.length - 1;
  if (last >= 2 ** 32) {
    const w = resource()
      .u8(QWORD_SPACE)
      .u16(0x2b)
      .u8(MEMORY_RANGE)
      .u8(FIXED_WINDOW | CONSUMER)
      .u8(READ_WRITE);
    for (const value of [0, range.base, last, 0, range.length]) w.u64(value);
    return w.done();
  }
  return resource().u8(MEMORY32_FIXED).u16(9).u8(READ_WRITE).u32(range.base).u32(range.length).done();
}

/** The descriptors and an end tag; checksum 0 means that there is none. */
export function resourceTemplate(...descriptors: readonly Uint8Array[]): Uint8Array {
  const w = resource();
  for (const descriptor of descriptors) w.bytes(descriptor);
  return w.u8(END_TAG).u8(0).done();
}

function wordWindow(type: number, typeFlags: number, first: number, last: number): Uint8Array {
  return resource()
    .u8(WORD_SPACE)
    .u16(0x0d)
    .u8(type)
    .u8(FIXED_WINDOW)
    .u8(typeFlags)
    .u16(0)
    .u16(first)
    .u16(last)
    .u16(0)
    .u16(last - first + 1)
    .done();
}

function checkRange({ base, length }: AddressRange, end: number): void {
  if (length <= 0 || base + length > end)
    throw badDescription('DSDT', `range ${hex(base)} + ${hex(length)} is empty or ends above ${hex(end)}`);
}

function resource(): ByteWriter {
  return new ByteWriter('DSDT');
}
