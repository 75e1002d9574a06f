/** DMA through a function's address translation cache against the same DMA through the IOMMU's IOTLB. */
import { ATS_OK, AtsAgent, atsState } from '../../devices/pci/ats-agent.ts';
import { ATS, atsCapability } from '../../devices/pci/extended-capabilities.ts';
import { PciFunction } from '../../devices/pci/function.ts';
import type { PciServices } from '../../devices/pci/kind.ts';
import { DMA_OK, NO_PASID, WRITE } from '../../vmm/bus/dma.ts';
import { Bug } from '../../vmm/core/errors.ts';
import { DEVICE, type Mapped, mapped } from './kit/dma.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const SETS = [1, 16, 900, 4096] as const;
const OPERATIONS = 8192;
const BYTES = 64;
/** Both caches hold the largest set. */
const ENTRIES = 16384;

/** The same pages for a unit that lets the function use ATS (context entry TT = 01). */
function withAts(pages: number): Mapped & { readonly agent: AtsAgent } {
  const m = mapped(pages, { config: { 'device-iotlb': true, cache: 'unbounded' } });
  const { machine, port } = m;
  machine.context(DEVICE, { P: 1, TT: 1, AW: 2, DID: 5, SSPTPTR: firstTable(m) });
  const services: PciServices = {
    id: 'fn',
    dma: port,
    clock: machine.clock,
    tracer: machine.tracer,
    bypass: machine.memory,
    virtual: () => {
      throw new Bug('no virtual functions here');
    },
  };
  const fn = new PciFunction(services, {
    vendor: 0x1234,
    device: 1,
    classCode: 0xff0000,
    revision: 0,
    capabilities: [{ id: 'pcie', type: 'endpoint' }],
    extended: [atsCapability({ queueDepth: 32, globalInvalidate: true })],
  });
  fn.configWrite(fn.w.layout.ats + ATS.offset + 2, 2, 0x8000);
  return { ...m, agent: new AtsAgent(atsState(ENTRIES).fresh(), port, fn) };
}

/** mapped() makes the tables the first thing it asks a page for. */
function firstTable({ machine }: Mapped): number {
  return Number(machine.load(0x2000 + (DEVICE & 0xff) * 16) & 0xffff_f000n);
}

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

/** ATS off: what a miss of the ATC adds to one of the IOTLB's hits. */
function misses(): Contender {
  const { agent, addresses } = withAts(900);
  const drop = loop('ATC, invalidation and miss', addresses, (lo) => {
    agent.invalidate(NO_PASID, lo & -4096, 0, 0, 0);
    return agent.access(NO_PASID, false, lo, 0, WRITE) - ATS_OK;
  });
  return drop;
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
