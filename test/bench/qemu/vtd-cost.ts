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

  private constructor(machines: { qtest: Qtest; nvme: Nvme }[]) {
    this.#machines = machines;
  }

  static async start(binary: string): Promise<VtdCost> {
    const plain = await Qtest.start(binary, MACHINE);
    const remapped = await Qtest.start(binary, [...MACHINE, ...IOMMU]);
    await translate(remapped, NVME_DEVFN, [
      { iova: QUEUES, target: QUEUES, pages: QUEUE_PAGES },
      { iova: DATA, target: DATA, pages: MOST_PAGES },
    ]);
    const machines = [];
    for (const qtest of [plain, remapped]) machines.push({ qtest, nvme: await Nvme.start(qtest) });
    return new VtdCost(machines);
  }

  /** Probes `none, N pages` and `VT-d, N pages`: ns of a page. */
  probes(pages: number): Probe[] {
    return ['none', 'VT-d'].map((kind, i) => ({
      name: `QEMU ${kind}, ${pages} pages`,
      sample: async () => {
        const { nvme } = this.#machines[i]!;
        await nvme.fill(DATA, pages);
        return nvme.run();
      },
    }));
  }

  async stop(): Promise<void> {
    for (const { qtest } of this.#machines) await qtest.stop();
  }
}
