import { LINE_REFUSED, type MmioBus, type MmioHandler } from '../../../vmm/bus/mmio.ts';
import type { Dsa } from './dsa.ts';

/** BAR 2: the portals of the work queues. Reads return all ones; only 64-byte writes submit anything. */
export class Portals implements MmioHandler {
  readonly #dsa: Dsa;

  constructor(dsa: Dsa) {
    this.#dsa = dsa;
  }

  read(_offset: number, size: number, bus: MmioBus): number {
    bus.hi = size === 8 ? 0xffffffff : 0;
    return size >= 4 ? 0xffffffff : 2 ** (size * 8) - 1;
  }

  write(): void {}

  line(offset: number, descriptor: Uint32Array, deferrable: boolean): number {
    return (offset & 63) === 0 ? this.#dsa.submit(offset, descriptor, deferrable) : LINE_REFUSED;
  }
}
