import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judge, TapParser, type TapResult } from '../../../vmm/machine/tap.ts';

function parse(...pieces: string[]): TapResult | undefined {
  const parser = new TapParser();
  for (const piece of pieces) parser.write(new TextEncoder().encode(piece));
  return parser.end();
}

describe('what is TAP', () => {
  test('plan, points, skip and todo are counted', () => {
    const tap = parse(
      'TAP version 14\n1..5\nok 1 - a\nok 2 - b # SKIP no msi\nnot ok 3 - c # TODO later\nok 4\nnot ok 5 - e\n',
    );

    expect(tap).toEqual({
      planned: 5,
      passed: 2,
      failed: 1,
      skipped: 1,
      todo: 1,
      failures: [{ number: 5, description: 'e' }],
      bailOut: undefined,
      problems: [],
    });
  });

  test('a plan at the end, other text between, carriage returns and no last newline', () => {
    expect(parse('boot\r\nok 1\r\nDMA ok\r\nok 2\r\n1..2')).toMatchObject({
      passed: 2,
      planned: 2,
      problems: [],
    });
  });

  test('indented subtests and YAML blocks belong to their test point', () => {
    expect(parse('1..1\n    1..2\n    not ok 1\n    ok 2\nok 1\n  ---\n  not ok: 3\n  ...\n')).toMatchObject({
      passed: 1,
      failed: 0,
      problems: [],
    });
  });

  test('an escaped hash is no directive', () => {
    expect(parse('1..1\nnot ok 1 - issue \\# skip\n')).toMatchObject({ failed: 1, skipped: 0 });
  });

  test('1..0 with a reason skips everything', () => {
    expect(parse('1..0 # SKIP no device\n')).toMatchObject({ planned: 0, problems: [] });
  });

  test('text without any TAP is none, nor is a bare ok', () => {
    expect(parse('hello\nok\nokay 1\n')).toBe(undefined);
  });

  test('bytes may be cut anywhere', () => {
    const bytes = new TextEncoder().encode('TAP version 13\nok 1 - ünïcode\nnot ok 2 - 写\n1..2\n');
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length })), (cuts) => {
        const parser = new TapParser();
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        for (let i = 1; i < at.length; i++) parser.write(bytes.subarray(at[i - 1], at[i]));
        expect(parser.end()).toMatchObject({
          passed: 1,
          failed: 1,
          planned: 2,
          failures: [{ number: 2, description: '写' }],
        });
      }),
    );
  });

  test('a line without end is passed over and does not grow', () => {
    const parser = new TapParser();
    const piece = new TextEncoder().encode('x'.repeat(50_000));
    for (let i = 0; i < 20; i++) parser.write(piece);
    parser.write(new TextEncoder().encode('\n1..1\nok 1\n'));

    expect(parser.end()).toMatchObject({ passed: 1, problems: [] });
  });
});

describe('streams that are wrong', () => {
  test.each([
    ['too few', '1..3\nok 1\nok 2\n', '3 tests planned, 2 run'],
    ['too many', '1..1\nok 1\nok 2\n', '1 tests planned, 2 run'],
    ['no plan', 'ok 1\nok 2\n', 'no plan'],
    ['nothing after the version', 'TAP version 14\n', 'no plan'],
    ['two plans', '1..1\n1..1\nok 1\n', 'two plans'],
    ['a number twice', '1..2\nok 1\nok 1\n', 'test 1 twice'],
    ['a number outside of the plan', '1..2\nok 1\nok 7\n', 'test 7 is outside of the plan'],
  ])('%s', (_, text, problem) => {
    expect(parse(text)?.problems).toContain(problem);
  });
});

describe('exit status and TAP decide together', () => {
  test.each([
    [0, '', 'passed'],
    [1, '', 'failed'],
    [0, '1..1\nok 1\n', 'passed'],
    [1, '1..1\nok 1\n', 'failed'],
    [0, '1..1\nnot ok 1\n', 'failed'],
    [0, 'not ok\n', 'failed'],
    [0, '1..1\nnot ok 1 # TODO\n', 'passed'],
    [0, '1..2\nok 1\n', 'failed'],
    [0, '1..2\nok 1\nBail out! no iommu\n', 'failed'],
  ] as const)('%d and %j: %s', (status, text, verdict) => {
    expect(judge(status, parse(text))).toBe(verdict);
  });
});
