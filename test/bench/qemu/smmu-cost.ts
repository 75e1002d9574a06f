import { NULL_DISK, QemuCost, type QemuIommu, type QemuMachine } from './cost.ts';
import { NVME_DEVFN } from './nvme.ts';
import { NESTED, STAGE1, STAGE2, translate } from './smmu-tables.ts';

/** The window for configuration space below 4 GiB, and for memory space. */
const ECAM = 0x3f00_0000;
const VIRT: QemuMachine = {
  processor: 'arm64',
  args: ['-machine', 'virt,highmem=off', '-cpu', 'cortex-a57', '-m', '768M', ...NULL_DISK],
  place: {
    bar: 0x1000_0000,
    queues: 0x4200_0000,
    configure: (qtest, offset, value) => qtest.write32(ECAM + NVME_DEVFN * 4096 + offset, value),
  },
  data: 0x5000_0000,
};

export const QEMU_STAGES = { 'stage 1': STAGE1, 'stage 2': STAGE2, nested: NESTED } as const;

/** The SMMUv3 of QEMU's virt: switched off, and with each kind of stream. */
export function smmuCost(binary: string): Promise<QemuCost> {
  const iommus = Object.entries(QEMU_STAGES).map(
    ([name, stages]): QemuIommu => ({
      name: `SMMUv3 ${name}`,
      args: ['-machine', 'iommu=smmuv3'],
      translate: (qtest, ranges) => translate(qtest, NVME_DEVFN, stages, ranges),
    }),
  );
  return QemuCost.start(binary, VIRT, iommus);
}
