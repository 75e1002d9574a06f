import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { commandHelp } from '../../../vmm/cli/help.ts';
import { wantsColor } from '../../../vmm/cli/host.ts';
import { cliMarkdown } from '../../../vmm/cli/markdown.ts';
import { publishedSchema } from '../../../vmm/cli/schema.ts';
import { COMMANDS, SCHEMA_NAMES, SHELLS } from '../../../vmm/cli/table.ts';
import { EXIT } from '../../../vmm/core/errors.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { tsvmm } from './fake-backend.ts';

const optionNames = COMMANDS.flatMap((c) => Object.keys(c.options));

test('docs/cli.md is what the command table says (npm run gen)', () => {
  expect(readFileSync('docs/cli.md', 'utf8')).toBe(cliMarkdown());
});

test.each(SCHEMA_NAMES)('schemas/%s.schema.json is what the code says (npm run gen)', (name) => {
  const published = JSON.parse(readFileSync(`schemas/${name}.schema.json`, 'utf8'));

  expect(published).toEqual(JSON.parse(JSON.stringify(publishedSchema(z, name, builtinRegistry()))));
});

test.each(COMMANDS.map((c) => [c.name, c] as const))(
  'help of %s names every option and operand',
  async (_, command) => {
    const text = commandHelp(command);

    for (const name of Object.keys(command.options)) expect(text).toContain(`--${name}`);
    for (const operand of command.operands) expect(text).toContain(operand.name);
    expect(
      Math.max(
        ...text
          .split('\n')
          .filter((l) => !l.startsWith('  tsvmm'))
          .map((l) => l.length),
      ),
    ).toBeLessThanOrEqual(100);
  },
);

test('the manual page names every command, option and exit code', async () => {
  const { stdout } = await tsvmm(['help', '--man']);

  expect(readFileSync('docs/tsvmm.1', 'utf8')).toBe(stdout);
  expect(stdout.startsWith('.TH TSVMM 1')).toBe(true);
  for (const command of COMMANDS)
    expect(stdout).toContain(`.SS tsvmm ${command.name.replaceAll('-', '\\-')}`);
  for (const name of optionNames) expect(stdout).toContain(`\\-\\-${name.replaceAll('-', '\\-')}`);
  for (const code of Object.values(EXIT)) expect(stdout).toContain(`.B ${code}\n`);
});

test.each(SHELLS)('the completion script of %s offers every command and option', async (shell) => {
  const { stdout } = await tsvmm(['completion', shell]);

  for (const command of COMMANDS) for (const word of command.name.split(' ')) expect(stdout).toContain(word);
  for (const name of optionNames) expect(stdout).toContain(shell === 'fish' ? `-l ${name}` : `--${name}`);
});

describe('help asked for in several ways', () => {
  test('tsvmm, tsvmm help and tsvmm --help are the same', async () => {
    const [a, b, c] = await Promise.all([tsvmm([]), tsvmm(['help']), tsvmm(['--help'])]);

    expect([b?.stdout, c?.stdout]).toEqual([a?.stdout, a?.stdout]);
    expect(a?.code).toBe(0);
  });

  test('help of a group is the help of all its commands', async () => {
    const { stdout } = await tsvmm(['help', 'snapshot']);

    expect(stdout).toContain('Usage: tsvmm snapshot save');
    expect(stdout).toContain('Usage: tsvmm snapshot diff');
  });

  test('--device help lists kinds, --device KIND,help its keys', async () => {
    expect((await tsvmm(['run', '--device', 'help'])).stdout).toContain('edu ');
    expect((await tsvmm(['run', '--device', 'edu,help'])).stdout).toContain('dma_mask=');
    expect((await tsvmm(['run', '--viommu', 'help'])).stdout).toContain('intel ');
    expect((await tsvmm(['run', '--viommu', 'intel,help'])).stdout).toContain('caching-mode=on|off');
  });
});

describe('colour', () => {
  test.each([
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false, true],
    [{ TERM: 'dumb' }, true, false],
  ])('%j on a terminal (%s): %s', (env, terminal, expected) => {
    expect(wantsColor(env, () => terminal)).toBe(expected);
  });
});
