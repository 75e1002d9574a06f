/**
 * Queued invalidation: one doorbell consumes a ring of descriptors. Everything counts: the register write through the bus,
 * the fetch from RAM, decoding, and what is dropped.
 */
import { IQA, IQH, IQT } from '../../viommu/spec/vtd/registers.ts';
import { READ } from '../../vmm/bus/dma.ts';
import { IOVA, type Mapped, mapped } from './kit/dma.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

/** 4096 descriptors of 16 bytes (IQA.QS = 4); a full ring holds one less. */
const QUEUE_SIZE = 4;
const RING = 4096;
const DESCRIPTORS = RING - 1;
const QUEUE = 0x200_0000;
const QIE = 0x04000000;
const LIVE = 65536;
/** The domain whose pages are live, and one that has none. */
const DOMAIN = 5;
const OTHER = 9;

type Quads = (i: number) => [w0: number, w1: number, w2: number, w3: number];

const page =
  (did: number): Quads =>
  (i) => [(did << 16) | 0x32, 0, IOVA + (i % LIVE) * 4096, 0];
const KINDS: readonly { name: string; quads: Quads }[] = [
  { name: 'page', quads: page(DOMAIN) },
  { name: 'page, domain without entries', quads: page(OTHER) },
  { name: 'domain', quads: () => [(DOMAIN << 16) | 0x22, 0, 0, 0] },
  { name: 'domain, one without entries', quads: () => [(OTHER << 16) | 0x22, 0, 0, 0] },
  { name: 'global', quads: () => [0x12, 0, 0, 0] },
  { name: 'wait with status', quads: () => [0x25, 1, 0x3000, 0] },
];

/** With `live` pages of DOMAIN cached before each ring, outside the timing. */
function ring(name: string, quads: Quads, live: number): Contender {
  // Both of a kind have the cache that holds LIVE pages: only the number of entries differs.
  const m = mapped(live, { config: { cache: 'unbounded' } });
  const { machine } = m;
  machine.disable(QIE);
  machine.write(IQA, QUEUE | QUEUE_SIZE);
  machine.command(QIE);
  for (let i = 0; i < RING; i++) machine.ram.u32.set(quads(i), (QUEUE + i * 16) >>> 2);
  let tail = 0;
  const run = () => {
    tail = (tail + DESCRIPTORS * 16) % (RING * 16);
    machine.bus.write(machine.base + IQT.offset, 8, tail, 0);
    if (machine.bus.read(machine.base + IQH.offset, 4) !== tail) throw new Error('the queue has stopped');
  };
  return { name: `${name}, ${live} live`, operations: DESCRIPTORS, prepare: () => refill(m), run };
}

function refill({ port, addresses }: Mapped): void {
  for (const address of addresses) port.translate(address, 0, READ);
}

async function main(): Promise<void> {
  for (const { name, quads } of KINDS) {
    const few = ring(name, quads, 0);
    const many = ring(name, quads, LIVE);
    const times = await rounds([few, many]);
    const limit = { text: '<= 40 ns', value: 40 };
    figure(`invalidation, ${name}, 0 live entries`, 'ns', times[few.name]!, limit);
    compare(
      `invalidation, ${name}, ${LIVE} live entries`,
      'ns',
      times[many.name]!,
      { name: '0 live entries', values: times[few.name]! },
      { text: '<= 40 ns and <= 1.2x', value: 40, ratio: 1.2 },
    );
  }
  finish();
}

await main();
