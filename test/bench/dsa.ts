/** The accelerator with addresses of a process (PASID, first-stage tables): small commands, large moves. */
import { Dsa } from '../../devices/ep/dsa/dsa.ts';
import { DSA } from '../../devices/ep/dsa/kind.ts';
import { pciEndpoints } from '../../devices/pci/endpoints.ts';
import type { PciServices } from '../../devices/pci/kind.ts';
import { RootComplex } from '../../devices/pci/root-complex.ts';
import { DmaPort } from '../../vmm/bus/dma.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { enableSvm } from '../kit/svm-world.ts';
import { ScalableMachine } from '../kit/vtd-scalable.ts';
import { besideQemu } from './kit/beside-qemu.ts';
import type { Contender } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const DEVICE = 4;
const PASID = 5;
const BAR0 = 0xe0800000;
const BAR2 = 0xe0900000;
/** The process's memory, and where it lies. */
const USER = 0x8000_0000;
const DATA = 0x0800_0000;
const PAGES = 8192;
const LIST = USER;
const RECORDS = USER + 0x10000;
const SOURCE = USER + 0x20_0000;
const TARGET = USER + 0x100_0000;
const LARGE = 1 << 20;
const BATCH = 64;
const SUCCESS = 1;
const MEMMOVE = 3;
/** Completion record wanted and its address valid. */
const WITH_RECORD = 0xc;

class Rig {
  readonly m = new ScalableMachine({ ramBytes: 512 << 20, endpoints: pciEndpoints(() => this.root) });
  readonly root: RootComplex;
  readonly words = new Uint32Array(16);

  constructor() {
    const { m } = this;
    this.root = new RootComplex({
      mmio: m.bus,
      ports: new PortBus(),
      irq: { setIrq: () => {} },
      gsiOf: () => 16,
      tracer: m.tracer,
    });
    const made = DSA.create({ ...DSA.defaults }, this.#services('dsa'));
    if (!(made.device instanceof Dsa)) throw new Error('this is no accelerator');
    this.root.add(made.fn, { device: DEVICE, fn: 0 });
    const top = m.page();
    for (let i = 0; i < PAGES; i++) m.mapFirst(top, 4, USER + i * 4096, (DATA + i * 4096) | 0x67);
    m.scalableContext(DEVICE << 3);
    m.pasid(PASID, { PGTT: 1, DID: 5, FSPTPTR: top });
    m.startScalable();
    made.fn.configWrite(0x10, 4, BAR0);
    made.fn.configWrite(0x18, 4, BAR2);
    enableSvm(made.fn, { pasid: 5, allocation: 32 });
    this.#start();
  }

  #services(id: string): PciServices {
    const { iommu, memory, clock, tracer } = this.m;
    const dma = new DmaPort(id, 0, iommu.translator, memory);
    return { id, dma, clock, tracer, bypass: memory, virtual: (n) => this.#services(`${id}.vf${n}`) };
  }

  /** One dedicated queue with every engine. */
  #start(): void {
    const write = (offset: number, value: number) => this.m.bus.write(BAR0 + offset, 4, value >>> 0, 0);
    write(0x200, 1);
    write(0x220, 0xf);
    write(0x400, 64);
    write(0x408, 1 | (10 << 4) | (PASID << 8) | (1 << 28));
    write(0x40c, 21 | (6 << 5));
    write(0xa0, 1 << 20);
    write(0xa0, 6 << 20);
  }

  /** A descriptor for the portal, or a place in memory. */
  descriptor(op: number, cr: number, src: number, dst: number, size: number): Uint32Array {
    const w = this.words;
    w[1] = ((op << 24) | WITH_RECORD) >>> 0;
    w[2] = cr;
    w[4] = src;
    w[6] = dst;
    w[8] = size;
    return w;
  }

  submit(): void {
    this.m.bus.line(BAR2, this.words, false);
  }

  status(record: number): number {
    return this.m.ram.u8[record - USER + DATA]!;
  }

  check(record: number): void {
    if (this.status(record) !== SUCCESS) throw new Error(`completion status ${this.status(record)}`);
    this.m.ram.u8[record - USER + DATA] = 0;
  }
}

function single(): Contender {
  const rig = new Rig();
  return {
    name: '64 B move by portal',
    operations: 512,
    run: () => {
      for (let i = 0; i < 512; i++) {
        rig.descriptor(MEMMOVE, RECORDS, SOURCE + (i & 255) * 64, TARGET + (i & 255) * 64, 64);
        rig.submit();
        rig.check(RECORDS);
      }
    },
  };
}

/** 64 descriptors in memory, each with a completion record: fetched, moved, completed. */
function batch(): Contender {
  const rig = new Rig();
  for (let i = 0; i < BATCH; i++)
    rig.m.ram.u32.set(
      rig.descriptor(MEMMOVE, RECORDS + i * 32, SOURCE + i * 64, TARGET + i * 64, 64),
      (LIST - USER + DATA + i * 64) >>> 2,
    );
  const last = RECORDS + BATCH * 32;
  return {
    name: '64 B command',
    operations: BATCH * 16,
    run: () => {
      for (let i = 0; i < 16; i++) {
        rig.descriptor(1, last, LIST, 0, BATCH);
        rig.submit();
        rig.check(last);
        rig.check(RECORDS + (BATCH - 1) * 32);
      }
    },
  };
}

function large(): Contender[] {
  const rig = new Rig();
  const { u8 } = rig.m.ram;
  const from = SOURCE - USER + DATA;
  const to = TARGET - USER + DATA;
  return [
    {
      name: 'move of 1 MiB',
      operations: 1,
      run: () => {
        rig.descriptor(MEMMOVE, RECORDS, SOURCE, TARGET, LARGE);
        rig.submit();
        rig.check(RECORDS);
      },
    },
    { name: 'plain copy of 1 MiB', operations: 1, run: () => u8.copyWithin(to, from, from + LARGE) },
  ];
}

async function main(): Promise<void> {
  const ours = [batch(), single(), ...large()];
  const times = await besideQemu(ours, [], 'VT-d scalable', (qemu) => qemu.commandProbes());
  if (times !== undefined) {
    const nvme = { name: 'QEMU NVMe null command', values: times['QEMU VT-d scalable, null command']! };
    const limit = { text: '<= 0.06x, about 150 ns', ratio: 0.06 };
    compare('64 B command with PASID: fetch, move, completion', 'ns', times['64 B command']!, nvme, limit);
    figure('64 B move by MOVDIR64B to the portal', 'ns', times['64 B move by portal']!);
    const plain = { name: 'plain copy', values: times['plain copy of 1 MiB']! };
    compare('accelerator, move of 1 MiB', 'ns', times['move of 1 MiB']!, plain);
  }
  finish();
}

await main();
