import { NULL_DISK, QemuCost, type QemuIommu, type QemuMachine } from './cost.ts';
import { NVME_DEVFN } from './nvme.ts';
import { translate } from './vtd-tables.ts';

const Q35: QemuMachine = {
  processor: 'x86',
  args: ['-machine', 'q35', '-m', '768M', ...NULL_DISK],
  place: {
    bar: 0xfe00_0000,
    queues: 0x200_0000,
    configure: (qtest, offset, value) => qtest.config(NVME_DEVFN, offset, value),
  },
  data: 0x1000_0000,
};

/** What the second machine has: an IOMMU in legacy mode, or in scalable mode with second-stage tables. */
export type VtdMode = 'VT-d' | 'VT-d scalable';

const VTD: Readonly<Record<VtdMode, QemuIommu>> = {
  'VT-d': {
    name: 'VT-d',
    args: ['-device', 'intel-iommu,aw-bits=48'],
    translate: (qtest, ranges) => translate(qtest, NVME_DEVFN, ranges),
  },
  'VT-d scalable': {
    name: 'VT-d scalable',
    args: ['-device', 'intel-iommu,aw-bits=48,x-scalable-mode=on'],
    translate: (qtest, ranges) => translate(qtest, NVME_DEVFN, ranges, true),
  },
};

export function vtdCost(binary: string, mode: VtdMode = 'VT-d'): Promise<QemuCost> {
  return QemuCost.start(binary, Q35, [VTD[mode]]);
}
