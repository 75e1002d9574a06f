import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../vmm/cli/parse.ts';

describe('command lines that are understood', () => {
  test('options, repeated options, flags, operand and guest arguments come out typed', () => {
    const parsed = parseCommandLine([
      ...['run', '--device', 'edu', 'a.c', '--device=iommu-testdev,id=t', '-q', '-m', '64M'],
      ...['--', '--json', '-x'],
    ]);

    expect(parsed.command.name).toBe('run');
    expect(parsed.operands).toEqual(['a.c']);
    expect(parsed.rest).toEqual(['--json', '-x']);
    expect(parsed.options).toMatchObject({
      device: ['edu', 'iommu-testdev,id=t'],
      quiet: true,
      json: false,
      memory: '64M',
      viommu: undefined,
      trace: [],
    });
  });

  test('commands of two words', () => {
    expect(parseCommandLine(['snapshot', 'diff', 'a', 'b']).command.name).toBe('snapshot diff');
  });

  test('no arguments and --help are help, --version is version', () => {
    expect(parseCommandLine([]).command.name).toBe('help');
    expect(parseCommandLine(['--help']).command.name).toBe('help');
    expect(parseCommandLine(['--version']).command.name).toBe('version');
  });

  test('--help of a command asks for no operands', () => {
    expect(parseCommandLine(['new', '--help']).help).toBe(true);
    expect(parseCommandLine(['snapshot', '--help']).help).toBe(true);
  });
});

describe('command lines that are refused with a way out', () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ['a command', ['rum', 'a.c'], "rum: is no command of tsvmm; did you mean 'run'?"],
    ['a subcommand', ['snapshot', 'sav'], "snapshot sav: is no command of tsvmm; did you mean 'save'?"],
    ['no subcommand', ['snapshot'], 'snapshot: needs to know what to do; use one of: save, load, diff'],
    [
      'an option',
      ['run', '--devise', 'edu'],
      "--devise: is no option of 'tsvmm run'; did you mean '--device'?",
    ],
    ['a short option', ['run', '-z', 'a.c'], "-z: is no option of 'tsvmm run'; see 'tsvmm help run'"],
    [
      'an option like no other',
      ['run', '--zzzzzzzz'],
      "--zzzzzzzz: is no option of 'tsvmm run'; see 'tsvmm help run'",
    ],
    [
      'an option of another command',
      ['version', '--seed=1'],
      "--seed: is no option of 'tsvmm version'; see 'tsvmm help version'",
    ],
    [
      'a value that is not a choice',
      ['run', '--machine', 'q34'],
      "--machine: 'q34' is not possible; did you mean 'q35'?",
    ],
    ['a missing value', ['run', '--seed'], '--seed: needs a value; write --seed N'],
    ['an option instead of a value', ['run', '--seed', '--json'], '--seed: needs a value; write --seed N'],
    ['an empty value', ['run', '--seed='], '--seed: needs a value; write --seed N'],
    ['a value for a flag', ['run', '--json=yes'], '--json: takes no value; write --json alone'],
    ['an option twice', ['run', '--seed', '1', '--seed', '2'], '--seed: is given twice; give it once'],
    [
      'a second guest',
      ['run', 'a.c', 'b.c'],
      "'b.c': is too much for 'tsvmm run'; put the guest's arguments after --",
    ],
    ['no operand', ['new'], "tsvmm new: needs NAME; see 'tsvmm help new'"],
    ['an unknown topic', ['info', 'pcie'], "tsvmm info: there is no 'pcie'; did you mean 'pci'?"],
    [
      'an option before the command',
      ['--json', 'run'],
      "--json: stands before any command; write 'tsvmm COMMAND --json'; see 'tsvmm help'",
    ],
    [
      'arguments nobody takes',
      ['version', '--', 'x'],
      "--: 'tsvmm version' passes no arguments on; see 'tsvmm help version'",
    ],
  ];
  test.each(cases)('%s', (_, argv, message) => {
    expect(() => parseCommandLine(argv)).toThrow(expect.objectContaining({ message, exit: 2 }));
  });
});
