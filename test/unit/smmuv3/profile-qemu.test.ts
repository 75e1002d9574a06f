import { expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_OK, DMA_UR, READ } from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_TIMEOUT } from '../../../vmm/bus/iommu.ts';
import { CMDQEN, CONTEXT, EVENTQEN, SMMUEN, SmmuMachine, STREAMS } from '../../kit/smmu-machine.ts';
import { stage1, to } from '../../kit/smmu-stages.ts';

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

test.each<[Profile, string | number, bigint]>([
  ['spec', '40100000', 0n],
  ['qemu', DMA_UR, C_BAD_STE],
])(
  'smmu-substreams-absent, profile=%s: S1CDMax of a stream, and a unit without substreams',
  (profile, expected, event) => {
    const { m, port } = stage1({}, { config: { profile } });
    const words = STE.pack({ V: 1, Config: 5, S1CDMax: 9, S1Fmt: 1 });
    words[0]! |= CONTEXT;
    m.storeWords(STREAMS + SID * 64, words);

    expect([to(port, 0), m.event(0)[0]]).toEqual([expected, event]);
  },
);

test('a unit without substreams has none of a stream whose S1CDMax says so', () => {
  const { m, port } = stage1();
  const words = STE.pack({ V: 1, Config: 5, S1CDMax: 9 });
  words[0]! |= CONTEXT;
  m.storeWords(STREAMS + SID * 64, words);
  port.pasid = 5;

  expect([to(port, 0), m.event(0)[0]]).toEqual([DMA_UR, 0x18_0000_5808n]);
});
