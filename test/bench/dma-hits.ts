/** Translation of a page that is cached, through DmaPort, against the cost of a page in QEMU's VT-d. */
import { besideQemu } from './kit/beside-qemu.ts';
import { mapped, sweep } from './kit/dma.ts';
import { compare, figure, finish } from './kit/row.ts';

const SETS = [16, 900, 4096] as const;
/** What fits QEMU's IOTLB of 1024 entries: there 4096 pages never hit, so its best page stands for them. */
const QEMU_SETS: Readonly<Record<number, number>> = { 16: 16, 900: 900, 4096: 900 };

async function main(): Promise<void> {
  const ours = [1, ...SETS].map((pages) => sweep(`hit, ${pages} pages`, mapped(pages)));
  const times = await besideQemu(ours, [16, 900]);
  if (times !== undefined) {
    for (const pages of SETS) {
      const name = `QEMU VT-d, ${QEMU_SETS[pages]} pages`;
      const limit = { text: "<= 0.12x of QEMU's page, about 20 ns", ratio: 0.12 };
      const values = times[`hit, ${pages} pages`]!;
      compare(`DMA page, hit, ${pages} pages`, 'ns', values, { name, values: times[name]! }, limit);
    }
    for (const name of ['QEMU none, 900 pages', 'QEMU VT-d, 900 pages']) figure(name, 'ns', times[name]!);
  }
  finish();
}

await main();
