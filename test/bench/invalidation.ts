/**
 * Queued invalidation: one doorbell consumes a ring of descriptors. Everything counts: the register write through the bus,
 * the fetch from RAM, decoding, and what is dropped.
 */
import { rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';
import { LIVE, VTD_DESCRIPTORS, type VtdDescriptor, vtdRing } from './kit/vtd-queue.ts';

async function main(): Promise<void> {
  for (const kind of Object.keys(VTD_DESCRIPTORS) as VtdDescriptor[]) {
    const few = vtdRing(kind, 0);
    const many = vtdRing(kind, LIVE);
    const times = await rounds([few, many]);
    const limit = { text: '<= 40 ns', value: 40 };
    figure(`invalidation, ${kind}, 0 live entries`, 'ns', times[few.name]!, limit);
    compare(
      `invalidation, ${kind}, ${LIVE} live entries`,
      'ns',
      times[many.name]!,
      { name: '0 live entries', values: times[few.name]! },
      { text: '<= 40 ns and <= 1.2x', value: 40, ratio: 1.2 },
    );
  }
  finish();
}

await main();
