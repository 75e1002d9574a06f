/** docs/cli.md from the command table. */

import { environmentRows, operandRows, optionRows, type Row, sentence, usageLine } from './help.ts';
import { COMMANDS, EXIT_DOCS } from './table.ts';

export function cliMarkdown(): string {
  return `${[
    '# The command line',
    '',
    '<!-- Generated from vmm/cli/table.ts by `npm run gen`. Do not edit. -->',
    '',
    'The console of the guest goes to stdout and everything that tsvmm itself says goes to stderr. With `--json`, stdout has exactly one JSON object and the console is a part of it. Progress is shown only where stderr is a terminal. Errors are one line: `tsvmm: OBJECT: why; how to mend`.',
    '',
    'Values of the kind `KIND,key=val,key=val` follow QEMU: `on` and `off`, sizes such as `64M`, hex such as `0x1f`; a key alone means `on`, and a doubled comma stands for a comma in a value.',
    '',
    ...table(
      ['command', 'does'],
      COMMANDS.map((c) => [`[\`tsvmm ${c.name}\`](#tsvmm-${c.name.replaceAll(' ', '-')})`, c.summary]),
    ),
    '',
    ...COMMANDS.flatMap((command) => [
      `## tsvmm ${command.name}`,
      '',
      sentence(command.summary),
      '',
      '```',
      usageLine(command),
      '```',
      '',
      ...(command.details ?? []).flatMap((paragraph) => [plain(paragraph), '']),
      ...rows('operand', operandRows(command)),
      ...rows('option', optionRows(command)),
      ...(command.json === undefined
        ? []
        : [
            `The \`--json\` output follows \`tsvmm schema ${command.json}\`; what is refused, \`tsvmm schema error\`.`,
            '',
          ]),
      ...(command.examples === undefined ? [] : ['```sh', ...command.examples, '```', '']),
    ]),
    '## Exit codes',
    '',
    ...table(
      ['code', 'meaning'],
      EXIT_DOCS.map(([code, doc]) => [String(code), doc]),
    ),
    '',
    '## Environment',
    '',
    ...table(
      ['variable', 'meaning'],
      environmentRows().map(([name, doc]) => [`\`${name}\``, plain(doc)]),
    ),
  ].join('\n')}\n`;
}

function rows(head: string, list: readonly Row[]): string[] {
  if (list.length === 0) return [];
  return [
    ...table(
      [head, 'meaning'],
      list.map(([term, doc]) => [`\`${term}\``, plain(doc)]),
    ),
    '',
  ];
}

function table(head: readonly [string, string], body: readonly (readonly string[])[]): string[] {
  return [`| ${head.join(' | ')} |`, '|---|---|', ...body.map((row) => `| ${row.join(' | ')} |`)];
}

function plain(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('_', '\\_');
}
