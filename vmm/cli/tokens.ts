/**
 * argv in pieces, as `parseArgs` of node:util tells them apart: `--name value`, `--name=value`, `-m value`, `-mVALUE`, `-qS`,
 * and `--` before operands that only look like options. Node's own takes a millisecond to load and run, which a start of
 * thirty notices; a test compares the two.
 */

import type { OptionTable } from './command.ts';

export type Token =
  | { readonly kind: 'operand'; readonly value: string }
  | { readonly kind: 'terminator'; readonly index: number }
  | OptionToken;

export interface OptionToken {
  readonly kind: 'option';
  /** Without dashes; of a short option the long name, where it has one. */
  readonly name: string;
  /** As it was written, without a value. */
  readonly rawName: string;
  readonly value: string | undefined;
  /** The value stood in the same word. */
  readonly inlineValue: boolean | undefined;
}

/** Every word up to `--`; whether names and values are right is for the reader of the tokens to say. */
export function tokensOf(args: readonly string[], options: OptionTable): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--') {
      tokens.push({ kind: 'terminator', index: i });
      break;
    }
    if (arg.startsWith('--')) {
      const equals = arg.indexOf('=', 3);
      const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
      const inline = equals < 0 ? undefined : arg.slice(equals + 1);
      const next = inline === undefined && takesValue(options, name) ? args[++i] : undefined;
      tokens.push(option(name, `--${name}`, inline, next));
    } else if (arg.length > 1 && arg[0] === '-') {
      i += shortOptions(arg, args[i + 1], options, tokens);
    } else tokens.push({ kind: 'operand', value: arg });
  }
  return tokens;
}

/** The letters of one word; a letter that takes a value takes the rest of the word, or the next one: then 1 is returned. */
function shortOptions(arg: string, next: string | undefined, options: OptionTable, out: Token[]): 0 | 1 {
  for (let at = 1; at < arg.length; at++) {
    const letter = arg[at]!;
    const name = longName(options, letter);
    if (!takesValue(options, name)) {
      out.push(option(name, `-${letter}`, undefined, undefined));
      continue;
    }
    const rest = arg.slice(at + 1);
    out.push(option(name, `-${letter}`, rest === '' ? undefined : rest, rest === '' ? next : undefined));
    return rest === '' ? 1 : 0;
  }
  return 0;
}

function option(
  name: string,
  rawName: string,
  inline: string | undefined,
  next: string | undefined,
): OptionToken {
  const value = inline ?? next;
  return {
    kind: 'option',
    name,
    rawName,
    value,
    inlineValue: value === undefined ? undefined : value === inline,
  };
}

function takesValue(options: OptionTable, name: string): boolean {
  return Object.hasOwn(options, name) && options[name]!.value !== undefined;
}

function longName(options: OptionTable, letter: string): string {
  if (letter === 'h') return 'help';
  for (const name of Object.keys(options)) if (options[name]!.short === letter) return name;
  return letter;
}
