/** Translation of a page that is not cached, through DmaPort, against what a miss adds in QEMU's VT-d. */
import { besideQemu } from './kit/beside-qemu.ts';
import { mapped, shuffled, sweep } from './kit/dma.ts';
import { compare, figure, finish } from './kit/row.ts';

const PAGES = 65536;
/** The most that always hits in QEMU. */
const QEMU_HITS = 900;

async function main(): Promise<void> {
  const ours = [
    sweep('miss, in order', mapped(PAGES)),
    sweep('miss, random order', mapped(PAGES, {}, shuffled)),
  ];
  const times = await besideQemu(ours, [QEMU_HITS, PAGES]);
  if (times !== undefined) {
    const plain = times[`QEMU none, ${PAGES} pages`]!;
    const added = times[`QEMU VT-d, ${PAGES} pages`]!.map((ns, round) => ns - plain[round]!);
    const miss = { name: "QEMU's added miss cost", values: added };
    const hit = { name: "QEMU's all-hit page", values: times[`QEMU VT-d, ${QEMU_HITS} pages`]! };
    for (const { name } of ours) {
      const what = `DMA page, ${name}, ${PAGES} pages`;
      compare(what, 'ns', times[name]!, miss, { text: '<= 0.20x of the added miss cost', ratio: 0.2 });
      compare(what, 'ns', times[name]!, hit, { text: "below QEMU's all-hit page", ratio: 1 });
    }
    for (const kind of ['none', 'VT-d']) {
      const name = `QEMU ${kind}, ${PAGES} pages`;
      figure(name, 'ns', times[name]!);
    }
  }
  finish();
}

await main();
