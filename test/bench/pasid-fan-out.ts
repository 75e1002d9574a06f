/** One page each of many PASIDs, one PASID after the other. */
import { fanOut } from './kit/fan-out.ts';
import { rounds } from './kit/rounds.ts';
import { compare, figure, finish } from './kit/row.ts';

const times = await rounds([fanOut(1), fanOut(1000), fanOut(100_000)]);
figure('1 PASID, 1,000 pages', 'ns', times['1']!);
compare(
  '1,000 PASIDs, a page each',
  'ns',
  times['1000']!,
  { name: '1 PASID', values: times['1']! },
  {
    text: '<= 1.8x',
    ratio: 1.8,
  },
);
const thousand = { name: '1,000 PASIDs', values: times['1000']! };
compare('100,000 sparse PASIDs, a page each', 'ns', times['100000']!, thousand, { text: '<= 3x', ratio: 3 });
finish();
