/** argv against the command table: strict, and every refusal says what was probably meant. */

import { TsvmmError } from '../core/errors.ts';
import { didYouMean, suggest } from '../core/suggest.ts';
import type { CommandDecl, Invocation, OptionDecl, OptionsOf, OptionTable } from './command.ts';
import { COMMANDS, HELP, VERSION } from './table.ts';
import { type OptionToken, tokensOf } from './tokens.ts';

const HELP_HINT = "see 'tsvmm help'";

/** @throws TsvmmError for anything the table does not know */
export function parseCommandLine(argv: readonly string[]): Invocation {
  const [first, second] = argv;
  if (first === undefined || first === '--help' || first === '-h') return bare(HELP);
  if (first === '--version' || first === '-V') return bare(VERSION);
  if (first.startsWith('-')) {
    throw usage(
      'unknown-option',
      first,
      'stands before any command',
      `write 'tsvmm COMMAND ${first}'; ${HELP_HINT}`,
    );
  }
  const { command, words } = findCommand(first, second);
  if (command.raw) return { ...bare(command), rest: argv.slice(words) };
  return parseFor(command, argv.slice(words));
}

function bare(command: CommandDecl): Invocation {
  const options = emptyOptions(command) as OptionsOf<OptionTable>;
  return { command, options, operands: [], rest: [], help: false };
}

function findCommand(first: string, second: string | undefined): { command: CommandDecl; words: number } {
  const single = COMMANDS.find((c) => c.name === first);
  if (single !== undefined) return { command: single, words: 1 };
  const group = COMMANDS.filter((c) => c.name.startsWith(`${first} `));
  if (group.length === 0) {
    const names = [...new Set(COMMANDS.map((c) => c.name.split(' ')[0]!))];
    throw usage('unknown-command', first, 'is no command of tsvmm', didYouMean(first, names));
  }
  const subs = group.map((c) => c.name.slice(first.length + 1));
  const found = group[subs.indexOf(second ?? '')];
  if (found !== undefined) return { command: found, words: 2 };
  // `snapshot --help` is about the group: its first command's help names the others.
  if (second === undefined || second.startsWith('-')) {
    if (second === '--help' || second === '-h') return { command: group[0]!, words: 1 };
    throw usage('missing-command', first, 'needs to know what to do', `use one of: ${subs.join(', ')}`);
  }
  throw usage('unknown-command', `${first} ${second}`, 'is no command of tsvmm', didYouMean(second, subs));
}

type Values = Record<string, boolean | string | readonly string[] | undefined>;

function emptyOptions(command: CommandDecl): Values {
  return Object.fromEntries(
    Object.entries(command.options).map(([name, o]) => [
      name,
      o.value === undefined ? false : o.repeatable ? [] : undefined,
    ]),
  );
}

export function parseFor(command: CommandDecl, args: readonly string[]): Invocation {
  const values = emptyOptions(command);
  const seen = new Set<string>();
  const operands: string[] = [];
  let rest: readonly string[] = [];
  let help = false;
  for (const token of tokensOf(args, command.options)) {
    if (token.kind === 'terminator') {
      rest = args.slice(token.index + 1);
      break;
    }
    if (token.kind === 'operand') operands.push(token.value);
    else if (token.name === 'help') help = true;
    else set(command, values, seen, token);
  }
  if (!help) checkOperands(command, operands, rest);
  return { command, options: values as OptionsOf<OptionTable>, operands, rest, help };
}

function set(command: CommandDecl, values: Values, seen: Set<string>, token: OptionToken): void {
  const option = command.options[token.name];
  if (option === undefined) throw unknownOption(command, token.rawName);
  const shown = `--${token.name}`;
  if (option.value === undefined) {
    if (token.value !== undefined)
      throw usage('option-value', shown, 'takes no value', `write ${shown} alone`);
    values[token.name] = true;
    return;
  }
  const value = checkValue(option, shown, token);
  if (option.repeatable) {
    values[token.name] = [...(values[token.name] as readonly string[]), value];
    return;
  }
  if (seen.has(token.name)) throw usage('repeated-option', shown, 'is given twice', 'give it once');
  seen.add(token.name);
  values[token.name] = value;
}

function checkValue(option: OptionDecl, shown: string, token: OptionToken): string {
  const { value } = token;
  if (value === undefined || value === '' || (!token.inlineValue && value.startsWith('-'))) {
    throw usage('missing-value', shown, 'needs a value', `write ${shown} ${option.value}`);
  }
  if (option.choices !== undefined && !option.choices.includes(value)) {
    throw usage('bad-value', shown, `'${value}' is not possible`, didYouMean(value, option.choices));
  }
  return value;
}

function unknownOption(command: CommandDecl, rawName: string): TsvmmError {
  const known = [...Object.keys(command.options), 'help'].map((name) => `--${name}`);
  // One letter is near every other letter: only long names are guessed.
  const near = rawName.startsWith('--') ? suggest(rawName, known) : undefined;
  const mend = near === undefined ? `see 'tsvmm help ${command.name}'` : `did you mean '${near}'?`;
  return usage('unknown-option', rawName, `is no option of 'tsvmm ${command.name}'`, mend);
}

function checkOperands(command: CommandDecl, operands: readonly string[], rest: readonly string[]): void {
  const { name } = command;
  command.operands.forEach((operand, i) => {
    const value = operands[i];
    if (value === undefined) {
      if (operand.optional) return;
      const mend =
        operand.choices === undefined
          ? `see 'tsvmm help ${name}'`
          : `use one of: ${operand.choices.join(', ')}`;
      throw usage('missing-operand', `tsvmm ${name}`, `needs ${operand.name}`, mend);
    }
    if (operand.choices !== undefined && !operand.choices.includes(value)) {
      throw usage(
        'bad-operand',
        `tsvmm ${name}`,
        `there is no '${value}'`,
        didYouMean(value, operand.choices),
      );
    }
  });
  // A command name of two words is one operand of help.
  const most = command.operands.at(-1)?.repeatable === true ? Infinity : command.operands.length;
  if (operands.length > most && command !== HELP) {
    const mend =
      command.rest === undefined ? `see 'tsvmm help ${name}'` : "put the guest's arguments after --";
    throw usage(
      'extra-operand',
      `'${operands[command.operands.length]}'`,
      `is too much for 'tsvmm ${name}'`,
      mend,
    );
  }
  checkRest(command, rest);
}

function checkRest({ name, rest: declared }: CommandDecl, rest: readonly string[]): void {
  if (rest.length > 0 && declared === undefined) {
    throw usage('extra-operand', '--', `'tsvmm ${name}' passes no arguments on`, `see 'tsvmm help ${name}'`);
  }
}

function usage(code: string, object: string, why: string, mend: string): TsvmmError {
  return new TsvmmError({ code, object, why, mend });
}
