import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { hiddenLayout } from '../../../vmm/mem/layout.ts';
import { asyncifyModule } from '../../../vmm/vcpu/asyncify/asyncify.ts';
import { carryOffsets, locationsOf } from '../../../vmm/vcpu/asyncify/offsets.ts';
import { decodeSourceMap, encodeSourceMap } from '../../../vmm/vcpu/asyncify/source-map.ts';
import { findBinaryen, runWasmOpt } from '../../../vmm/vcpu/asyncify/wasm-opt.ts';
import { openCache } from '../../../vmm/vcpu/cache/disk-cache.ts';
import { originalPosition, rewrite } from '../../../vmm/vcpu/rewrite/index.ts';
import { assemble } from '../../kit/guest.ts';

describe('code offsets as a source map', () => {
  test('are base64 digits of differences, lowest first (ECMA-426: Base64 VLQ)', () => {
    const map = encodeSourceMap([
      [1, 0],
      [17, 40],
      [18, 8],
    ]);
    expect(JSON.parse(map)).toEqual({
      version: 3,
      sources: ['guest'],
      names: [],
      mappings: 'CAAA,gBAwCA,CAhCA',
    });
  });

  test('come back', () => {
    const location = fc.tuple(fc.nat(0xffffff), fc.nat(0xffffff));
    fc.assert(
      fc.property(fc.array(location), (locations) => {
        expect(decodeSourceMap(encodeSourceMap(locations))).toEqual(locations);
      }),
    );
  });

  test('of code that stands for nothing are left out', () => {
    expect(decodeSourceMap('{"mappings":"CAAA,C,CACA"}')).toEqual([
      [1, 0],
      [3, 1],
    ]);
  });
});

describe('the offset map of a guest', () => {
  const wat = `(module (import "tsvmm" "wfi" (func $wfi)) (memory 1)
    (func $a (param i32) (result i32) (i32.load (i32.add (local.get 0) (i32.const 4))))
    (func (export "main") (call $wfi) (drop (call $a (i32.const 8))) (i32.store (i32.const 0) (i32.const 1))))`;
  const result = rewrite(assemble(wat), { layout: hiddenLayout(0, 4 << 20), fuel: 'exact' });

  test('taken apart and put together again leads to the same places', () => {
    const again = carryOffsets(result.offsetMap, result.wasm, locationsOf(result.offsetMap));
    for (const [at] of locationsOf(result.offsetMap))
      expect(originalPosition(again, at)).toEqual(originalPosition(result.offsetMap, at));
    expect(again.end).toBe(result.offsetMap.end);
    expect(again.firstOriginal).toBe(1);
  });
});

describe('a guest cannot be made suspendable', () => {
  test('without binaryen, which is named with the way to get it', () => {
    const absent = () => {
      throw Object.assign(new Error('x'), { code: 'MODULE_NOT_FOUND' });
    };
    let error: unknown;
    try {
      findBinaryen(absent as never);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(TsvmmError);
    expect((error as TsvmmError).exit).toBe(3);
    expect((error as TsvmmError).message).toBe(
      'snapshot: needs the npm package binaryen to save a running guest, and it is not installed; run npm install binaryen, or install tsvmm without --omit=optional',
    );
  });

  test('with a mutable global that JavaScript cannot read', async () => {
    const wat = '(module (memory 1) (global (mut v128) (v128.const i32x4 0 0 0 0)) (func (export "main")))';
    const result = rewrite(assemble(wat), { layout: hiddenLayout(0, 4 << 20), fuel: 'exact' });
    await expect(asyncifyModule(result, openCache({ dir: null }))).rejects.toThrow(
      'global tsvmm_g0: is a mutable v128, whose value cannot be saved; run the guest without a snapshot',
    );
  });

  test('with a second table', async () => {
    const wat = '(module (memory 1) (table 1 funcref) (table 1 funcref) (func (export "main")))';
    const result = rewrite(assemble(wat), { layout: hiddenLayout(0, 4 << 20), fuel: 'exact' });
    await expect(asyncifyModule(result, openCache({ dir: null }))).rejects.toThrow(
      'guest module: has 2 tables, and a snapshot can hold one; run the guest without a snapshot',
    );
  });

  test('where there is no room for temporary files', async () => {
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = '/dev/null';
    const job = { wasm: new Uint8Array(0), sourceMap: '', args: [] };
    const error = await runWasmOpt('wasm-opt', job).catch((e: unknown) => e);
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    expect(error).toMatchObject({
      exit: 3,
      message: '/dev/null: cannot be written to (ENOTDIR); make room there, or set TMPDIR',
    });
  });
});
