/** What Linux's driver did to an IOMMU's registers, done again: every read must give what Linux got. */

import { RecordedPages, recordedLines } from './linux-recording.ts';
import { QtestMachine } from './qtest-machine.ts';

type Descriptor = readonly [low: string, high: string];

/** Lines of registers.jsonl.gz, in order; test/fixtures/linux/README.md describes them. */
type Entry =
  | readonly ['r' | 'w', offset: string, size: 4 | 8, value: string, queued?: readonly Descriptor[]]
  | readonly ['e', offset: string, value: string]
  | readonly ['d']
  | readonly ['s', name: string];

const VTD = 0xfed90000n;
const IQA = '0x90';
const TAIL = '0x88';
const DESCRIPTOR_BYTES = 16n;
const QUEUE_BYTES = 4096n;
/** A wait descriptor whose SW bit asks for a status write. */
const WAIT_STATUS = 0x25n;
const EDU = { requester: 0x40, bar: 0xc0000000 } as const;
/** Longer than an edu device takes for any transfer. */
const DMA_NS = 300_000_000;

/** The pages that Linux had when the log passes a point: those of the next recorded moment. */
const PAGES_AFTER: Readonly<Record<string, string>> = {
  'after-io': '03-vfio-mapped-before-dma',
  'vfio-after-dma': '05-vfio-after-unmap',
};

export class RegisterLog {
  reads = 0;
  dmas = 0;
  statuses = 0;
  readonly differences: string[] = [];
  readonly #q: QtestMachine;
  readonly #folder: string;
  readonly #pages: RecordedPages;
  #queue = 0n;
  #tail = 0n;

  constructor(folder: string, iommu: string, profile: 'spec' | 'qemu') {
    this.#folder = folder;
    const machine = ['-machine', 'q35', '-m', '3072', '-profile', profile, '-device', iommu];
    const q = new QtestMachine(...machine, '-device', 'edu,addr=8.0,dma_mask=0xffffffffffffffff');
    q.configWrite(EDU.requester, 0x10, 4, EDU.bar);
    q.configWrite(EDU.requester, 4, 2, 6);
    this.#q = q;
    this.#pages = new RecordedPages(folder, {
      put: (page, bytes) => q.store(BigInt(page), bytes),
      clear: (page) => q.command(`memset ${page} 4096 0`),
    });
  }

  run(): void {
    for (const [at, entry] of recordedLines<Entry>(`${this.#folder}/registers.jsonl.gz`).entries())
      this.#entry(entry, `line ${at + 1}`);
  }

  #entry(entry: Entry, where: string): void {
    switch (entry[0]) {
      case 'r':
        this.#read(entry[1], entry[2], BigInt(entry[3]), where);
        break;
      case 'w':
        this.#write(entry[1], entry[2], BigInt(entry[3]), entry[4] ?? [], where);
        break;
      case 'e':
        this.#q.write(BigInt(EDU.bar) + BigInt(entry[1]), 8, BigInt(entry[2]));
        break;
      case 'd':
        this.dmas++;
        this.#q.command(`clock_step ${DMA_NS}`);
        break;
      case 's':
        this.#pages.load(PAGES_AFTER[entry[1]]);
    }
  }

  #read(offset: string, size: 4 | 8, recorded: bigint, where: string): void {
    this.reads++;
    const got = this.#q.read(VTD + BigInt(offset), size);
    if (got !== recorded) this.#differ(`${where}: register ${offset}`, got, recorded);
  }

  #write(offset: string, size: 4 | 8, value: bigint, queued: readonly Descriptor[], where: string): void {
    if (offset === IQA) this.#queue = value & ~0xfffn;
    for (const [low, high] of queued) {
      this.#q.write(this.#queue + this.#tail, 8, BigInt(low));
      this.#q.write(this.#queue + this.#tail + 8n, 8, BigInt(high));
      this.#tail = (this.#tail + DESCRIPTOR_BYTES) % QUEUE_BYTES;
    }
    this.#q.write(VTD + BigInt(offset), size, value);
    if (offset === TAIL && value !== this.#tail)
      this.#differ(`${where}: tail of the queue`, this.#tail, value);
    for (const [low, high] of queued) this.#checkStatus(BigInt(low), BigInt(high), where);
  }

  /** Linux spins on this word before it goes on. */
  #checkStatus(low: bigint, high: bigint, where: string): void {
    if ((low & 0xffffffffn) !== WAIT_STATUS) return;
    this.statuses++;
    const got = this.#q.read(high, 4);
    if (got !== low >> 32n) this.#differ(`${where}: status at 0x${high.toString(16)}`, got, low >> 32n);
    this.#q.write(high, 4, 0n);
  }

  #differ(where: string, got: bigint, recorded: bigint): void {
    this.differences.push(`${where}: 0x${got.toString(16)}, recorded 0x${recorded.toString(16)}`);
  }
}
