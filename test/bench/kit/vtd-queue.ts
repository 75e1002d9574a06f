import { IQA, IQH, IQT } from '../../../viommu/spec/vtd/registers.ts';
import { READ } from '../../../vmm/bus/dma.ts';
import { DEVICE, IOVA, type Mapped, mapped } from './dma.ts';
import type { Contender } from './rounds.ts';

/** 4096 descriptors of 16 bytes (IQA.QS = 4); a full ring holds one less. */
const QUEUE_SIZE = 4;
const RING = 4096;
const DESCRIPTORS = RING - 1;
const QUEUE = 0x200_0000;
const QIE = 0x04000000;
export const LIVE = 65536;
/** The domain whose pages are live, and one that has none. */
const DOMAIN = 5;
const OTHER = 9;

type Quads = (i: number) => [w0: number, w1: number, w2: number, w3: number];

const page =
  (did: number): Quads =>
  (i) => [(did << 16) | 0x32, 0, IOVA + (i % LIVE) * 4096, 0];
export const VTD_DESCRIPTORS = {
  page: page(DOMAIN),
  'page, domain without entries': page(OTHER),
  domain: () => [(DOMAIN << 16) | 0x22, 0, 0, 0],
  'domain, one without entries': () => [(OTHER << 16) | 0x22, 0, 0, 0],
  global: () => [0x12, 0, 0, 0],
  'context of a device': () => [(DOMAIN << 16) | 0x31, DEVICE, 0, 0],
  'wait with status': () => [0x25, 1, 0x3000, 0],
} satisfies Readonly<Record<string, Quads>>;

export type VtdDescriptor = keyof typeof VTD_DESCRIPTORS;

/** Rings of one kind of descriptor, with `live` pages of DOMAIN cached before each, outside the timing. */
export function vtdRing(kind: VtdDescriptor, live: number): Contender {
  const quads: Quads = VTD_DESCRIPTORS[kind];
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
  return { name: `${kind}, ${live} live`, operations: DESCRIPTORS, prepare: () => refill(m), run };
}

function refill({ port, addresses }: Mapped): void {
  for (const address of addresses) port.translate(address, 0, READ);
}
