import { describe, expect, test } from 'vitest';
import { SMMU_DEFAULTS } from '../../viommu/smmuv3/config.ts';
import { smmuFeatures } from '../../viommu/smmuv3/features.ts';
import { EVENT_KINDS, eventCodeText } from '../../viommu/spec/smmuv3/faults.ts';
import { type RanC, runC } from '../kit/run-c.ts';

const GUESTS = ['smmu-events', 'smmu-errors'] as const;

const runs = new Map<string, Promise<RanC>>();

function ran(name: string): Promise<RanC> {
  const run =
    runs.get(name) ??
    runC(`test/guests/${name}.c`, {
      config: { machine: 'virt' },
      viommu: { svm: true },
      devices: [['svm-engine']],
    });
  runs.set(name, run);
  return run;
}

/** What test points are about: their names start with it. */
function covered(points: readonly string[], pattern: RegExp): string[] {
  const found = points.map((point) => pattern.exec(point)?.[1]).filter((code) => code !== undefined);
  return [...new Set(found)].sort();
}

describe.each(GUESTS)('%s.c', (name) => {
  test('passes every point', async () => {
    const { failed, end, points, report } = await ran(name);

    expect({ failed, end, report }).toEqual({
      failed: [],
      end: { kind: 'exit', status: 0 },
      report: undefined,
    });
    expect(points.length).toBeGreaterThan(40);
  });
});

test('every event the feature page has is asserted by a guest with its record', async () => {
  const { points } = await ran('smmu-events');
  const recorded = smmuFeatures(SMMU_DEFAULTS)
    .filter(({ feature, advertised }) => feature.startsWith('event ') && advertised === 'yes')
    .map(({ feature }) => feature.split(' ')[1]);

  expect(covered(points, /^ok \d+ - ([0-9A-F]{2}h) /)).toEqual(recorded.sort());
  expect(EVENT_KINDS.map(({ code }) => eventCodeText(code))).toEqual(expect.arrayContaining(recorded));
});

test('every error of the command queue, and every global error there can be, is asserted by a guest', async () => {
  const { points } = await ran('smmu-errors');

  expect(covered(points, /^ok \d+ - CERROR (\d) /)).toEqual(['1', '2', '3']);
  // Bit 0 is what the CERROR points show; 8 to 10 need what the unit does not have.
  expect(covered(points, /^ok \d+ - GERROR (\d) /)).toEqual(['2', '3', '4', '5', '6', '7']);
});

test('each event is explained, with what was read on the way and who wrote it', async () => {
  const { faults } = await ran('smmu-events');
  const unread = faults.filter(({ steps }) => steps.length === 0).map(({ code }) => code);
  const last = faults.filter(({ code }) => code === '12h').map(({ steps }) => steps.at(-1));

  expect(faults.length).toBeGreaterThan(50);
  // With SMMUEN = 0 nothing is read.
  expect([...new Set(unread)].sort()).toEqual(['05h', '07h']);
  expect(last[0]).toMatchObject({
    what: 'stage 1 level 3',
    source: 'memory',
    fields: expect.stringContaining('AF=0'),
    lastWriter: expect.stringMatching(/^test_stage1 \(\S*smmu-events\.c:\d+\) < main/),
  });
});
