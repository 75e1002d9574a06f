import { IQA, IQT } from '../../viommu/spec/vtd/registers.ts';
import { READ } from '../../vmm/bus/dma.ts';
import { hi32, lo32 } from '../../vmm/core/u64.ts';
import { VtdMachine } from '../kit/vtd-machine.ts';
import type { DmaBench } from './vtd-dma.ts';

const DEVICE = 0x18;
const IOVA = 0x4000_0000;
/** QS = 7: 32768 descriptors of 16 bytes. */
const QUEUE_SIZE = 7;
const DESCRIPTORS = 32767;
const BIG_QUEUE = 0x200_0000;

/** One doorbell that consumes a whole ring of equal descriptors, with `live` pages cached in another domain. */
export function invalidationBench(name: string, q0: bigint, q1: bigint, live: number): DmaBench {
  const m = new VtdMachine({ ramBytes: 256 << 20, config: { cache: live > 8192 ? 'unbounded' : 'normal' } });
  const top = m.page();
  m.context(DEVICE, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
  for (let i = 0; i < live; i++) m.map(top, 4, IOVA + i * 4096, 0x800_0000 + (i % 16384) * 4096 + 3);
  m.start();
  m.disable(0x04000000);
  m.write(IQA, BIG_QUEUE | QUEUE_SIZE);
  m.command(0x04000000);
  const port = m.port(DEVICE);
  for (let i = 0; i < live; i++) port.translate(IOVA + i * 4096, 0, READ);
  for (let i = 0; i <= DESCRIPTORS; i++) {
    const at = (BIG_QUEUE + i * 16) >>> 2;
    m.ram.u32.set([lo32(q0), hi32(q0), lo32(q1), hi32(q1)], at);
  }
  let tail = 0;
  return {
    name: `${name}, ${live} live entries`,
    operations: DESCRIPTORS,
    run: () => {
      tail = (tail + DESCRIPTORS * 16) & 0x7ffff;
      m.bus.write(m.base + IQT.offset, 8, tail, 0);
      return m.bus.read(m.base + 0x80, 4);
    },
  };
}

/** Descriptors aim at domain 9; the live entries belong to domain 5 (global drops them at its first descriptor). */
export function invalidationBenches(): DmaBench[] {
  const kinds: [string, bigint, bigint][] = [
    ['page', 0x0009_0032n, 0x4000_0000n],
    ['domain', 0x0009_0022n, 0n],
    ['global', 0x12n, 0n],
    ['wait with status', 0x1234_0000_0025n, 0x3000n],
  ];
  return kinds.flatMap(([name, q0, q1]) => [
    invalidationBench(name, q0, q1, 0),
    invalidationBench(name, q0, q1, 65536),
  ]);
}
