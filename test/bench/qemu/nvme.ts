import { quads } from './entries.ts';
import type { Qtest } from './qtest.ts';

/** Device 4 of bus 0. */
export const NVME_DEVFN = 0x20;
const PAGE = 4096;
export const QUEUE_PAGES = 512;

/** Where a machine has the controller and room for its queues. */
export interface NvmePlace {
  readonly bar: number;
  /** Queues and lists: identity-mapped, so that they are where they are with and without an IOMMU. */
  readonly queues: number;
  /** Writes a register of the controller's configuration space. */
  readonly configure: (qtest: Qtest, offset: number, value: number) => Promise<unknown>;
}

const CC = 0x14;
const CSTS = 0x1c;
const AQA = 0x24;
const ASQ = 0x28;
const ACQ = 0x30;
const DOORBELLS = 0x1000;
const ENTRIES = 1024;
const ADMIN_ENTRIES = 8;
const CREATE_SQ = 0x01;
const CREATE_CQ = 0x05;
const WRITE = 0x01;
/** One command: 2 MiB in 4 KiB pages, with one PRP in the command and 511 in a list that fills a page. */
const PRPS = 512;
const SECTORS = (PRPS * PAGE) / 512;
export const COMMANDS = 1000;

/**
 * A minimal NVMe driver over qtest: one I/O queue pair without interrupts, filled with writes (NVM Express Base
 * Specification: Memory-Based Controller Initialization, Submission Queue Entry, Physical Region Page Entry and List).
 */
export class Nvme {
  readonly #qtest: Qtest;
  readonly #bar: number;
  /** Addresses of queues and lists. */
  readonly #adminSq: number;
  readonly #adminCq: number;
  readonly #ioCq: number;
  readonly #ioSq: number;
  readonly #lists: number;
  /** Commands so far. */
  #issued = 0;

  private constructor(qtest: Qtest, { bar, queues }: NvmePlace) {
    this.#qtest = qtest;
    this.#bar = bar;
    this.#adminSq = queues;
    this.#adminCq = queues + PAGE;
    this.#ioCq = queues + 0x10000;
    this.#ioSq = queues + 0x20000;
    this.#lists = queues + 0x40000;
  }

  static async start(qtest: Qtest, place: NvmePlace): Promise<Nvme> {
    await place.configure(qtest, 0x10, place.bar);
    await place.configure(qtest, 0x14, 0);
    await place.configure(qtest, 0x04, 0x6);
    const nvme = new Nvme(qtest, place);
    await nvme.#enable();
    await nvme.#admin(0, CREATE_CQ, nvme.#ioCq, 0x1);
    await nvme.#admin(1, CREATE_SQ, nvme.#ioSq, (1 << 16) | 1);
    return nvme;
  }

  async #enable(): Promise<void> {
    const qtest = this.#qtest;
    const bar = this.#bar;
    await qtest.write32(bar + AQA, ((ADMIN_ENTRIES - 1) << 16) | (ADMIN_ENTRIES - 1));
    await qtest.write32(bar + ASQ, this.#adminSq);
    await qtest.write32(bar + ASQ + 4, 0);
    await qtest.write32(bar + ACQ, this.#adminCq);
    await qtest.write32(bar + ACQ + 4, 0);
    // 16-byte completions, 64-byte commands, 4 KiB pages, enabled.
    await qtest.write32(bar + CC, (4 << 20) | (6 << 16) | 1);
    if (((await qtest.read32(bar + CSTS)) & 3) !== 1) throw new Error('the controller is not ready');
  }

  async #admin(slot: number, opcode: number, address: number, cdw11: number): Promise<void> {
    const command = new Uint32Array(16);
    command[0] = opcode | (slot << 16);
    command[6] = address;
    command[10] = ((ENTRIES - 1) << 16) | 1;
    command[11] = cdw11;
    await this.#qtest.write(this.#adminSq + slot * 64, new Uint8Array(command.buffer));
    await this.#qtest.write32(this.#bar + DOORBELLS, slot + 1);
    await settled(this.#qtest);
    const status = (await this.#qtest.read32(this.#adminCq + slot * 16 + 12)) >>> 16;
    if (status !== 1) throw new Error(`admin command ${opcode}: status 0x${status.toString(16)}`);
  }

  /** Fills the ring with writes that go through `pages` pages from `iova` in order, again and again. */
  async fill(iova: number, pages: number, sectors = SECTORS): Promise<void> {
    const lists = listsFor(pages);
    const step = pages / lists;
    for (let i = 0; i < lists; i++) {
      const page = (k: number) => iova + ((i * step + k) % pages) * PAGE;
      await this.#qtest.write(
        this.#lists + i * PAGE,
        quads(Float64Array.from({ length: PRPS }, (_, k) => page(k + 1))),
      );
    }
    const ring = new Uint32Array(ENTRIES * 16);
    for (let slot = 0; slot < ENTRIES; slot++) {
      const list = slot % lists;
      const command = ring.subarray(slot * 16, slot * 16 + 16);
      command[0] = WRITE | (slot << 16);
      command[1] = 1;
      command[6] = iova + ((list * step) % pages) * PAGE;
      command[8] = this.#lists + list * PAGE;
      command[12] = sectors - 1;
    }
    await this.#qtest.write(this.#ioSq, new Uint8Array(ring.buffer));
  }

  /** COMMANDS commands of so many pages; main-thread time per page in ns. */
  async run(pages = PRPS): Promise<number> {
    const qtest = this.#qtest;
    const before = qtest.cpuNs();
    this.#issued += COMMANDS;
    await qtest.write32(this.#bar + DOORBELLS + 8, this.#issued % ENTRIES);
    await settled(qtest);
    const spent = qtest.cpuNs() - before;
    await this.#check(this.#issued - 1);
    await qtest.write32(this.#bar + DOORBELLS + 12, this.#issued % ENTRIES);
    return spent / (COMMANDS * pages);
  }

  /** The n-th completion is there (the phase tag inverts with each pass over the queue) and is a success. */
  async #check(n: number): Promise<void> {
    const status = (await this.#qtest.read32(this.#ioCq + (n % ENTRIES) * 16 + 12)) >>> 16;
    const phase = 1 - (Math.floor(n / ENTRIES) % 2);
    if (status !== phase) throw new Error(`completion ${n}: status 0x${status.toString(16)}`);
  }
}

/** Few enough lists that they and the pages stay in an IOTLB of 1024 entries where the pages do. */
function listsFor(pages: number): number {
  if (pages <= PRPS) return 1;
  return pages <= 1000 ? 9 : pages / PRPS;
}

/** Waits until the main thread has slept for a while. Asking it anything meanwhile would cost its time. */
async function settled(qtest: Qtest): Promise<void> {
  let last = -1;
  for (let quiet = 0; quiet < 4; ) {
    await new Promise((done) => setTimeout(done, 5));
    const now = qtest.cpuNs();
    quiet = now === last && qtest.asleep() ? quiet + 1 : 0;
    last = now;
  }
}
