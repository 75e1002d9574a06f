import { DMA_OK, type DmaPort, READ } from '../../vmm/bus/dma.ts';
import { VtdMachine } from '../kit/vtd-machine.ts';

/** Benches of the DMA path of the VT-d: functions that do `n` operations and return a checksum. */
export interface DmaBench {
  readonly name: string;
  /** Operations of one call. */
  readonly operations: number;
  readonly run: () => number;
}

const DEVICE = 0x18;
const IOVA = 0x4000_0000;

function mapped(
  pages: number,
  cache: 'normal' | 'none',
  stride = 4096,
): { port: DmaPort; addresses: Uint32Array } {
  const m = new VtdMachine({ ramBytes: 256 << 20, config: { cache } });
  const top = m.page();
  m.context(DEVICE, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
  for (let i = 0; i < pages; i++) m.map(top, 4, IOVA + i * stride, 0x800_0000 + i * 4096 + 3);
  m.start();
  return {
    port: m.port(DEVICE),
    addresses: Uint32Array.from({ length: pages }, (_, i) => IOVA + i * stride),
  };
}

function sweep(
  { port, addresses }: { port: DmaPort; addresses: Uint32Array },
  operations: number,
): () => number {
  let at = 0;
  return () => {
    let sum = 0;
    const n = addresses.length;
    for (let i = 0; i < operations; i++) {
      if (port.translate(addresses[at]!, 0, READ) !== DMA_OK) throw new Error('bench request refused');
      sum = (sum + port.outLo) | 0;
      if (++at === n) at = 0;
    }
    return sum;
  };
}

const OPERATIONS = 65536;

/** Hits over a working set that fits the IOTLB. */
export function hitBench(pages: number): DmaBench {
  return {
    name: `hit, ${pages} pages`,
    operations: OPERATIONS,
    run: sweep(mapped(pages, 'normal'), OPERATIONS),
  };
}

/** Every access misses: the working set is many times the IOTLB; 4 levels, last table from the paging-structure cache. */
export function missBench(): DmaBench {
  return {
    name: 'miss, 32768 pages',
    operations: OPERATIONS,
    run: sweep(mapped(32768, 'normal'), OPERATIONS),
  };
}

/** No cache at all: context entry and four levels are read each time. */
export function uncachedBench(): DmaBench {
  return {
    name: 'no caches, 4096 pages',
    operations: OPERATIONS,
    run: sweep(mapped(4096, 'none'), OPERATIONS),
  };
}

/** The same page again and again. */
export function streamBench(): DmaBench {
  return { name: 'hit, 1 page', operations: OPERATIONS, run: sweep(mapped(1, 'normal'), OPERATIONS) };
}

/** Whole moves of `bytes` through DmaPort.read, all hits. */
export function copyBench(bytes: number): DmaBench {
  const { port } = mapped(64, 'normal');
  const into = new Uint8Array(bytes);
  const operations = 4096;
  return {
    name: `read ${bytes} bytes`,
    operations,
    run: () => {
      for (let i = 0; i < operations; i++) port.read(IOVA, 0, into, 0, bytes);
      return into[0]!;
    },
  };
}

export function dmaBenches(): DmaBench[] {
  return [
    streamBench(),
    hitBench(16),
    hitBench(900),
    hitBench(4096),
    missBench(),
    uncachedBench(),
    copyBench(4096),
    copyBench(65536),
  ];
}
