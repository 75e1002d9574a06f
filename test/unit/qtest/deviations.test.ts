import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { CaseReplay, type RecordedCase } from '../../kit/qtest-replay.ts';
import { type RecordedSmmuCase, SmmuCaseReplay } from '../../kit/smmu-replay.ts';

// A case for each row of docs/deviations.md: cut out of the recordings of QEMU and made as small as it can be while the row
// alone tells the profiles apart (test/fixtures/g4/README.md). With profile=qemu everything is as recorded. With the default
// profile what differs is what the specification says; the literals below follow from the clause of the row.

interface Fixture {
  readonly row: string;
  readonly case: (RecordedCase | RecordedSmmuCase) & { readonly arch: 'vtd' | 'smmuv3' };
}

const FIXTURES = readFileSync('test/fixtures/g4/deviations.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Fixture);
const RAM = new GuestRam(0x40000000, 0x40000000);

/** Differences from the recording, without what was recorded. */
function differences(row: string, profile: 'spec' | 'qemu'): string[] {
  const { case: recorded } = FIXTURES.find((f) => f.row === row)!;
  const replay =
    recorded.arch === 'vtd'
      ? new CaseReplay(recorded as RecordedCase, profile)
      : new SmmuCaseReplay(recorded as RecordedSmmuCase, RAM, profile);
  replay.run();
  return replay.differences.map((text) =>
    text.replace(/^case \d+ (?:step \d+ )?/, '').replace(/, recorded .*$/, ''),
  );
}

/** Row, what happens in its case, and what tsvmm says to it. Records of VT-d, words of SMMUv3 events. */
const ROWS: readonly (readonly [string, string, readonly string[]])[] = [
  // 06h, of the first page: Legacy Mode Address Translation.
  [
    'vtd-silent-denial',
    'a read of two pages, the first one write-only and cached by a write, the second beyond 39 bits',
    [
      'read 0x7ffffffff8 of 0x10: FRCD high: 0xc000000600000010',
      'read 0x7ffffffff8 of 0x10: FRCD low: 0x7ffffff000',
    ],
  ],
  // 07h: an error reading a second-stage entry.
  [
    'vtd-table-pointer',
    'SSPTPTR 3FFFFFF000h is no memory',
    ['write 0x172328b668 of 0x10: FRCD high: 0x8000000700000010'],
  ],
  // 05h: the bit is ignored, and the next table denies the write.
  [
    'vtd-reserved-paging-bits',
    'bit 62 of an entry that points to an empty table',
    ['write 0x86b9b5d8 of 0x13: FRCD high: 0x8000000500000013'],
  ],
  // 0Bh is qualified.
  [
    'vtd-fpd-context-reserved',
    'a context entry with FPD = 1 and bit 88 set',
    ['write 0x6f183564a0 of 0x10: FSTS: 0x0', 'write 0x6f183564a0 of 0x10: FRCD.F: false'],
  ],
  // 5000000000000002h.
  ['vtd-context-domain', 'CCMD with CIRG = 2 is done with CAIG = 2', ['register 0x28: 5764607523034234882']],
  // 04h.
  [
    'vtd-pass-through-width',
    'a passed-through read of an address with bits 63:48',
    ['read 0x57ac0292a5e78fd0 of 0x10: FSTS: 0x2', 'read 0x57ac0292a5e78fd0 of 0x10: FRCD.F: true'],
  ],
  // IQEI 5: the head stays.
  ['vtd-queue-width', 'a 128-bit descriptor in scalable mode', ['register 0x80: 0']],
  // the queue starts again and stops at once: IQE.
  [
    'vtd-queue-error-cleared',
    'IQE that was cleared with a 128-bit queue in scalable mode',
    ['write 0x7ffffffffee8 of 0x10: FSTS: 0x12'],
  ],
  // 3Ah.
  [
    'vtd-scalable-codes',
    'a root entry with bit 5 set',
    ['write 0x22daeea0e1d8 of 0x10: FRCD high: 0x8000003a00000010'],
  ],
  // served: accessed bits are set.
  [
    'vtd-root-halves',
    'bit 1 of the upper half of a root entry, and a requester of the lower one',
    [
      'read 0x960a78 of 0x10: FSTS: 0x0',
      'read 0x960a78 of 0x10: FECTL: 0x80000000',
      'read 0x960a78 of 0x10: FRCD.F: false',
      'table 0x204000: 0x20e027',
      'table 0x20e000: 0x20f027',
      'table 0x20f020: 0x210027',
    ],
  ],
  // 43h.
  [
    'vtd-context-fields',
    'RID_PASID 7Fh without ECAP.RPS',
    ['read 0x800000000c80 of 0x10: FRCD high: 0xc000004300000010'],
  ],
  // 5Ah.
  [
    'vtd-scalable-reserved',
    'a PASID-table entry with bit 375 set',
    [
      'write 0x842fbb68 of 0x13: FSTS: 0x2',
      'write 0x842fbb68 of 0x13: FRCD.F: true',
      'write 0x842fbb68 of 0x13: segments: []',
    ],
  ],
  // 5Bh is qualified.
  [
    'vtd-fpd-pasid-entry',
    'an entry with FPD = 1 whose type is not offered',
    ['write 0x648e1b6ee8 of 0xf0: FSTS: 0x0', 'write 0x648e1b6ee8 of 0xf0: FRCD.F: false'],
  ],
  // 7Ah before 85h.
  [
    'vtd-second-stage-order',
    'a leaf that is not aligned to its 2 MiB and does not permit the write',
    ['write 0xfffffffc2e60 of 0x10: FRCD high: 0x8000007a00000010'],
  ],
  // F_PERMISSION.
  [
    'smmu-unprivileged',
    'a write to a page of EL1 alone, AP 00',
    ['write 0x8638c3f570 of 0x10: []', 'write 0x8638c3f570 of 0x10: [13 10 0 200 38c3f570 86 0 0]'],
  ],
  // 2^4 STEs: C_BAD_STREAMID.
  [
    'smmu-span',
    'StreamID 10h below a descriptor with Span 5',
    ['write 0x7ffffffff9f8 of 0x10: [2 10 0 0 0 0 0 0]'],
  ],
  // no event.
  ['smmu-invalid-streams', 'a StreamID beyond the table, RECINVSID 0', ['write 0x780d9040 of 0x10: []']],
  // ignored: the walk fails silently.
  ['smmu-stall-disable', 'S1STALLD in an STE of stage 2 only, S2R 0', ['read 0x2b9c998 of 0x10: []']],
  // translated, to where nothing is.
  ['smmu-stage2-range', '41 bits of input, S2PS of 36 bits', ['write 0x7bf2a070 of 0x10: []']],
  // found there: the page is read-only.
  [
    'smmu-concatenated-tables',
    'a stage 1 table that the second of concatenated tables maps',
    ['write 0x1e82358 of 0x10: [13 10 0 200 1e82358 0 0 0]'],
  ],
  // F_ADDR_SIZE.
  ['smmu-input-size', 'a bypassed stream, 2^44', ['read 0x100000000000 of 0x10: [11 10 0 208 0 1000 0 0]']],
  // ignored: translated.
  ['smmu-tbi1', 'top byte A5h with TBI1 = 1 and TBI0 = 0', ['read 0xa5fffffffe609000 of 0x10: []']],
  // only the first one counts: F_TRANSLATION of stage 1.
  [
    'smmu-table-pointers',
    'TTB0 is mapped by stage 2, TTB1 is not',
    ['read 0x3fffffffa50 of 0x10: [10 10 0 208 fffffa50 3ff 0 0]'],
  ],
  // F_ADDR_SIZE.
  [
    'smmu-table-size',
    'a table descriptor beyond IPS',
    ['read 0x17b30438 of 0x10: [11 10 0 208 17b30438 0 0 0]'],
  ],
  // S2 = 1, CLASS TT, the IPA of the descriptor.
  [
    'smmu-table-fault',
    'a stage 1 table that stage 2 does not map',
    ['write 0x626da6f30 of 0x100: [10 100 0 180 26da6f30 6 1000 50]'],
  ],
  // IPA has bits 55:12.
  [
    'smmu-event-address',
    'F_ADDR_SIZE of stage 2',
    ['read 0x1147e0 of 0x10: [11 10 0 288 1147e0 0 114000 0]'],
  ],
  // F_PERMISSION of stage 2.
  [
    'smmu-silent-denial',
    'a write-only page, cached by a write, is read',
    ['read 0x1d7da25fa8 of 0x10: [13 10 0 288 7da25fa8 1d 7da25000 1d]'],
  ],
  // F_WALK_EABT.
  ['smmu-flash', 'a table at address 0', ['read 0xffffff8000000000 of 0x10: [b 10 0 108 0 ffffff80 ff8 0]']],
  // CERROR_ILL: it is not consumed.
  ['smmu-command-reserved', 'TLBI_NH_VA with TG, and no NUM, SCALE or TTL', ['0x9c: 0x1000003']],
];

test.each(ROWS)('%s: %s', (row, _what, expected) => {
  expect([differences(row, 'qemu'), differences(row, 'spec')]).toEqual([[], expected]);
});

/** Rows that no recording meets, or none that could be made small, and where they are tested. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'vtd-canonical-width': 'vtd/profile-qemu.test.ts',
  'vtd-dirty-once': 'vtd/profile-qemu.test.ts',
  'vtd-pasid-entry-order': 'vtd/profile-qemu.test.ts',
  'vtd-iotlb-by-requester': 'vtd/profile-qemu.test.ts',
  'vtd-no-paging-cache': 'vtd/profile-qemu.test.ts',
  'vtd-cached-faults': 'vtd/profile-qemu.test.ts',
  'vtd-no-pasid-cache': 'vtd/profile-qemu.test.ts',
  'vtd-misaligned-invalidation': 'vtd/profile-qemu.test.ts',
  'vtd-interrupt-index': 'vtd/profile-qemu.test.ts',
  'vtd-pasid-width': 'vtd/profile-qemu.test.ts',
  'vtd-snoop-bit': 'vtd/profile-qemu.test.ts',
  'vtd-device-tlb-absent': 'vtd/device-tlbs.test.ts',
  'smmu-faults-not-cached': 'smmuv3/profile-qemu.test.ts',
  'smmu-substreams-absent': 'smmuv3/profile-qemu.test.ts',
  'smmu-atc-absent': 'smmuv3/profile-qemu.test.ts',
  'smmu-event-queue-full': 'smmuv3/event-queue.test.ts',
};

test('every row of docs/deviations.md is tested here or elsewhere', () => {
  const page = readFileSync('docs/deviations.md', 'utf8');
  const rows = [...page.matchAll(/^\| ((?:vtd|smmu)-[a-z0-9-]+) \|/gm)].map((match) => match[1]!);

  expect(rows.toSorted()).toEqual([...ROWS.map(([row]) => row), ...Object.keys(ELSEWHERE)].toSorted());
  for (const file of Object.values(ELSEWHERE))
    expect(readFileSync(`test/unit/${file}`, 'utf8')).toMatch(/profile: 'qemu'|'qemu'/);
});
