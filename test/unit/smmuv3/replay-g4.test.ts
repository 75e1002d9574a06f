import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { type RecordedSmmuCase, SmmuCaseReplay } from '../../kit/smmu-replay.ts';

const CASES = gunzipSync(readFileSync('test/fixtures/g4/smmuv3.jsonl.gz'))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as RecordedSmmuCase);
const RAM = new GuestRam(0x40000000, 0x40000000);

test.each(CASES.map((c) => [c.id, c.category.join(' '), c] as const))(
  'case %i (%s) with profile=qemu: data, events, registers and tables are the recorded ones',
  (_, __, recorded) => {
    const replay = new SmmuCaseReplay(recorded, RAM, 'qemu');

    replay.run();

    expect(replay.requests).toBeGreaterThan(0);
    expect(replay.differences).toEqual([]);
  },
);

test('a damaged table entry is noticed', () => {
  const recorded = CASES[0]!;
  const damaged = {
    ...recorded,
    mem: recorded.mem.map(([at, value]) => [at, `0x${(BigInt(value) ^ 0x10000n).toString(16)}`] as const),
  };
  const replay = new SmmuCaseReplay(damaged, RAM, 'qemu');

  replay.run();

  expect(replay.differences.length).toBeGreaterThan(0);
});
