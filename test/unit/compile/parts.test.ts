import { expect, test } from 'vitest';
import { decodeBuilt, encodeBuilt } from '../../../vmm/vcpu/compile/built.ts';
import { linkFlags, stackGoesFirst } from '../../../vmm/vcpu/compile/flags.ts';
import { objectNames } from '../../../vmm/vcpu/compile/toolchain.ts';
import { Q35_LAYOUT, VIRT_LAYOUT } from '../../../vmm/vcpu/compile/types.ts';
import { exportedGlobal } from '../../../vmm/vcpu/compile/wasm-exports.ts';

test('diagnostics and bytes survive the cache, a damaged entry is nothing', () => {
  const built = decodeBuilt(encodeBuilt('ä.c: warning\n', Uint8Array.of(1, 2)));
  expect(built).toEqual({ text: 'ä.c: warning\n', bytes: Uint8Array.of(1, 2) });
  expect(decodeBuilt(Uint8Array.of(1, 2, 3))).toBeUndefined();
  expect(decodeBuilt(Uint8Array.of(9, 0, 0, 0, 1))).toBeUndefined();
});

test('objects are named after their sources, flat and unique', () => {
  expect(objectNames(['drv/a.c', '../a.c', 'my drv.c', 'c', '.c'])).toEqual([
    'a.o',
    'a-2.o',
    'my_drv.o',
    'c.o',
    'guest.o',
  ]);
});

test('the stack goes first exactly where an overflow then leaves RAM', () => {
  expect(stackGoesFirst(Q35_LAYOUT)).toBe(true);
  expect(stackGoesFirst(VIRT_LAYOUT)).toBe(false);
  expect(stackGoesFirst({ ramBase: 0, globalBase: 0x1000, stackSize: 0x2000 })).toBe(false);
  expect(linkFlags(Q35_LAYOUT, false, true)).toContain('--stack-first');
  expect(linkFlags(VIRT_LAYOUT, false, true)).toContain('--no-stack-first');
  expect(linkFlags(VIRT_LAYOUT, false, false)).not.toContain('--no-stack-first');
});

/** Module with an imported and two defined i32 globals; "sp" is the second defined one. */
const MODULE = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[2, 8, 1, 1, 0x65, 1, 0x67, 3, 0x7f, 0],
  ...[6, 14, 2, 0x7f, 0, 0x41, 5, 0x0b, 0x7f, 1, 0x41, 0x80, 0x80, 0x20, 0x0b, 0],
  ...[7, 6, 1, 2, 0x73, 0x70, 3, 2],
]);

test("an exported global's initial value is read past imported globals", () => {
  expect(exportedGlobal(MODULE, 'sp')).toBe(0x80000);
  expect(exportedGlobal(MODULE, 'none')).toBeUndefined();
});

test('a module cut anywhere gives no value and no exception', () => {
  for (let length = 0; length < MODULE.length; length++) {
    expect(exportedGlobal(MODULE.subarray(0, length), 'sp')).toBeUndefined();
  }
});
