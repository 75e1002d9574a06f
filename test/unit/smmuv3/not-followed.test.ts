import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { type RecordedSmmuCase, SmmuCaseReplay } from '../../kit/smmu-replay.ts';

// docs/deviations.md: What profile=qemu does not follow. Recorded cases in which QEMU departs from the architecture and tsvmm
// does not, with either profile. All other steps of the cases are as recorded; the literals follow from the clause.

const CASES = gunzipSync(readFileSync('test/fixtures/g4/smmuv3-not-followed.jsonl.gz'))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as RecordedSmmuCase);
const RAM = new GuestRam(0x40000000, 0x40000000);

test.each<[string, number, readonly string[]]>([
  // SMMUv3: Event priorities: F_ADDR_SIZE of a level comes before F_PERMISSION.
  [
    'an address that is too wide in a page that does not permit the access',
    110,
    [
      'step 35 write 0x6bb97408 of 0x13: [11 13 0 280 6bb97408 0 6bb97408 0]',
      'step 39 read 0x6bb97078 of 0x13: [11 13 0 288 6bb97078 0 6bb97078 0]',
      'step 43 read 0x6bb9fff0 of 0x13: [11 13 0 288 6bb9fff0 0 6bb9fff0 0, 10 13 0 288 6bba0000 0 6bba0000 0]',
    ],
  ],
  // Likewise: F_TRANSLATION of the last level comes before F_PERMISSION.
  [
    'a write through a table with APTable = 2 to a page that is not there',
    158,
    ['step 71 write 0x2dff9370 of 0xf0: [10 f0 0 200 2dff9370 0 0 0]'],
  ],
  // DDI 0487: Hierarchical control of data access permissions: they count for cached translations, too.
  [
    'a write after a read, through a table with APTable = 2',
    316,
    [
      'step 36 write 0x3ffff720 of 0xf0: []',
      'step 36 write 0x3ffff720 of 0xf0: [13 f0 0 200 3ffff720 0 0 0]',
    ],
  ],
  // DDI 0487: Stage 2 data access permissions. The IPA is left out as in smmu-silent-denial.
  [
    'a read after a write, of a page that stage 2 lets be written only',
    162,
    ['step 41 read 0x37e1428 of 0xf0: []', 'step 41 read 0x37e1428 of 0xf0: [13 f0 0 288 37e1428 0 0 0]'],
  ],
  // SMMUv3: Validity of STE: 34 bits of input are no more than one entry of level 1 of the 16 KiB granule.
  [
    'S2T0SZ = 30 and S2SL0 = 2 with S2TG = 2',
    64,
    [
      'step 35 write 0xcc01dee0',
      'step 36 write 0x1720424410',
      'step 37 read 0x3c00938',
      'step 38 read 0xcc00f160',
      'step 39 read 0x1720424698',
      'step 40 write 0x3c00500',
      'step 41 write 0xcdfffff8',
      'step 42 read 0xce000000',
      'step 43 write 0xffffff8000000000',
    ].map((step) => `${step} of 0xf0: [4 f0 0 0 0 0 0 0]`),
  ],
  // DDI 0487: Translation table descriptor formats: level 1 of the 16 KiB granule has no blocks.
  [
    'a block at level 1 of the 16 KiB granule',
    92,
    [
      'step 24 write 0x8991f678 of 0x10: [10 10 0 200 8991f678 0 0 0]',
      'step 26 read 0x971b3018 of 0x10: [10 10 0 208 971b3018 0 0 0]',
      'step 27 read 0x8991f0c8 of 0x10: [10 10 0 208 8991f0c8 0 0 0]',
      'step 29 read 0x971b3b20 of 0x10: [10 10 0 208 971b3b20 0 0 0]',
      'step 31 write 0x89920000 of 0x10: [10 10 0 200 89920000 0 0 0]',
    ],
  ],
  // DDI 0487: TLB maintenance instructions: what is cached of the page's descriptor, so all parts of it.
  [
    'a 64 KiB page in 4 KiB pieces of stage 2, and CMD_TLBI_NH_VAA of its first address',
    374,
    [
      'step 61 write 0x3fff7910 of 0x10: [10 10 0 200 3fff7910 0 0 0]',
      'step 62 read 0x3fff72d0 of 0x10: []',
      'step 62 read 0x3fff72d0 of 0x10: [10 10 0 208 3fff72d0 0 0 0]',
    ],
  ],
])('%s', (_, id, expected) => {
  const replay = new SmmuCaseReplay(CASES.find((c) => c.id === id)!, RAM, 'qemu');

  replay.run();

  expect(
    replay.differences.map((text) =>
      text.replace(/^case \d+ (step \d+ )/, '$1').replace(/, recorded .*$/, ''),
    ),
  ).toEqual(expected);
});
