import { IOMMU_VEVENTQ_ALLOC, NR, VEVENT_HEADER } from '../host/iommufd/abi.ts';
import type { HostCalls } from './host-calls.ts';

/** `enum iommu_veventq_type` (Linux, include/uapi/linux/iommufd.h). */
const ARM_SMMUV3 = 1;
const EVENT_WORDS = 8;
const EVENT_DEPTH = 1024;

export interface EventQueue {
  readonly id: number;
  readonly fd: number;
}

/** Passes on what an SMMUv3 records for a slice of it: 8 words each. Returns the queue. @throws HostRefused */
export function eventsOf(
  calls: HostCalls,
  iommufd: number,
  viommu_id: number,
  event: (words: Uint32Array) => void,
): EventQueue {
  const { out_veventq_id: id, out_veventq_fd: queue } = calls.ioctl(
    iommufd,
    NR.VEVENTQ_ALLOC,
    IOMMU_VEVENTQ_ALLOC,
    {
      viommu_id,
      type: ARM_SMMUV3,
      veventq_depth: EVENT_DEPTH,
    },
  );
  const words = new Uint32Array(EVENT_WORDS);
  calls.sys.listen(queue, () => {
    for (;;) {
      const done = calls.sys.read(queue, calls.data, VEVENT_HEADER.bytes + EVENT_WORDS * 4);
      if (done <= VEVENT_HEADER.bytes) return;
      for (let i = 0; i < EVENT_WORDS; i++)
        words[i] = calls.view.getUint32(calls.data + VEVENT_HEADER.bytes + 4 * i, true);
      event(words);
    }
  });
  return { id, fd: queue };
}
