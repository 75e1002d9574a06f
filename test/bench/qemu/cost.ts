import { execFileSync } from 'node:child_process';
import type { Probe } from '../kit/rounds.ts';
import { Nvme, type NvmePlace, QUEUE_PAGES } from './nvme.ts';
import { type Processor, Qtest } from './qtest.ts';

const MOST_PAGES = 65536;
/** The disk moves no data. */
export const NULL_DISK = [
  ...['-device', 'nvme,drive=disk,serial=1,mdts=9,addr=4'],
  ...['-blockdev', 'null-co,node-name=disk,size=1099511627776,read-zeroes=off'],
];

/** Pages that are mapped where `target` is. */
export interface Range {
  readonly iova: number;
  readonly target: number;
  readonly pages: number;
}

/** A machine of QEMU's with an NVMe controller. */
export interface QemuMachine {
  readonly processor: Processor;
  readonly args: readonly string[];
  readonly place: NvmePlace;
  /** Pages under test, at the same addresses with and without an IOMMU. */
  readonly data: number;
}

/** An IOMMU in it, which `translate` switches on. @throws Unsupported */
export interface QemuIommu {
  readonly name: string;
  readonly args: readonly string[];
  readonly translate: (qtest: Qtest, ranges: readonly Range[]) => Promise<void>;
}

/** This QEMU's IOMMU cannot do it. */
export class Unsupported extends Error {}

export function qemuVersion(binary: string): string | undefined {
  try {
    return execFileSync(binary, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .split('\n')[0]!;
  } catch {
    return undefined;
  }
}

interface Running {
  readonly name: string;
  readonly qtest: Qtest;
  readonly nvme: Nvme;
}

/** QEMUs with the same machine: one without an IOMMU, called `none`, and one for each IOMMU. */
export class QemuCost {
  readonly #machine: QemuMachine;
  readonly #running: Running[] = [];
  /** By name of the IOMMU: why it is not among them. */
  readonly missing = new Map<string, string>();

  private constructor(machine: QemuMachine) {
    this.#machine = machine;
  }

  static async start(binary: string, machine: QemuMachine, iommus: readonly QemuIommu[]): Promise<QemuCost> {
    const cost = new QemuCost(machine);
    await cost.#boot(binary, { name: 'none', args: [], translate: async () => {} });
    for (const iommu of iommus) await cost.#boot(binary, iommu);
    return cost;
  }

  async #boot(binary: string, { name, args, translate }: QemuIommu): Promise<void> {
    const { processor, args: common, place, data } = this.#machine;
    const qtest = await Qtest.start(binary, [...common, ...args], processor);
    try {
      await translate(qtest, [
        { iova: place.queues, target: place.queues, pages: QUEUE_PAGES },
        { iova: data, target: data, pages: MOST_PAGES },
      ]);
    } catch (error) {
      await qtest.stop();
      if (!(error instanceof Unsupported)) throw error;
      this.missing.set(name, error.message);
      return;
    }
    this.#running.push({ name, qtest, nvme: await Nvme.start(qtest, place) });
  }

  /** Probes `QEMU NAME, N pages` of all of them: ns of a page. */
  probes(pages: number): Probe[] {
    return this.#running.map(({ name, nvme }) => ({
      name: `QEMU ${name}, ${pages} pages`,
      sample: async () => {
        await nvme.fill(this.#machine.data, pages);
        return nvme.run();
      },
    }));
  }

  /** Probes `QEMU NAME, null command`: ns of a command of one sector. */
  commandProbes(): Probe[] {
    return this.#running.map(({ name, nvme }) => ({
      name: `QEMU ${name}, null command`,
      sample: async () => {
        await nvme.fill(this.#machine.data, 16, 1);
        return nvme.run(1);
      },
    }));
  }

  async stop(): Promise<void> {
    for (const { qtest } of this.#running) await qtest.stop();
  }
}
