/** DMA through a function's address translation cache against the same DMA through the IOMMU's IOTLB. */
import { ATS_OK } from '../../devices/pci/ats-agent.ts';
import { DMA_OK, NO_PASID, WRITE } from '../../vmm/bus/dma.ts';
import { withAts } from './kit/ats.ts';
import { mapped } from './kit/dma.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const SETS = [1, 16, 900, 4096] as const;
const OPERATIONS = 8192;
const BYTES = 64;

function loop(name: string, addresses: Uint32Array, one: (lo: number) => number): Contender {
  let at = 0;
  return {
    name,
    operations: OPERATIONS,
    run: () => {
      let sum = 0;
      const n = addresses.length;
      for (let i = 0; i < OPERATIONS; i++) {
        sum = (sum + one(addresses[at]! | 0)) | 0;
        if (++at === n) at = 0;
      }
      if (sum !== 0) throw new Error('a request was refused');
      return sum;
    },
  };
}

function contenders(pages: number): Contender[] {
  const buffer = new Uint8Array(BYTES);
  const plain = mapped(pages, { config: { cache: 'unbounded' } });
  const cached = withAts(pages);
  const { agent } = cached;
  return [
    loop(
      `IOTLB, translation, ${pages}`,
      plain.addresses,
      (lo) => plain.port.translate(lo, 0, WRITE) - DMA_OK,
    ),
    loop(
      `ATC, translation, ${pages}`,
      cached.addresses,
      (lo) => agent.access(NO_PASID, false, lo, 0, WRITE) - ATS_OK,
    ),
    loop(`IOTLB, DMA, ${pages}`, plain.addresses, (lo) => plain.port.write(lo, 0, buffer, 0, BYTES) - DMA_OK),
    loop(
      `ATC, DMA, ${pages}`,
      cached.addresses,
      (lo) => agent.write(NO_PASID, false, lo, 0, buffer, 0, BYTES) - ATS_OK,
    ),
  ];
}

/** An invalidation of one page and the translation request that follows it. */
function misses(): Contender {
  const { agent, addresses } = withAts(900);
  return loop('ATC, invalidation and miss', addresses, (lo) => {
    agent.invalidate(NO_PASID, lo & -4096, 0, 0, 0);
    return agent.access(NO_PASID, false, lo, 0, WRITE) - ATS_OK;
  });
}

async function main(): Promise<void> {
  const all = [...SETS.flatMap(contenders), misses()];
  const times = await rounds(all);
  for (const pages of SETS) {
    for (const what of ['translation', 'DMA'] as const) {
      const base = { name: `IOTLB hit, ${pages} pages`, values: times[`IOTLB, ${what}, ${pages}`]! };
      const limit = { text: '<= the IOTLB-hit cost', ratio: 1 };
      const label = what === 'DMA' ? `${BYTES} B write` : what;
      compare(`ATS-cached ${label}, ${pages} pages`, 'ns', times[`ATC, ${what}, ${pages}`]!, base, limit);
    }
  }
  figure('ATC: page invalidated, then asked for again', 'ns', times['ATC, invalidation and miss']!);
  finish();
}

await main();
