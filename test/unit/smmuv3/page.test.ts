import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { identification, SMMU_DEFAULTS } from '../../../viommu/smmuv3/config.ts';
import { smmuFeatures } from '../../../viommu/smmuv3/features.ts';
import { SMMUV3 } from '../../../viommu/smmuv3/kind.ts';
import { smmuPage } from '../../../viommu/smmuv3/page.ts';
import * as commands from '../../../viommu/spec/smmuv3/commands.ts';
import { EVENT_KINDS } from '../../../viommu/spec/smmuv3/faults.ts';
import { LIMITS } from '../../../viommu/spec/smmuv3/limits.ts';
import { SMMU_REGISTERS } from '../../../viommu/spec/smmuv3/registers.ts';
import { CD, L1CD, L1STD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';

test('docs/smmuv3.md is what the tables of the model say (else: npm run gen)', () => {
  const page = readFileSync(new URL('../../../docs/smmuv3.md', import.meta.url), 'utf8');

  expect(page).toBe(smmuPage());
});

test.each([
  ['nested', [0xd44101b, 0x2730010, 0x1414, 0x74, 1]],
  ['1', [0xd44101a, 0x2730010, 0x1404, 0x74, 1]],
  ['2', [0xd441019, 0x2730010, 0x1414, 0x74, 1]],
] as const)(
  'with default options and stage=%s the identification registers are those of QEMU 11.1',
  (stage, expected) => {
    const id = identification({ ...SMMU_DEFAULTS, stage });

    expect([id.idr0[0], id.idr1[0], id.idr3[0], id.idr5[0], id.aidr[0]]).toEqual(expected);
  },
);

test.each([
  ['nested', 0],
  ['1', 1],
] as const)('svm=on goes with stage=%s; NS1ATS says whether ATS can be split', (stage, ns1ats) => {
  const id = identification(completeOptions(SMMUV3, { svm: true, stage }));

  expect((id.idr0[0]! >>> 11) & 1).toBe(ns1ats);
  expect((id.idr0[0]! >>> 10) & 1).toBe(1);
});

describe('the feature page', () => {
  const rows = smmuFeatures(SMMU_DEFAULTS);
  const features = rows.map(({ feature }) => feature);

  test('has every field of the identification registers', () => {
    const fields = SMMU_REGISTERS.filter((r) => /^(IDR\d|IIDR|AIDR)$/.test(r.name)).flatMap((r) =>
      Object.keys(r.fields).map((name) => `${r.name}.${name}`),
    );

    expect(fields).toHaveLength(73);
    expect(features.filter((f) => /^(IDR\d|IIDR|AIDR)\./.test(f))).toEqual(fields);
  });

  test('has every command, by opcode', () => {
    const opcodes = Object.entries(commands)
      .filter(([name]) => name.startsWith('CMD_'))
      .map(([, opcode]) => opcode as number);
    const listed = features.flatMap((f) => /^command ([0-9A-F]{2})h/.exec(f)?.[1] ?? []);

    expect(listed.map((code) => Number.parseInt(code, 16))).toEqual(expect.arrayContaining(opcodes));
    expect(listed).toEqual(
      (
        '01 02 03 04 05 06 07 10 11 12 13 18 1A 20 21 22 23 28 2A 30 40 41 44 45 46 ' +
        '50 51 52 53 58 5A 60 70 73'
      ).split(' '),
    );
  });

  test('has every event', () => {
    expect(features.filter((f) => f.startsWith('event '))).toHaveLength(EVENT_KINDS.length);
    expect(EVENT_KINDS).toHaveLength(19);
  });

  test('has every field of STEs, CDs and their level 1 descriptors', () => {
    const fields = [L1STD, STE, L1CD, CD].flatMap((layout) =>
      Object.keys(layout.fields).map((name) => `${layout.name}: ${name}`),
    );

    expect(features.filter((f) => fields.includes(f))).toEqual(fields);
    expect(fields.length).toBeGreaterThan(110);
  });

  test('says why of everything that is not there: an option, or a limit that exists', () => {
    const ids = LIMITS.map(({ id }) => id);
    const absent = rows.filter(({ advertised }) => advertised === 'no' || advertised === '0x0');
    const named = rows.flatMap(({ note }) => /limit (smmu-[\w-]+)/.exec(note)?.[1] ?? []);

    expect(
      absent.filter(({ note }) => !/limit smmu-|option|the same in every|does not look/.test(note)),
    ).toEqual([]);
    expect(named.filter((id) => !ids.includes(id))).toEqual([]);
  });
});
