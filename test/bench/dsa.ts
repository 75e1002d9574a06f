/** The accelerator with addresses of a process (PASID, first-stage tables): small commands, large moves. */
import { DsaVtd } from '../kit/dsa-vtd.ts';
import { besideQemu } from './kit/beside-qemu.ts';
import type { Contender } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

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

class Rig extends DsaVtd {
  readonly words = new Uint32Array(16);

  constructor() {
    super({ ramBytes: 512 << 20 });
    for (let i = 0; i < PAGES; i++) this.map(USER + i * 4096, DATA + i * 4096);
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

  status(record: number): number {
    return this.vtd.ram.u8[record - USER + DATA]!;
  }

  check(record: number): void {
    if (this.status(record) !== SUCCESS) throw new Error(`completion status ${this.status(record)}`);
    this.vtd.ram.u8[record - USER + DATA] = 0;
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
        rig.submit(rig.words);
        rig.check(RECORDS);
      }
    },
  };
}

/** 64 descriptors in memory, each with a completion record: fetched, moved, completed. */
function batch(): Contender {
  const rig = new Rig();
  for (let i = 0; i < BATCH; i++)
    rig.vtd.ram.u32.set(
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
        rig.submit(rig.words);
        rig.check(last);
        rig.check(RECORDS + (BATCH - 1) * 32);
      }
    },
  };
}

function large(): Contender[] {
  const rig = new Rig();
  const { u8 } = rig.vtd.ram;
  const from = SOURCE - USER + DATA;
  const to = TARGET - USER + DATA;
  return [
    {
      name: 'move of 1 MiB',
      operations: 1,
      run: () => {
        rig.descriptor(MEMMOVE, RECORDS, SOURCE, TARGET, LARGE);
        rig.submit(rig.words);
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
