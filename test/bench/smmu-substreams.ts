/** One page each of many SubstreamIDs, one after the other, beside VT-d's PASIDs. */
import { fanOut, smmuFanOut } from './kit/fan-out.ts';
import { rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';
import { Side } from './kit/side.ts';

const COUNTS = [1, 1000, 100_000] as const;

const side = await Side.start(() => COUNTS.map(fanOut));
const times = await rounds([...COUNTS.map(smmuFanOut), ...side.probes]);
side.stop();
const ours = (count: number) => times[`SMMUv3, ${count}`]!;
figure('1 SubstreamID, 1,000 pages', 'ns', ours(1));
const one = { name: '1 SubstreamID', values: ours(1) };
compare('1,000 SubstreamIDs, a page each', 'ns', ours(1000), one, { text: '<= 1.8x', ratio: 1.8 });
const thousand = { name: '1,000 SubstreamIDs', values: ours(1000) };
compare('100,000 sparse SubstreamIDs, a page each', 'ns', ours(100_000), thousand, {
  text: '<= 3x',
  ratio: 3,
});
for (const count of COUNTS) {
  const vtd = { name: `VT-d, ${count} PASIDs`, values: times[`${count}`]! };
  compare(`${count} SubstreamIDs`, 'ns', ours(count), vtd, {
    text: '<= 1.3x of VT-d, or explained',
    ratio: 1.3,
  });
}
finish();
