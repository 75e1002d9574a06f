import type { PciFunction } from '../../../devices/pci/function.ts';
import { BAR0 } from '../../../devices/pci/header.ts';
import type { BarSpec } from '../../../devices/pci/kind.ts';
import { SRIOV_VF_BAR0 } from '../../../devices/pci/sriov-registers.ts';
import { hiOf, loOf } from '../../core/u64.ts';
import type { Interval } from '../iommufd/intervals.ts';

/** Where firmware of these hosts puts registers: above the RAM of every machine that a guest has, below messages. */
const MEMORY_BASE = 0xd000_0000;
const MEMORY_END = 0xfec0_0000;
/** What does not fit there. */
const HIGH_BASE = 2 ** 40;
const PORT_BASE = 0x1000;

/** Gives the BARs of a host's functions addresses, one after the other, as its firmware does. */
export class BarAddresses {
  #memory = MEMORY_BASE;
  #high = HIGH_BASE;
  #ports = PORT_BASE;

  assign(fn: PciFunction): void {
    for (const bar of fn.w.layout.bars) write(fn, BAR0, bar, this.#place(bar, bar.size));
    const [virtual] = fn.w.virtual;
    if (virtual === undefined) return;
    for (const bar of virtual.w.layout.bars)
      write(fn, fn.w.layout.sriov + SRIOV_VF_BAR0, bar, this.#place(bar, bar.size * fn.w.virtual.length));
  }

  #place({ kind, size }: BarSpec, bytes: number): number {
    if (kind === 'io') {
      const at = aligned(this.#ports, size);
      this.#ports = at + bytes;
      return at;
    }
    const at = aligned(this.#memory, size);
    if (kind === 'memory32' || at + bytes <= MEMORY_END) {
      this.#memory = at + bytes;
      return at;
    }
    const high = aligned(this.#high, size);
    this.#high = high + bytes;
    return high;
  }
}

const aligned = (address: number, size: number): number => Math.ceil(address / size) * size;

function write(fn: PciFunction, first: number, { index, kind }: BarSpec, address: number): void {
  fn.configWrite(first + 4 * index, 4, loOf(address));
  if (kind === 'memory64') fn.configWrite(first + 4 * index + 4, 4, hiOf(address));
}

/** What the memory BARs of a function decode. */
export function memoryOf(fn: PciFunction): readonly Interval[] {
  return fn.w.layout.bars
    .filter(({ kind }) => kind !== 'io')
    .map((bar) => {
      const start = BigInt(fn.barAddress(bar));
      return { start, last: start + BigInt(bar.size) - 1n };
    });
}
