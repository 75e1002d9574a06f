/** Translation of a page through DmaPort: hits and misses, against the cost of a page in QEMU's VT-d. */
import { mapped, shuffled, sweep } from './kit/dma.ts';
import { median, rounds, type Times } from './kit/rounds.ts';
import { compare, figure, finish, skip } from './kit/row.ts';
import { qemuVersion, VtdCost } from './qemu/vtd-cost.ts';

const HITS = [16, 900, 4096] as const;
/** What fits QEMU's IOTLB of 1024 entries: there 4096 pages never hit, so its best page stands for them. */
const QEMU_HITS: Readonly<Record<number, number>> = { 16: 16, 900: 900, 4096: 900 };
const MISSES = 65536;

function ours() {
  return [
    sweep('hit, 1 page', mapped(1)),
    ...HITS.map((pages) => sweep(`hit, ${pages} pages`, mapped(pages))),
    sweep('miss, in order', mapped(MISSES)),
    sweep('miss, random order', mapped(MISSES, {}, shuffled)),
    sweep('no caches at all', mapped(4096, { config: { cache: 'none' } })),
  ];
}

function againstQemu(times: Times): void {
  for (const pages of HITS) {
    const name = `QEMU VT-d, ${QEMU_HITS[pages]} pages`;
    const limit = { text: "<= 0.12x of QEMU's page, about 20 ns", ratio: 0.12 };
    compare(
      `DMA page, hit, ${pages} pages`,
      'ns',
      times[`hit, ${pages} pages`]!,
      { name, values: times[name]! },
      limit,
    );
  }
  const plain = times[`QEMU none, ${MISSES} pages`]!;
  const added = times[`QEMU VT-d, ${MISSES} pages`]!.map((ns, round) => ns - plain[round]!);
  const miss = { name: "QEMU's added miss cost", values: added };
  const hit = { name: "QEMU's all-hit page", values: times['QEMU VT-d, 900 pages']! };
  for (const order of ['miss, in order', 'miss, random order']) {
    compare(`DMA page, ${order}, ${MISSES} pages`, 'ns', times[order]!, miss, {
      text: '<= 0.20x of the added miss cost',
      ratio: 0.2,
    });
    compare(`DMA page, ${order}, ${MISSES} pages`, 'ns', times[order]!, hit, {
      text: "below QEMU's all-hit page",
      ratio: 1,
    });
  }
  compare('DMA page, nothing cached, 4096 pages', 'ns', times['no caches at all']!, hit);
  for (const [name, values] of Object.entries(times)) {
    if (name.startsWith('QEMU')) figure(name, 'ns', values);
  }
}

function alone(times: Times, why: string): void {
  for (const [name, values] of Object.entries(times)) figure(`DMA page, ${name}`, 'ns', values);
  skip("DMA page against QEMU's VT-d", why);
}

async function main(): Promise<void> {
  const binary = process.env['BENCH_VS'];
  const version = binary === undefined ? undefined : qemuVersion(binary);
  if (binary === undefined || version === undefined) {
    const why = binary === undefined ? 'not asked for (--vs qemu-system-x86_64)' : `${binary} is not here`;
    alone(await rounds(ours()), why);
  } else {
    console.error(`against ${version}`);
    const qemu = await VtdCost.start(binary);
    try {
      againstQemu(await rounds([...ours(), ...[16, 900, MISSES].flatMap((pages) => qemu.probes(pages))]));
    } finally {
      await qemu.stop();
    }
  }
  finish();
}

await main();
