import { describe, expect, test } from 'vitest';
import {
  checkKey,
  parseCount,
  parseKindSpec,
  parsePair,
  parseTime,
  typedValue,
} from '../../../vmm/cli/values.ts';

describe('KIND,key=val', () => {
  test('kind, values, a key alone and a doubled comma', () => {
    expect(parseKindSpec('edu,id=a,,b,flag,x=1=2', '--device')).toEqual({
      kind: 'edu',
      entries: [
        ['id', 'a,b'],
        ['flag', 'on'],
        ['x', '1=2'],
      ],
      help: false,
    });
  });

  test('help among the keys', () => {
    expect(parseKindSpec('edu,help', '--device').help).toBe(true);
  });

  test.each([
    ['', "--device: '' names no kind; write KIND,key=val"],
    ['id=x', "--device: 'id=x' names no kind; write KIND,key=val"],
    ['edu,=1', "--device: 'edu,=1' has an empty key; write KIND,key=val"],
    ['edu,a=1,a=2', "--device: 'a' is given twice; give it once"],
  ])('%j is refused', (text, message) => {
    expect(() => parseKindSpec(text, '--device')).toThrow(message);
  });
});

describe('values take the type of their default', () => {
  test.each([
    ['on', true, true],
    ['off', true, false],
    ['0x1f', 0, 31],
    ['64M', 0, 67108864],
    ['1KiB', 0, 1024],
    ['12', 'text', '12'],
    ['on', undefined, true],
    ['2G', undefined, 2147483648],
    ['word', undefined, 'word'],
  ])('%s like %j is %j', (value, like, expected) => {
    expect(typedValue(value, like, '--device edu: key')).toBe(expected);
  });

  test.each([
    ['maybe', true, "--device edu: key: 'maybe' is neither on nor off; write on or off"],
    ['1.5', 0, "--device edu: key: '1.5' is not a number; write 12, 0x1f or 64M"],
    ['99999999999T', 0, "--device edu: key: '99999999999T' is not a number; write 12, 0x1f or 64M"],
  ])('%s like %j is refused', (value, like, message) => {
    expect(() => typedValue(value, like, '--device edu: key')).toThrow(message);
  });
});

test('counts have decimal suffixes, times have units', () => {
  expect(parseCount('10M', '--fuel')).toBe(10_000_000);
  expect(parseCount('0x10', '--seed')).toBe(16);
  expect(parseTime('1.5ms', '--timeout')).toBe(1_500_000);
  expect(() => parseCount('-1', '--fuel')).toThrow("--fuel: '-1' is not a count");
  expect(() => parseTime('10', '--timeout')).toThrow("--timeout: '10' is not a time; write 500ms or 10s");
  expect(() => parseTime('0s', '--timeout')).toThrow("--timeout: '0s' is not a time");
});

test('pairs split at the first equals sign', () => {
  expect(parsePair('/a=b=c', '--file', 'GUEST=HOST')).toEqual(['/a', 'b=c']);
  expect(() => parsePair('=x', '--env', 'NAME=VALUE')).toThrow(
    "--env: '=x' is not NAME=VALUE; write --env NAME=VALUE",
  );
});

test('an unknown key is refused with the near one', () => {
  expect(() => checkKey('dma_msk', ['id', 'dma_mask'], '--device edu')).toThrow(
    "--device edu: there is no key 'dma_msk'; did you mean 'dma_mask'?",
  );
});
