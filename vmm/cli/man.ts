/** The manual page, tsvmm(1), as roff from the command table. */

import { environmentRows, operandRows, optionRows, type Row, sentence, usageLine } from './help.ts';
import { COMMANDS, EXIT_DOCS } from './table.ts';

export function manPage(version: string): string {
  return `${[
    `.TH TSVMM 1 "" "tsvmm ${version}" "User Commands"`,
    '.SH NAME',
    'tsvmm \\- a small virtual machine monitor with an IOMMU that explains every fault',
    '.SH SYNOPSIS',
    ...COMMANDS.flatMap((c) => ['.br', `.B ${quoted(usageLine(c))}`]),
    '.SH COMMANDS',
    ...COMMANDS.flatMap((command) => [
      `.SS tsvmm ${quoted(command.name)}`,
      quoted(sentence(command.summary)),
      ...(command.details ?? []).flatMap((paragraph) => ['.PP', quoted(paragraph)]),
      ...operandRows(command).flatMap(tagged),
      ...optionRows(command).flatMap(tagged),
      ...(command.examples === undefined
        ? []
        : ['.PP', 'Examples:', '.nf', ...command.examples.map((e) => `    ${quoted(e)}`), '.fi']),
    ]),
    '.SH EXIT STATUS',
    ...EXIT_DOCS.flatMap(([code, doc]) => tagged([String(code), sentence(doc)])),
    '.SH ENVIRONMENT',
    ...environmentRows().flatMap(tagged),
  ].join('\n')}\n`;
}

function tagged([term, doc]: Row): string[] {
  return ['.TP', `.B ${quoted(term)}`, quoted(doc)];
}

/** groff: Special Characters - a backslash and a leading dot or quote would be read as markup. */
function quoted(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');
}
