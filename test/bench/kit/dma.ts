import { DMA_OK, type DmaPort, READ } from '../../../vmm/bus/dma.ts';
import { type MachineOptions, VtdMachine } from '../../kit/vtd-machine.ts';
import type { Contender } from './rounds.ts';

export const DEVICE = 0x18;
/** Addresses with bit 31 set, as Linux hands them out from the top of 4 GiB: the harder half for JavaScript numbers. */
export const IOVA = 0x8000_0000;
export const TARGET = 0x0800_0000;
const OPERATIONS = 8192;

/** Pages that a port reaches. */
export interface Reached {
  readonly port: DmaPort;
  /** In the order they are to be accessed. */
  readonly addresses: Uint32Array;
}

export interface Mapped extends Reached {
  readonly machine: VtdMachine;
}

/** `pages` pages in domain 5 of a live unit, 4 levels. */
export function mapped(
  pages: number,
  options: MachineOptions = {},
  order?: (pages: number) => Uint32Array,
): Mapped {
  const machine = new VtdMachine({ ramBytes: 512 << 20, ...options });
  const top = machine.page();
  machine.context(DEVICE, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
  for (let i = 0; i < pages; i++) machine.map(top, 4, IOVA + i * 4096, TARGET + i * 4096 + 3);
  machine.start();
  const numbers = order?.(pages) ?? Uint32Array.from({ length: pages }, (_, i) => i);
  return { machine, port: machine.port(DEVICE), addresses: numbers.map((page) => IOVA + page * 4096) };
}

/** A permutation, the same every time. */
export function shuffled(pages: number): Uint32Array {
  const order = Uint32Array.from({ length: pages }, (_, i) => i);
  let x = 12345;
  for (let i = pages - 1; i > 0; i--) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    const j = x % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** One translation after the other, round and round. */
export function sweep(name: string, { port, addresses }: Reached, operations = OPERATIONS): Contender {
  let at = 0;
  return {
    name,
    operations,
    run: () => {
      let sum = 0;
      const n = addresses.length;
      for (let i = 0; i < operations; i++) {
        if (port.translate(addresses[at]! | 0, 0, READ) !== DMA_OK)
          throw new Error('the request was refused');
        sum = (sum + port.outLo) | 0;
        if (++at === n) at = 0;
      }
      return sum;
    },
  };
}
