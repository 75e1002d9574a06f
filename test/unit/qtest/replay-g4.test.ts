import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { CaseReplay, type RecordedCase } from '../../kit/qtest-replay.ts';

const read = (name: string) =>
  gunzipSync(readFileSync(`test/fixtures/g4/${name}.jsonl.gz`))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedCase);
const CASES = read('vtd-legacy');

describe('recorded cases with profile=qemu', () => {
  test.each([...CASES, ...read('vtd-scalable')].map((c) => [c.id, c.category.join(' '), c] as const))(
    'case %i (%s): data, records, registers, status writes and table bits are the recorded ones',
    (_, __, recorded) => {
      const replay = new CaseReplay(recorded, 'qemu');

      replay.run();

      expect(replay.requests).toBeGreaterThan(0);
      expect(replay.differences).toEqual([]);
    },
  );
});

test('with the default profile a context entry with reserved bits and FPD is not recorded, as the specification says', () => {
  const recorded = CASES.find((c) => c.id === 112)!;
  const replay = new CaseReplay(recorded, 'spec');

  replay.run();

  expect(replay.differences[0]).toBe('case 112 step 14 write 0x6f183564a0 of 0x10: FSTS: 0x0, recorded 0x2');
});

test('a damaged table entry is noticed', () => {
  const recorded = CASES.find((c) => c.id === 112)!;
  const damaged = {
    ...recorded,
    mem: recorded.mem.map(([gpa, value]) => [gpa, `0x${(BigInt(value) ^ 0x1000n).toString(16)}`] as const),
  };
  const replay = new CaseReplay(damaged, 'qemu');

  replay.run();

  expect(replay.differences.length).toBeGreaterThan(0);
});
