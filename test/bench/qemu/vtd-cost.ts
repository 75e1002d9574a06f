import { execFileSync } from 'node:child_process';
import type { Probe } from '../kit/rounds.ts';
import { NVME_DEVFN, Nvme, QUEUE_PAGES, QUEUES } from './nvme.ts';
import { Qtest } from './qtest.ts';
import { translate } from './vtd-tables.ts';

/** Pages under test, at the same addresses with and without an IOMMU. */
const DATA = 0x1000_0000;
const MOST_PAGES = 65536;
const PCI = ['-device', 'nvme,drive=disk,serial=1,mdts=9,addr=4'];
const DISK = ['-blockdev', 'null-co,node-name=disk,size=1099511627776,read-zeroes=off'];
const MACHINE = ['-machine', 'q35', '-m', '768M', ...DISK, ...PCI];
const IOMMU = ['-device', 'intel-iommu,aw-bits=48'];
const SCALABLE_IOMMU = ['-device', 'intel-iommu,aw-bits=48,x-scalable-mode=on'];

/** What the second machine has: an IOMMU in legacy mode, or in scalable mode with second-stage tables. */
export type VtdMode = 'VT-d' | 'VT-d scalable';

export function qemuVersion(binary: string): string | undefined {
  try {
    return execFileSync(binary, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .split('\n')[0]!;
  } catch {
    return undefined;
  }
}

/** Two QEMUs, one with an IOMMU and one without. */
export class VtdCost {
  readonly #machines: { qtest: Qtest; nvme: Nvme }[];
  readonly #mode: VtdMode;

  private constructor(machines: { qtest: Qtest; nvme: Nvme }[], mode: VtdMode) {
    this.#machines = machines;
    this.#mode = mode;
  }

  static async start(binary: string, mode: VtdMode = 'VT-d'): Promise<VtdCost> {
    const scalable = mode === 'VT-d scalable';
    const plain = await Qtest.start(binary, MACHINE);
    const remapped = await Qtest.start(binary, [...MACHINE, ...(scalable ? SCALABLE_IOMMU : IOMMU)]);
    const ranges = [
      { iova: QUEUES, target: QUEUES, pages: QUEUE_PAGES },
      { iova: DATA, target: DATA, pages: MOST_PAGES },
    ];
    await translate(remapped, NVME_DEVFN, ranges, scalable);
    const machines = [];
    for (const qtest of [plain, remapped]) machines.push({ qtest, nvme: await Nvme.start(qtest) });
    return new VtdCost(machines, mode);
  }

  /** Probes `none, N pages` and `VT-d, N pages`: ns of a page. */
  probes(pages: number): Probe[] {
    return ['none', this.#mode].map((kind, i) => ({
      name: `QEMU ${kind}, ${pages} pages`,
      sample: async () => {
        const { nvme } = this.#machines[i]!;
        await nvme.fill(DATA, pages);
        return nvme.run();
      },
    }));
  }

  /** Probes `none, null command` and `VT-d, null command`: ns of a command of one sector. */
  commandProbes(): Probe[] {
    return ['none', this.#mode].map((kind, i) => ({
      name: `QEMU ${kind}, null command`,
      sample: async () => {
        const { nvme } = this.#machines[i]!;
        await nvme.fill(DATA, 16, 1);
        return nvme.run(1);
      },
    }));
  }

  async stop(): Promise<void> {
    for (const { qtest } of this.#machines) await qtest.stop();
  }
}
