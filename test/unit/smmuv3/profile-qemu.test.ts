import { expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { DMA_OK, READ } from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_TIMEOUT } from '../../../vmm/bus/iommu.ts';
import { CMDQEN, EVENTQEN, SMMUEN, SmmuMachine } from '../../kit/smmu-machine.ts';

// Rows of docs/deviations.md that no recorded case meets (test/fixtures/g4); smmu-event-queue-full is in event-queue.test.ts.
const SID = 0x18;
const ALL = SMMUEN | EVENTQEN | CMDQEN;
const C_BAD_STE = 0x18_0000_0004n;
const SECOND = 1_000_000_000;

type Profile = SmmuConfig['profile'];

test.each<[Profile, number | 'refused', bigint]>([
  ['spec', 'refused', C_BAD_STE],
  ['qemu', 0x5000, 0n],
])(
  'smmu-faults-not-cached, profile=%s: an STE that became valid without CFGI',
  (profile, expected, second) => {
    const m = new SmmuMachine({ config: { profile } });
    m.start(ALL);
    const port = m.port(SID);
    port.translate(0x5000, 0, READ);

    m.ste(SID, { Config: 4 });
    const landing = port.translate(0x5000, 0, READ) === DMA_OK ? port.outLo : 'refused';

    expect([landing, m.event(0)[0], m.event(1)[0]]).toEqual([expected, C_BAD_STE, second]);
  },
);

test.each<[Profile, [number, number]]>([
  ['spec', [3, 1]],
  ['qemu', [0, 2]],
])(
  'smmu-atc-absent, profile=%s: CMD_SYNC after an ATC invalidation that nobody completes',
  (profile, stopped) => {
    const m = new SmmuMachine({ config: { profile, ats: true }, invalidated: () => DEVICE_TLB_TIMEOUT });
    m.start(ALL);

    m.submit(0x18_0000_0040n, 0);
    m.submit(0x46n);
    m.clock.advanceTo(SECOND);

    expect(m.stopped).toEqual(stopped);
  },
);
