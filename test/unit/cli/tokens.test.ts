import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokensOf } from '../../../vmm/cli/tokens.ts';

const OPTIONS = {
  quiet: { short: 'q', doc: 'a flag' },
  json: { doc: 'a flag without a letter' },
  memory: { short: 'm', value: 'SIZE', doc: 'takes a value' },
  device: { value: 'KIND', repeatable: true, doc: 'takes values' },
} as const;

describe('words of a command line', () => {
  test('a letter that takes a value takes the rest of its word, or the next word', () => {
    expect(tokensOf(['-qm64M', '-m', '-q'], OPTIONS)).toEqual([
      { kind: 'option', name: 'quiet', rawName: '-q', value: undefined, inlineValue: undefined },
      { kind: 'option', name: 'memory', rawName: '-m', value: '64M', inlineValue: true },
      { kind: 'option', name: 'memory', rawName: '-m', value: '-q', inlineValue: false },
    ]);
  });

  test('nothing after -- is an option', () => {
    expect(tokensOf(['a.c', '--', '--json'], OPTIONS)).toEqual([
      { kind: 'operand', value: 'a.c' },
      { kind: 'terminator', index: 1 },
    ]);
  });

  test('are told apart as node:util does', () => {
    const word = fc.oneof(
      fc.constantFrom(
        '--quiet',
        '--memory',
        '--device',
        '--memory=',
        '--device=a=b',
        '--quiet=1',
        '--nope',
        '--',
      ),
      fc.constantFrom(
        '-q',
        '-m',
        '-mq',
        '-qm',
        '-qq',
        '-x',
        '-qxm3',
        '-h',
        '-',
        '--=x',
        '--help',
        '',
        'a.c',
        'm',
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (args) => {
        const { tokens } = parseArgs({
          args,
          options: {
            quiet: { type: 'boolean', short: 'q' },
            json: { type: 'boolean' },
            memory: { type: 'string', short: 'm' },
            device: { type: 'string' },
            help: { type: 'boolean', short: 'h' },
          },
          strict: false,
          allowPositionals: true,
          tokens: true,
        });
        const end = tokens.findIndex((token) => token.kind === 'option-terminator');
        const theirs = (end < 0 ? tokens : tokens.slice(0, end + 1)).map((token) => {
          if (token.kind === 'option-terminator') return { kind: 'terminator', index: token.index };
          if (token.kind === 'positional') return { kind: 'operand', value: token.value };
          const { index: _, ...rest } = token;
          return rest;
        });

        expect(tokensOf(args, OPTIONS)).toEqual(theirs);
      }),
    );
  });
});
