/**
 * The SMMUv3's command queue: one doorbell consumes a ring of commands, as the bench `invalidation` does with VT-d's descriptors;
 * what is like it there is measured in the same rounds.
 */
import { rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';
import { Side } from './kit/side.ts';
import { LIVE, resumeRing, SMMU_COMMANDS, type SmmuCommand, smmuRing } from './kit/smmu-queue.ts';
import { type VtdDescriptor, vtdRing } from './kit/vtd-queue.ts';

const LIKE: Readonly<Partial<Record<SmmuCommand, VtdDescriptor>>> = {
  CFGI_STE: 'context of a device',
  TLBI_NH_ASID: 'domain',
  'TLBI_NH_ASID, another': 'domain, one without entries',
  'TLBI_NH_VA, leaf': 'page',
  'TLBI_NH_VA, another ASID': 'page, domain without entries',
  TLBI_NSNH_ALL: 'global',
  'SYNC, message': 'wait with status',
};
const LIMIT = { text: '<= 40 ns', value: 40 };

async function main(): Promise<void> {
  const side = await Side.start(() => Object.values(LIKE).map((kind) => vtdRing(kind, LIVE)));
  for (const kind of Object.keys(SMMU_COMMANDS) as SmmuCommand[]) {
    const few = smmuRing(kind, 0);
    const many = smmuRing(kind, LIVE);
    const like = LIKE[kind];
    const vtd = side.probes.filter(({ name }) => name === `${like}, ${LIVE} live`);
    const times = await rounds([few, many, ...vtd]);
    figure(`CMD_${kind}, 0 live entries`, 'ns', times[few.name]!, LIMIT);
    figure(`CMD_${kind}, ${LIVE} live entries`, 'ns', times[many.name]!, LIMIT);
    for (const { name } of vtd)
      compare(`CMD_${kind}, ${LIVE} live entries`, 'ns', times[many.name]!, {
        name: `VT-d, ${like}`,
        values: times[name]!,
      });
  }
  side.stop();
  const resume = resumeRing();
  const times = await rounds([resume]);
  figure(`CMD_${resume.name}`, 'ns', times[resume.name]!, LIMIT);
  finish();
}

await main();
