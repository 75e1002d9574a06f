import { numberOf } from '../../vmm/core/u64.ts';
import { COMMAND_IO, COMMAND_MEMORY, type ConfigAccess, REG } from './config.ts';
import type { Bar, ResourceKind } from './types.ts';

const BAR_IO = 1;
const BAR_TYPE_MASK = 6;
const BAR_TYPE_32 = 0;
const BAR_TYPE_64 = 4;
const BAR_PREFETCHABLE = 8;
const IO_MASK = ~3;
const MEMORY_MASK = ~0xf;

/** PCI Local Bus Specification: Base Addresses: sizes the first `count` BARs. The index of a malformed BAR instead of a list. */
export function sizeBars(config: ConfigAccess, bdf: number, count: number): Bar[] | number {
  const command = config.read(bdf, REG.COMMAND, 2);
  // Decoding all-ones addresses would collide with whatever lies there.
  config.write(bdf, REG.COMMAND, 2, command & ~(COMMAND_IO | COMMAND_MEMORY));
  const bars: Bar[] = [];
  for (let index = 0; index < count; index++) {
    const low = probe(config, bdf, index);
    if (low === 0) continue;
    if ((low & BAR_IO) !== 0) {
      bars.push(bar(index, 'io', false, ioSize(low)));
      continue;
    }
    const type = low & BAR_TYPE_MASK;
    const is64 = type === BAR_TYPE_64;
    // A 64-bit BAR takes two registers; the other two types are reserved (PCI 3.0: Base Addresses).
    if ((type !== BAR_TYPE_32 && !is64) || (is64 && index + 1 === count)) return index;
    const size = memorySize(low, is64 ? probe(config, bdf, index + 1) : 0xffffffff);
    if (size === 0) return index;
    bars.push(bar(index, is64 && (low & BAR_PREFETCHABLE) !== 0 ? 'prefetchable' : 'memory', is64, size));
    if (is64) index++;
  }
  return bars;
}

/** Writes an assigned BAR. */
export function programBar(config: ConfigAccess, bdf: number, { index, address, is64 }: Bar): void {
  config.write(bdf, REG.BAR0 + 4 * index, 4, address >>> 0);
  if (is64) config.write(bdf, REG.BAR0 + 4 * index + 4, 4, Math.floor(address / 2 ** 32));
}

/**
 * A 32-bit prefetchable BAR counts as memory: a prefetchable window that holds only 64-bit BARs may lie anywhere, and
 * prefetchable memory may always lie in a non-prefetchable window.
 */
function bar(index: number, kind: ResourceKind, is64: boolean, size: number): Bar {
  return { index, kind, is64, size, address: 0 };
}

/** The register with all ones written to it; its value is put back. */
function probe(config: ConfigAccess, bdf: number, index: number): number {
  const offset = REG.BAR0 + 4 * index;
  const before = config.read(bdf, offset, 4);
  config.write(bdf, offset, 4, 0xffffffff);
  const mask = config.read(bdf, offset, 4) >>> 0;
  config.write(bdf, offset, 4, before);
  return mask;
}

/** The upper 16 bits of an I/O BAR may be hardwired to zero: the lowest writable bit is the size either way. */
function ioSize(mask: number): number {
  return lowestBit(mask & IO_MASK);
}

function memorySize(low: number, high: number): number {
  const size = lowestBit(low & MEMORY_MASK);
  return size !== 0 ? size : numberOf(0, lowestBit(high));
}

function lowestBit(value: number): number {
  return (value & -value) >>> 0;
}
