import { describe, expect, test } from 'vitest';
import { RegisterLog } from '../../kit/register-log.ts';

const STRICT = ['g1a-legacy-strict', 'intel-iommu,device-iotlb=on,intremap=on'] as const;
const PASS_THROUGH = ['g1c-legacy-pt', 'intel-iommu,intremap=off'] as const;

function replayed([run, iommu]: readonly [string, string], profile: 'spec' | 'qemu'): RegisterLog {
  const log = new RegisterLog(`test/fixtures/linux/${run}`, iommu, profile);
  log.run();
  return log;
}

describe('all that Linux did to the registers, done again', () => {
  test.each([
    [STRICT, { reads: 203, dmas: 288, statuses: 631 }],
    [PASS_THROUGH, { reads: 195, dmas: 288, statuses: 26 }],
  ])('%j, profile qemu: every read gives what Linux got', (run, counts) => {
    const log = replayed(run, 'qemu');

    expect(log.differences).toEqual([]);
    expect(log).toMatchObject(counts);
  });

  test('profile spec: where QEMU refused without a record (vtd-silent-denial), its next record is another one', () => {
    const { differences, reads } = replayed(PASS_THROUGH, 'spec');

    expect(reads).toBe(195);
    expect(differences).toEqual([
      'line 360: register 0x22c: 0x80000005, recorded 0xc0000006',
      'line 362: register 0x220: 0x50001000, recorded 0x50011000',
      'line 364: register 0x22c: 0x5, recorded 0x40000006',
      'line 734: register 0x22c: 0x80000005, recorded 0xc0000006',
      'line 736: register 0x220: 0x1234e8000, recorded 0x432de4e000',
      'line 738: register 0x22c: 0x5, recorded 0x40000006',
      'line 960: register 0x22c: 0x80000005, recorded 0xc0000006',
      'line 962: register 0x22c: 0x5, recorded 0x40000006',
    ]);
  });

  test('a unit with other capabilities is told apart by the first read of them', () => {
    const log = replayed([PASS_THROUGH[0], 'intel-iommu,intremap=off,caching-mode=on'], 'qemu');

    expect(log.differences[0]).toBe('line 1: register 0x8: 0x80d2008c222f0686, recorded 0x80d2008c222f0606');
  });
});
