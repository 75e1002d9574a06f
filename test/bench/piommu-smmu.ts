/** A physical SMMUv3 of the host and its driver: nested translations from the assigned function, commands by the uAPI, memory. */
import * as abi from '../../vmm/host/iommufd/abi.ts';
import { encode } from '../../vmm/host/kernel/struct.ts';
import { HWPT_SMMUV3, SMMUV3_INVALIDATE } from '../../vmm/host/piommu/abi.ts';
import { smmuHost } from '../kit/physical-host.ts';
import { AT, contendersOf, figuresOf, guestTables, heapOf, RAM, TOP, warmUp, world } from './kit/piommu.ts';
import { rounds } from './kit/rounds.ts';
import { finish } from './kit/row.ts';

/** Guest-physical: the CD table. */
const CDS = 8 << 20;

function smmu() {
  const { host, device, parent } = world(smmuHost({}, {}, RAM));
  const { out_viommu_id } = host.caller.ok(abi.NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
    type: 1,
    dev_id: device.id,
    hwpt_id: parent,
  });
  host.caller.ok(abi.NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, {
    viommu_id: out_viommu_id,
    dev_id: device.id,
    virt_id: 0x33n,
  });
  guestTables(host, 3, 0xf43);
  host.store(CDS + 4, 4 | (1 << 9) | (1 << 13) | (1 << 14) | (9 << 16));
  host.store(CDS + 8, TOP);
  host.store(CDS + 24, 0xff);
  host.store(CDS, 16 | (3 << 12) | (1 << 30) | 0x80000000);
  const call = host.nestedCall(device, out_viommu_id, abi.HWPT_DATA.ARM_SMMUV3, HWPT_SMMUV3, {
    ste0: BigInt(1 | (5 << 1) | CDS),
    ste1: 0n,
  });
  const nested = () => host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, call).out_hwpt_id;
  return { host, device, viommu: out_viommu_id, nested };
}

async function main(): Promise<void> {
  const { host, device, viommu, nested } = smmu();
  device.attach(0, nested());
  const contenders = contendersOf(host, {
    object: viommu,
    type: abi.INVALIDATE_DATA.ARM_SMMUV3,
    entry: (i) => encode(SMMUV3_INVALIDATE, { cmd0: 0x12n | (9n << 48n), cmd1: BigInt(AT + i * 4096) | 1n }),
  });
  warmUp(host);
  const times = await rounds(contenders);
  figuresOf('SMMUv3', 'TLBI', times);
  heapOf('SMMUv3', nested);
  finish();
}

await main();
