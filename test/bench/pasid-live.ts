/** 2^20 PASIDs at once: what the host keeps of each beyond the guest's tables; binding and unbinding as a driver does. */

import { PASID_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import { DMA_OK, READ } from '../../vmm/bus/dma.ts';
import { QUEUE, VtdMachine } from '../kit/vtd-machine.ts';
import { DIRECTORY, ScalableMachine } from '../kit/vtd-scalable.ts';
import { DEVICE, IOVA, TARGET } from './kit/dma.ts';
import { roundsWanted } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const COUNT = 1 << 20;
const TABLES = 0x0400_0000;
const LARGE_DIRECTORY = 0x0300_0000;
const LIVE = 4096;

class Binder {
  readonly m = new ScalableMachine({ ramBytes: 512 << 20 });
  readonly #entry: Uint32Array;
  readonly port;
  #tail = 0;

  constructor(tables: number) {
    const { m } = this;
    const top = m.page();
    m.mapFirst(top, 4, IOVA, TARGET | 0x67);
    m.store(DIRECTORY, 0n);
    m.scalableContext(DEVICE, { PASIDDIRPTR: LARGE_DIRECTORY });
    for (let i = 0; i < tables; i++) m.ram.u32[(LARGE_DIRECTORY >>> 2) + i * 2] = (TABLES + i * 4096) | 1;
    this.#entry = PASID_ENTRY.pack({ P: 1, PGTT: 1, DID: 5, PWSNP: 1, FSPTPTR: top / 4096 });
    m.startScalable();
    this.port = m.pasidPort(DEVICE);
  }

  /** Everything else first, then the quadword with P. */
  bind(pasid: number): void {
    const at = TABLES + (pasid >>> 6) * 4096 + (pasid & 63) * 64;
    const { ram } = this.m;
    for (const word of [4, 2, 0]) {
      ram.u32[(at >>> 2) + word] = this.#entry[word]!;
      ram.u32[(at >>> 2) + word + 1] = this.#entry[word + 1]!;
      ram.storedByCpu(at + word * 4, 8);
    }
  }

  use(pasid: number): void {
    this.port.pasid = pasid;
    if (this.port.translate(IOVA | 0, 0, READ) !== DMA_OK) throw new Error('the request was refused');
  }

  /** P is cleared, then the PASID-cache, then the IOTLB, then a wait. */
  unbind(pasid: number): void {
    const at = TABLES + (pasid >>> 6) * 4096 + (pasid & 63) * 64;
    const { ram } = this.m;
    ram.u32[at >>> 2] = 0;
    ram.u32[(at >>> 2) + 1] = 0;
    ram.storedByCpu(at, 8);
    this.#queue(0x5_0017, pasid, 0, 0);
    this.#queue(0x5_0026, pasid, 0, 0);
    this.#queue(0x25, 1, 0x48000, 0);
    this.m.bus.write(this.m.base + 0x88, 8, this.#tail, 0);
  }

  #queue(w0: number, w1: number, w2: number, w3: number): void {
    const at = (QUEUE + this.#tail) >>> 2;
    const { u32 } = this.m.ram;
    u32[at] = w0;
    u32[at + 1] = w1;
    u32[at + 2] = w2;
    u32[at + 3] = w3;
    u32.fill(0, at + 4, at + 8);
    this.#tail = (this.#tail + 32) & 4095;
  }
}

/** Bytes of the typed arrays in a unit's state. */
function stateBytes(machine: VtdMachine): number {
  let sum = 0;
  for (const value of Object.values(machine.device.s)) if (ArrayBuffer.isView(value)) sum += value.byteLength;
  return sum;
}

function used(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + Math.max(arrayBuffers, external);
}

function memory(): void {
  const values: number[] = [];
  const seconds: number[] = [];
  const fixed = stateBytes(new ScalableMachine()) - stateBytes(new VtdMachine());
  for (let round = 0; round < Math.min(5, roundsWanted()); round++) {
    const binder = new Binder(COUNT / 64);
    const before = used();
    const start = process.hrtime.bigint();
    for (let pasid = 0; pasid < COUNT; pasid++) {
      binder.bind(pasid);
      binder.use(pasid);
    }
    seconds.push(Number(process.hrtime.bigint() - start) / COUNT);
    values.push((used() - before + fixed) / COUNT);
    binder.use(12345);
  }
  figure('host memory for each of 2^20 live PASIDs, fixed caches included', 'bytes', values, {
    text: '<= 60 B',
    value: 60,
  });
  figure('bind and first use of a PASID, up to 2^20', 'ns', seconds);
}

/** CPU time of what a driver does with a PASID; a quarter of a second a round, which others interrupt. */
function bindAndUnbind(): number[] {
  const binder = new Binder(LIVE / 64);
  const round = (): number => {
    const start = process.cpuUsage();
    for (let i = 0; i < LIVE * 8; i++) {
      const pasid = i % LIVE;
      binder.bind(pasid);
      binder.use(pasid);
      binder.unbind(pasid);
    }
    const { user, system } = process.cpuUsage(start);
    return ((user + system) * 1000) / (LIVE * 8);
  };
  round();
  return Array.from({ length: Math.max(5, roundsWanted()) }, round);
}

memory();
figure('PASID bound, used, unbound', 'ns', bindAndUnbind(), {
  text: '<= 10 us (100,000/s)',
  value: 10_000,
});
finish();
