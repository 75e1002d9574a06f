/** Help texts from the command table. */

import type { CommandDecl, OperandDecl, OptionDecl } from './command.ts';
import { COMMANDS, ENVIRONMENT_DOCS, EXIT_DOCS } from './table.ts';

const WIDTH = 88;

export function overview(): string {
  const width = Math.max(...COMMANDS.map((c) => c.name.length)) + 2;
  return [
    'tsvmm: a small virtual machine monitor with an IOMMU that explains every fault',
    '',
    'Usage: tsvmm COMMAND [OPTIONS]',
    '',
    'Commands:',
    ...COMMANDS.map((c) => `  ${c.name.padEnd(width)}${c.summary}`),
    '',
    'Exit codes:',
    ...EXIT_DOCS.map(([code, doc]) => `  ${String(code).padEnd(4)}${doc}`),
    '',
    "'tsvmm help COMMAND' explains a command, 'tsvmm help --man' prints the manual page.",
    '',
  ].join('\n');
}

export function commandHelp(command: CommandDecl): string {
  const lines = [`Usage: ${usageLine(command)}`, '', ...wrap(sentence(command.summary), 0)];
  for (const paragraph of command.details ?? []) lines.push('', ...wrap(paragraph, 0));
  const operands = operandRows(command);
  if (operands.length > 0) lines.push('', 'Operands:', ...definitions(operands));
  lines.push('', 'Options:', ...definitions(optionRows(command)));
  if (command.json !== undefined) {
    lines.push(
      '',
      `The --json output follows 'tsvmm schema ${command.json}'; what is refused, 'tsvmm schema error'.`,
    );
  }
  if (command.examples !== undefined) lines.push('', 'Examples:', ...command.examples.map((e) => `  ${e}`));
  lines.push('');
  return lines.join('\n');
}

export function usageLine(command: CommandDecl): string {
  const operands = command.operands.map((o) => {
    const name = o.repeatable ? `${o.name}...` : o.name;
    return o.optional ? `[${name}]` : name;
  });
  const rest = command.rest === undefined ? [] : [`[-- ${command.rest.name}]`];
  return ['tsvmm', command.name, '[OPTIONS]', ...operands, ...rest].join(' ');
}

export type Row = readonly [term: string, doc: string];

export function operandRows(command: CommandDecl): Row[] {
  const rows: Row[] = command.operands.map((o) => [o.name, operandDoc(o)]);
  if (command.rest !== undefined) rows.push([`-- ${command.rest.name}`, sentence(command.rest.doc)]);
  return rows;
}

function operandDoc(operand: OperandDecl): string {
  const choices = operand.choices === undefined ? '' : ` One of: ${operand.choices.join(', ')}.`;
  return sentence(operand.doc) + choices;
}

export function optionRows(command: CommandDecl): Row[] {
  const rows: Row[] = Object.entries(command.options).map(([name, o]) => [optionTerm(name, o), optionDoc(o)]);
  return [...rows, ['-h, --help', 'Show this help.']];
}

function optionTerm(name: string, option: OptionDecl): string {
  const short = option.short === undefined ? '' : `-${option.short}, `;
  return `${short}--${name}${option.value === undefined ? '' : ` ${option.value}`}`;
}

export function optionDoc(option: OptionDecl): string {
  return [
    sentence(option.doc),
    ...(option.choices === undefined ? [] : [`One of: ${option.choices.join(', ')}.`]),
    ...(option.repeatable ? ['Can be given several times.'] : []),
    ...(option.fallback === undefined ? [] : [`Default: ${option.fallback}.`]),
  ].join(' ');
}

export function environmentRows(): readonly Row[] {
  return ENVIRONMENT_DOCS.map(([name, doc]) => [name, sentence(doc)]);
}

function definitions(rows: readonly Row[]): string[] {
  const indent = 6;
  return rows.flatMap(([term, doc]) => [`  ${term}`, ...wrap(doc, indent)]);
}

/** First letter large, full stop at the end. */
export function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

function wrap(text: string, indent: number): string[] {
  const pad = ' '.repeat(indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(pad + line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(pad + line);
  return lines;
}
