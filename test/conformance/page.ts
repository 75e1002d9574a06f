import { CASES } from './cases/index.ts';
import { MODES } from './modes.ts';
import { skipReason } from './skips.ts';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** docs/conformance.md: the table, with a letter for every reason. */
export function conformancePage(): string {
  const reasons: string[] = [];
  const letterOf = (why: string) => {
    if (!reasons.includes(why)) reasons.push(why);
    return LETTERS[reasons.indexOf(why)]!;
  };
  const rows = CASES.map((c) => {
    const cells = MODES.map((mode) => {
      const why = skipReason(c, mode);
      return why === undefined ? '●' : letterOf(why);
    });
    return `| ${c.name} | ${cells.join(' | ')} |`;
  });
  const runs = CASES.flatMap((c) => MODES.filter((mode) => skipReason(c, mode) === undefined)).length;
  const numbers = MODES.map((_, i) => i + 1);
  return [
    '# Conformance: cases and modes',
    '',
    'Written by `test/unit/conformance/table.test.ts` (`npx vitest run --project unit test/unit/conformance/table.test.ts --update`).',
    '[The guide](guide/conformance.md) says how to read and extend it.',
    '',
    `${CASES.length} cases in ${MODES.length} modes: ${runs} of ${CASES.length * MODES.length} cells are run (●); the others have a letter,`,
    'which stands for the reason below.',
    '',
    '| column | mode |',
    '|---|---|',
    ...MODES.map((mode, i) => `| ${i + 1} | ${mode.name} |`),
    '',
    `| case | ${numbers.join(' | ')} |`,
    `|---|${numbers.map(() => '---').join('|')}|`,
    ...rows,
    '',
    '## Why a cell is not run',
    '',
    ...reasons.map((why, i) => `- **${LETTERS[i]}**: ${why}`),
    '',
  ].join('\n');
}
