/** What Linux's driver did to an SMMUv3's registers (test/fixtures/linux), done again on the model: reads, DMA and events. */
import { DMA_OK, type DmaPort, READ, WRITE } from '../../vmm/bus/dma.ts';
import { hi32, lo32 } from '../../vmm/core/u64.ts';
import { RecordedPages, recordedLines } from './linux-recording.ts';
import { SmmuMachine } from './smmu-machine.ts';

/** Lines of registers.jsonl.gz, in order; test/fixtures/linux/README.md describes them. */
type Entry =
  | readonly ['r' | 'w', offset: string, size: 4 | 8, value: string]
  | readonly ['d', access: 'r' | 'w', iova: string, length: number, expected: number | readonly string[]]
  | readonly ['s', name: string];

/** A page that Linux had mapped. */
export type LinuxMap = readonly [sid: number, iova: string, gpa: string, r: number, w: number];

const RAM_BYTES = 2 ** 31;
const EVENTQ_BASE = 0xa0;
const EVENTQ_PROD = 0x100a8;
const EVENTQ_CONS = 0x100ac;
const PAGE = 4096;
const EDU = 0x40;

/** Tables are those of the next recorded moment. */
const PAGES_AFTER: Readonly<Record<string, string>> = {
  'boot-no-drivers': '04-vfio-after-dma',
  'vfio-after-dma': '05-vfio-after-unmap',
};

export class SmmuRegisterLog {
  reads = 0;
  dmas = 0;
  events = 0;
  readonly differences: string[] = [];
  readonly maps: readonly LinuxMap[];
  readonly machine: SmmuMachine;
  readonly #folder: string;
  readonly #edu: DmaPort;
  readonly #pages: RecordedPages;
  #queue = 0;

  constructor(run: string, profile: 'spec' | 'qemu') {
    this.#folder = `test/fixtures/linux/${run}`;
    this.machine = new SmmuMachine({ config: { profile }, ramBytes: RAM_BYTES });
    this.#edu = this.machine.port(EDU);
    this.maps = recordedLines<LinuxMap>(`${this.#folder}/maps.jsonl.gz`);
    const { u8 } = this.machine.ram;
    this.#pages = new RecordedPages(this.#folder, {
      put: (page, bytes) => u8.set(bytes, page),
      clear: (page) => u8.fill(0, page, page + PAGE),
    });
    // No command of these runs was overwritten: the queue has room for more than all of them.
    this.#pages.put('commands.pages.gz');
  }

  /** Up to the named moment, or to the end. */
  run(until?: string): void {
    for (const [at, entry] of recordedLines<Entry>(`${this.#folder}/registers.jsonl.gz`).entries()) {
      this.#entry(entry, `line ${at + 1}`);
      if (entry[0] === 's' && entry[1] === until) return;
    }
  }

  /** Where an access of the stream goes, or undefined. */
  reached(port: DmaPort, iova: string, access: number): string | undefined {
    const at = BigInt(iova);
    if (port.translate(lo32(at) | 0, hi32(at) | 0, access) !== DMA_OK) return undefined;
    return `0x${(port.outHi * 2 ** 32 + port.outLo).toString(16)}`;
  }

  #entry(entry: Entry, where: string): void {
    switch (entry[0]) {
      case 'r':
        this.#read(Number(entry[1]), BigInt(entry[3]), where);
        break;
      case 'w':
        this.#write(Number(entry[1]), entry[2], BigInt(entry[3]));
        break;
      case 'd':
        this.#dma(entry, where);
        break;
      case 's':
        this.#pages.load(PAGES_AFTER[entry[1]]);
    }
  }

  /** QEMU records a refused DMA again for every four bytes: how many events there are is not compared. */
  #read(offset: number, recorded: bigint, where: string): void {
    if (offset === EVENTQ_PROD) return;
    this.reads++;
    const got = this.machine.read32(offset);
    if (got !== Number(recorded))
      this.differences.push(
        `${where}: register 0x${offset.toString(16)} is 0x${got.toString(16)}, not ${recorded}`,
      );
  }

  #write(offset: number, size: 4 | 8, value: bigint): void {
    if (offset === EVENTQ_CONS) return;
    if (offset === EVENTQ_BASE) this.#queue = Number(value & 0xffffffe0n);
    if (size === 8) this.machine.write64(offset, value);
    else this.machine.write32(offset, Number(value));
  }

  #dma([, op, iova, length, expected]: Extract<Entry, readonly ['d', ...unknown[]]>, where: string): void {
    this.dmas++;
    const access = op === 'r' ? READ : WRITE;
    const first = BigInt(iova);
    const end = first + BigInt(length);
    const pages: string[] = [];
    let at = first;
    for (; at < end; at = (at | BigInt(PAGE - 1)) + 1n) {
      const page = this.reached(this.#edu, `0x${at.toString(16)}`, access);
      if (page === undefined) break;
      pages.push(`0x${(BigInt(page) & ~0xfffn).toString(16)}`);
    }
    const got = at < end ? this.#event(op, at) : JSON.stringify(pages);
    const wanted = typeof expected === 'number' ? `0x${expected.toString(16)}` : JSON.stringify(expected);
    if (got !== wanted) this.differences.push(`${where}: ${op} ${iova}: ${got}, not ${wanted}`);
  }

  /** The code of the one event that waits, if its other fields are those of this access; it is taken. */
  #event(op: 'r' | 'w', address: bigint): string {
    this.events++;
    const { machine } = this;
    const prod = machine.read32(EVENTQ_PROD);
    const at = this.#queue + ((this.events - 1) & 0x7fff) * 32;
    const [w0, w1, w2, w3] = [0, 8, 16, 24].map((word) => machine.load(at + word));
    machine.write32(EVENTQ_CONS, prod);
    // SMMUv3: Event records: no substream; CLASS = IN, RnW; the address as presented; no IPA.
    const good =
      w0! >> 8n === BigInt(EDU) << 24n &&
      w1 === (op === 'r' ? 0x208n : 0x200n) << 32n &&
      w2 === address &&
      w3 === 0n &&
      prod === this.events;
    return good ? `0x${(w0! & 0xffn).toString(16)}` : [w0, w1, w2, w3].map((w) => w!.toString(16)).join(' ');
  }
}
