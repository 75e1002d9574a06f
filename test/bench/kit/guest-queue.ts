import { IQA, IQH, IQT } from '../../../viommu/spec/vtd/registers.ts';
import type { NestedVtd } from '../../kit/nested.ts';
import { QIE, QUEUE } from '../../kit/vtd-machine.ts';

/** log2 of the queue's pages: 1024 descriptors of 256 bits. */
const ORDER = 3;
const QUEUE_BYTES = 4096 << ORDER;
const STATUS = 0x4_8000;

/** The guest's queue, filled by one who knows that it is empty. */
export class Queue {
  readonly world: NestedVtd;
  #tail = 0;
  #waits = 0;

  constructor(world: NestedVtd) {
    this.world = world;
    const { vtd } = world;
    vtd.disable(QIE);
    vtd.write(IQT, 0);
    vtd.write(IQA, QUEUE | 0x800 | ORDER);
    vtd.command(QIE);
  }

  put(w0: number, w1: number, w2: number, w3: number): void {
    const { u32 } = this.world.vtd.ram;
    const i = (QUEUE + this.#tail) >>> 2;
    u32[i] = w0;
    u32[i + 1] = w1;
    u32[i + 2] = w2;
    u32[i + 3] = w3;
    this.#tail = (this.#tail + 32) & (QUEUE_BYTES - 1);
  }

  /** A wait, the doorbell, and a look at what the wait has written. */
  finish(): void {
    const { vtd } = this.world;
    this.put(0x25, ++this.#waits, STATUS, 0);
    vtd.bus.write(vtd.base + IQT.offset, 8, this.#tail, 0);
    if (vtd.ram.u32[STATUS >>> 2] !== this.#waits) throw new Error(`the queue stopped at ${vtd.read(IQH)}`);
  }
}
