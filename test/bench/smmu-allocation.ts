/** What 10^6 operations of an SMMUv3 leave on the heap: nothing. */
import { sweep } from './kit/dma.ts';
import { smmuFanOut } from './kit/fan-out.ts';
import { check, checkMethod, OPERATIONS } from './kit/heap.ts';
import type { Contender } from './kit/rounds.ts';
import { finish } from './kit/row.ts';
import { mappedBySmmu, NESTED, STAGE1, STAGE2 } from './kit/smmu.ts';
import { LIVE, resumeRing, SMMU_COMMANDS, type SmmuCommand, smmuRing } from './kit/smmu-queue.ts';

const STAGES = { 'stage 1': STAGE1, 'stage 2': STAGE2, nested: NESTED } as const;

/** As many of its operations. */
function times({ run, prepare, operations }: Contender): () => void {
  return () => {
    for (let done = 0; done < OPERATIONS; done += operations) {
      prepare?.();
      run();
    }
  };
}

checkMethod();
for (const [name, stage] of Object.entries(STAGES)) {
  check(`SMMUv3 ${name}, hit`, times(sweep('', mappedBySmmu(stage, 16))));
  check(`SMMUv3 ${name}, miss`, times(sweep('', mappedBySmmu(stage, 65536))));
}
check('SMMUv3, 1,000 SubstreamIDs', times(smmuFanOut(1000)));
for (const kind of Object.keys(SMMU_COMMANDS) as SmmuCommand[]) {
  const ring = smmuRing(kind, LIVE);
  check(`CMD_${kind}`, times({ ...ring, prepare: () => {} }));
}
check('a stalled transaction and its CMD_RESUME', times(resumeRing()));
finish();
