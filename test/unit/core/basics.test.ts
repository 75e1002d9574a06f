import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bdf, bdfText, parseBdf } from '../../../vmm/core/bdf.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { didYouMean, suggest } from '../../../vmm/core/suggest.ts';
import { hex64, hi32, hiOf, lo32, loOf, numberOf, u64 } from '../../../vmm/core/u64.ts';

describe('requester ids', () => {
  test('are printed as the kernel prints them', () => {
    expect(bdfText(0x00a3)).toBe('00:14.3');
    expect(bdf(0, 0x14, 3)).toBe(0xa3);
  });

  test('are read with and without segment 0, and nothing else is', () => {
    expect(parseBdf('0000:01:1f.7')).toBe(0x1ff);
    expect(parseBdf('01:1f.7')).toBe(0x1ff);
    expect(parseBdf('0001:01:00.0')).toBeUndefined();
    expect(parseBdf('01:20.0')).toBeUndefined();
    expect(parseBdf('01:00.8')).toBeUndefined();
  });
});

describe('64-bit halves', () => {
  test('survive the way through bigint and Number', () => {
    fc.assert(fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (v) => u64(lo32(v), hi32(v)) === v));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        (n) => numberOf(loOf(n), hiOf(n)) === n,
      ),
    );
  });

  test('are printed with 16 digits', () => {
    expect(hex64(0xfed90000, 1)).toBe('0x00000001fed90000');
  });
});

describe('suggestions', () => {
  test('name the candidate that was meant', () => {
    expect(suggest('viomu', ['viommu', 'device', 'memory'])).toBe('viommu');
    expect(suggest('dev', ['viommu', 'device'])).toBe('device');
  });

  test('list the candidates when none is near', () => {
    expect(didYouMean('zzzzzzz', ['edu', 'nvme'])).toBe('use one of: edu, nvme');
  });
});

test('an error is one line: object, reason, remedy', () => {
  const e = new TsvmmError({
    code: 'x',
    object: 'a.c',
    why: 'there is no such file',
    mend: 'check the path',
  });
  expect(e.message).toBe('a.c: there is no such file; check the path');
  expect(e.exit).toBe(2);
});

test('the same seed gives the same sequence, another seed another', () => {
  const draw = (seed: number) =>
    Array.from(
      { length: 4 },
      (
        (r) => () =>
          r.next()
      )(new Rng(seed)),
    );
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});
