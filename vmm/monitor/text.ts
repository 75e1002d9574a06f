/** The text monitor: a line in, text out; and what completes a line that is being typed. */

import { didYouMean } from '../core/suggest.ts';
import type { MonitorCommand, MonitorContext, TextForm, Values } from './command.ts';
import { perform } from './dispatch.ts';
import { MonitorError } from './error.ts';
import { COMMANDS } from './table.ts';
import type { Member, Type } from './types.ts';

export const PROMPT = '(tsvmm) ';

type TextCommand = MonitorCommand & { readonly text: TextForm };

const TEXT_COMMANDS: readonly TextCommand[] = COMMANDS.filter((c): c is TextCommand => c.text !== undefined);

/** Other words for a command. */
const ALIASES: Readonly<Record<string, string>> = { c: 'cont', s: 'stop', q: 'quit', '?': 'help', xp: 'x' };

/** Carries out one line. Always returns text: a refusal is one line that says why. No newline at the end. */
export function executeLine(context: MonitorContext, line: string): string {
  const { words, json } = withoutJson(line.trim());
  if (words === '') return '';
  try {
    return carryOut(context, words, json);
  } catch (error) {
    if (!(error instanceof MonitorError)) throw error;
    return json
      ? JSON.stringify({ error: { class: error.errorClass, desc: error.message } })
      : `Error: ${error.message}`;
  }
}

function carryOut(context: MonitorContext, line: string, json: boolean): string {
  const expanded = expand(line);
  if (firstWord(expanded) === 'help') {
    const rows = helpOn(expanded.slice(4).trim());
    return json ? JSON.stringify(rows.map(([usage, doc]) => ({ usage, doc }))) : aligned(rows);
  }
  const command = findText(expanded);
  if (command === undefined) throw unknown(firstWord(line));
  const rest = expanded.slice(command.text.name.length).trim();
  const args = argumentsOf(context, command, rest);
  const result = perform(context, { execute: command.name, arguments: args });
  return json ? JSON.stringify(result) : command.text.show(result, args, context).trimEnd();
}

/** The command that a line means, if it means one. */
export function textCommand(line: string): MonitorCommand | undefined {
  const { words } = withoutJson(line.trim());
  return findText(expand(words));
}

function expand(line: string): string {
  const first = firstWord(line);
  return (ALIASES[first] ?? first) + line.slice(first.length);
}

function firstWord(line: string): string {
  return /^[\w?.-]+/.exec(line)?.[0] ?? line;
}

/** The longest name that fits: `info status` before `info`. */
function findText(line: string): TextCommand | undefined {
  return TEXT_COMMANDS.filter(({ text: { name } }) => {
    const after = line[name.length];
    return line.startsWith(name) && (after === undefined || /[\s/]/.test(after));
  }).sort((a, b) => b.text.name.length - a.text.name.length)[0];
}

function unknown(name: string): MonitorError {
  const names = TEXT_COMMANDS.map((c) => c.text.name);
  const near = didYouMean(name, names);
  return new MonitorError(`unknown command: '${name}'; ${near.startsWith('did') ? near : "type 'help'"}`);
}

/** `--json` may stand anywhere. */
function withoutJson(line: string): { words: string; json: boolean } {
  const words = line.replace(/(^|\s)--json(?=\s|$)/, '$1').trim();
  return { words, json: words !== line };
}

function argumentsOf(context: MonitorContext, { text, args }: TextCommand, rest: string): Values {
  if (text.parse !== undefined) return text.parse(rest, context);
  const values: Record<string, unknown> = {};
  const byPosition = Object.entries(args).filter(([, member]) => !member.byName);
  let next = 0;
  for (const word of wordsOf(rest)) {
    const at = word.indexOf('=');
    const key = word.slice(0, Math.max(0, at));
    if (at > 0 && Object.hasOwn(args, key)) {
      values[key] = argumentOf(args[key]!, word.slice(at + 1), key);
      continue;
    }
    const place = byPosition[next++];
    if (place === undefined) throw usage(text);
    values[place[0]] = argumentOf(place[1], word, place[0]);
  }
  if (byPosition.some(([name, member]) => !member.optional && values[name] === undefined)) throw usage(text);
  return values;
}

/** Words, of which double quotes hold spaces together. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]!);
}

function usage({ name, usage: rest }: TextForm): MonitorError {
  return new MonitorError(`usage: ${`${name} ${rest}`.trim()}`);
}

function argumentOf(member: Member, word: string, name: string): unknown {
  const value = typed(member.type, word);
  if (value !== undefined) return value;
  throw new MonitorError(`'${word}' is no ${name}: ${member.doc}`);
}

function typed(type: Type, word: string): unknown {
  switch (type.kind) {
    case 'int':
    case 'number': {
      const n = /^(0x[0-9a-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN;
      return Number.isSafeInteger(n) ? n : undefined;
    }
    case 'bool':
      return /^(on|true|yes)$/.test(word) ? true : /^(off|false|no)$/.test(word) ? false : undefined;
    case 'enum':
      return type.values.includes(word) ? word : undefined;
    case 'address':
      return /^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(word) ? word : undefined;
    default:
      return word;
  }
}

// Help

type HelpRow = readonly [usage: string, doc: string];

/** @throws MonitorError when no command begins so */
function helpOn(name: string): readonly HelpRow[] {
  const rows = helpRows().filter(([usageText]) => name === '' || usageText.startsWith(name));
  if (rows.length === 0) throw unknown(name);
  return rows;
}

function aligned(rows: readonly HelpRow[]): string {
  const width = Math.max(...rows.map(([usageText]) => usageText.length));
  return rows.map(([usageText, doc]) => `${usageText.padEnd(width)}  ${doc}`).join('\n');
}

/** Every line that can be typed, with what it does. */
export function helpRows(): readonly HelpRow[] {
  const own = TEXT_COMMANDS.map(
    ({ text, summary }) => [`${text.name} ${text.usage}`.trim(), summary] as const,
  );
  return [...own, ['help [COMMAND]', 'Show this'] as const].sort(([a], [b]) => (a < b ? -1 : 1));
}

// Completion

/** Candidates for the last word of a line. */
export function completions(context: MonitorContext, line: string): readonly string[] {
  const typedWord = /\S*$/.exec(line)![0];
  const before = line.slice(0, line.length - typedWord.length).trim();
  return candidates(context, before).filter((word) => word.startsWith(typedWord));
}

function candidates(context: MonitorContext, before: string): readonly string[] {
  if (before === '' || before === 'help') return firstWords();
  const name = ALIASES[before] ?? before;
  const seconds = TEXT_COMMANDS.map((c) => c.text.name.split(' '))
    .filter(([first, second]) => first === name && second !== undefined)
    .map(([, second]) => second!);
  const command = findText(name);
  const words = command === undefined ? [] : wordsOf(name.slice(command.text.name.length));
  const own = command === undefined ? [] : (command.text.complete?.(context, words) ?? []);
  return [...new Set([...seconds, ...own])].sort();
}

function firstWords(): readonly string[] {
  return [...new Set([...TEXT_COMMANDS.map((c) => c.text.name.split(' ')[0]!), 'help'])].sort();
}
