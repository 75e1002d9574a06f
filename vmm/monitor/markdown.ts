/** docs/monitor.md from the command table. */

import type { MonitorCommand } from './command.ts';
import { EVENTS } from './events.ts';
import { COMMANDS } from './table.ts';
import { helpRows } from './text.ts';
import { type Members, typeText } from './types.ts';

export function monitorMarkdown(): string {
  return `${[
    '# The monitor',
    '',
    '<!-- Generated from vmm/monitor by `npm run gen`. Do not edit. -->',
    '',
    'The same commands for people (`--monitor`) and for programs (`--qmp`, QEMU Machine Protocol). `docs/guide/monitor.md` is the introduction.',
    '',
    '## For people',
    '',
    'One line, one command. `--json` anywhere in a line prints the result as QMP has it. Numbers are decimal or hex.',
    '',
    ...table(
      ['line', 'does'],
      helpRows().map(([usage, doc]) => [`\`${plain(usage)}\``, doc]),
    ),
    '',
    '## For programs',
    '',
    "A connection begins with the server's greeting and the client's `qmp_capabilities`. Every command has one answer, in order, with its `id` if it has one. What is no command is answered with an error too; the stream goes on behind its last bracket, at the next line, or at a byte 0xFF. A message has at most 16 MiB.",
    '',
    "Events carry the machine's virtual time, counted from 2024-01-01T00:00:00Z: those of two equal runs are equal. `query-qmp-schema` and `tsvmm schema monitor` describe all of it to programs. Commands of tsvmm's own begin with `x-tsvmm-`.",
    '',
    ...COMMANDS.flatMap(commandPart),
    '## Events',
    '',
    ...Object.entries(EVENTS).flatMap(([name, { doc, data }]) => [
      `### ${name}`,
      '',
      `${doc}.`,
      '',
      ...memberRows('member', data),
    ]),
  ]
    .join('\n')
    .trimEnd()}\n`;
}

function commandPart({ name, summary, details, args, result, text }: MonitorCommand): string[] {
  const forPeople =
    text === undefined ? [] : [`In the text monitor: \`${`${text.name} ${text.usage}`.trim()}\`.`, ''];
  const returned = typeText(result);
  return [
    `### ${name}`,
    '',
    `${summary}.${details === undefined ? '' : ` ${details}`}`,
    '',
    ...forPeople,
    ...memberRows('argument', args),
    ...(returned === '{}' ? [] : [`Returns \`${returned}\`.`, '']),
  ];
}

function memberRows(head: string, members: Members): string[] {
  const rows = Object.entries(members).map(([name, { type, doc, optional }]) => [
    `\`${name}\``,
    `\`${plain(typeText(type))}\``,
    `${doc}${optional ? ' (optional)' : ''}`,
  ]);
  return rows.length === 0 ? [] : [...table([head, 'type', 'meaning'], rows), ''];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)];
}

/** A bar ends a cell, even in code. */
function plain(text: string): string {
  return text.replaceAll('|', '\\|');
}
