import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Cell, compare, firstLine, gridOf, gridText } from '../../../vmm/cli/matrix-grid.ts';
import { matrixSchema } from '../../../vmm/cli/schemas.ts';
import { tsvmm } from './fake-backend.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const PASSED = { verdict: 'passed', exitStatus: 0, reason: null } as const;
const FAILED = { verdict: 'failed', exitStatus: 1, reason: 'exit status 1' } as const;

describe('the first line that differs', () => {
  test.each([
    ['nothing differs', 'a\nb\n', 'a\nb\n', null],
    ['nobody prints', '', '', null],
    ['a line in the middle', 'a\nb\nc\n', 'a\nx\nc\n', { number: 2, emulated: 'b', assigned: 'x' }],
    ['the end of a line', 'a\nb', 'a\nbc', { number: 2, emulated: 'b', assigned: 'bc' }],
    ['the last newline', 'a\n', 'a', { number: 1, emulated: 'a', assigned: 'a' }],
    ['the assigned run stops early', 'a\nb\n', 'a\n', { number: 2, emulated: 'b', assigned: null }],
    ['the assigned run goes on', 'a\n', 'a\nb\n', { number: 2, emulated: null, assigned: 'b' }],
    ['an empty line', 'a\n\nb', 'a\nb', { number: 2, emulated: '', assigned: 'b' }],
  ])('%s', (_, emulated, assigned, expected) => {
    expect(firstLine(bytes(emulated), bytes(assigned))).toEqual(expected);
  });

  test('is found in bytes that are no text', () => {
    expect(firstLine(Uint8Array.of(0xff, 0x0a), Uint8Array.of(0xfe, 0x0a))?.number).toBe(1);
  });
});

describe('two runs', () => {
  test('that print and end alike are the same, whatever is said about how', () => {
    const assigned = { end: { ...FAILED, reason: 'in other words' }, console: bytes('a\n') };

    expect(compare({ end: FAILED, console: bytes('a\n') }, assigned).state).toBe('same');
  });

  test('that print alike and end otherwise differ', () => {
    const found = compare({ end: PASSED, console: bytes('a\n') }, { end: FAILED, console: bytes('a\n') });

    expect(found).toEqual({ state: 'differs', end: FAILED, line: null });
  });
});

const cell = (parts: Partial<Cell>): Cell => ({
  mode: 'nested',
  state: 'same',
  why: null,
  moved: false,
  end: PASSED,
  line: null,
  event: null,
  ...parts,
});
const row = (host: string, ...cells: Cell[]) => ({
  host,
  address: '0000:01:00.0',
  device: 'edu0',
  unlike: [],
  cells,
});

test('the grid has a row for each host, reasons once, and what differs below', () => {
  const why = 'ECAP.NEST (bit 26) is 0';
  const none = cell({ state: 'cannot', why, end: null });
  const wrong = cell({
    mode: 'software',
    state: 'differs',
    end: FAILED,
    line: { number: 3, emulated: 'ok 2', assigned: 'not ok 2' },
    event: { number: 7, emulated: 'edu_irq', assigned: null },
  });
  const grid = gridOf('g.c', [
    {
      machine: 'q35',
      viommu: 'intel',
      emulated: PASSED,
      rows: [
        row('a', none, cell({ mode: 'shadow' }), cell({ mode: 'software' })),
        row('long', none, cell({ mode: 'shadow' }), wrong),
        {
          ...row('c', cell({ moved: true, why: 'no second stages' }), cell({}), cell({})),
          unlike: ['vfs is 2'],
        },
      ],
    },
  ]);

  expect(matrixSchema(z).parse(grid)).toEqual(grid);
  expect([grid.agree, grid.compared]).toEqual([false, 7]);
  expect(gridText(grid)).toBe(
    [
      'g.c on q35 with intel; on emulated devices: passed',
      '  host  device            nested                       shadow  software',
      '  a     0000:01:00.0      - (1)                        same    same',
      '  long  0000:01:00.0      - (1)                        same    differs',
      '  c     0000:01:00.0 (2)  same, moved to software (3)  same    same',
      '  (1)  ECAP.NEST (bit 26) is 0',
      '  (2)  vfs is 2',
      '  (3)  no second stages',
      'long 0000:01:00.0, software: failed (exit status 1)',
      '    line 3, emulated: ok 2',
      '    line 3, assigned: not ok 2',
      '    event 7, emulated: edu_irq',
      '    event 7, assigned: (no more)',
      '',
      '7 runs on assigned devices, 1 of them not as on emulated ones',
      '',
    ].join('\n'),
  );
});

describe('what cannot be compared is refused in one line', () => {
  test.each([
    [['matrix'], 'needs a guest'],
    [['matrix', '--example', 'pasid', '--host', 'xeon-mixd'], 'no host of this name comes with tsvmm'],
    [['matrix', '--example', 'pasid', '--fuel', 'much'], '--fuel'],
    [['matrix', 'a.c', '--example', 'pasid'], "'a.c' is a guest too"],
    [['matrix', '--example', 'svm', '--host', 'xeon-westmere'], 'none of the hosts has such a device'],
  ])('%j', async (argv, why) => {
    const { code, stdout, stderr } = await tsvmm(argv);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(why);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
