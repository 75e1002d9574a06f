import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openSymbols } from '../../../vmm/vcpu/symbols/symbols.ts';
import { runs } from '../../kit/runs.ts';

/**
 * fixtures/frames-dwarf4.wasm, frames-dwarf5.wasm: frames.c by
 * `clang --target=wasm32 -nostdlib -O2 -g -gdwarf-N -ffunction-sections -fdebug-compilation-dir=. -Xlinker --no-entry`.
 * The expected frames are llvm-symbolizer's; offsets are llvm-objdump's plus the start of the code section.
 */
const fixture = (version: number): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`./fixtures/frames-dwarf${version}.wasm`, import.meta.url)));

/** A section's place, found without the code under test: one-byte id and LEB128 length. */
function codeStart(wasm: Uint8Array): number {
  for (let at = 8; ; ) {
    const id = wasm[at++]!;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (id === 10) return at;
    at += length;
  }
}

describe.each([4, 5])('DWARF %i', (version) => {
  const wasm = fixture(version);
  const code = codeStart(wasm);
  const symbols = openSymbols(wasm);

  test('code inlined twice over is shown with both callers and the places of the calls', () => {
    expect(symbols.frames(code + 0x12)).toEqual([
      { function: 'crash_here', file: 'frames.h', line: 2, column: 19 },
      { function: 'twice', file: 'frames.c', line: 4, column: 10 },
      { function: 'leaf', file: 'frames.c', line: 11, column: 10 },
    ]);
    expect(symbols.lookup(code + 0x12)).toEqual({
      function: 'crash_here',
      file: 'frames.h',
      line: 2,
      column: 19,
    });
  });

  test('the second inlined call is told from the first', () => {
    expect(symbols.frames(code + 0x17)[1]).toEqual({
      function: 'twice',
      file: 'frames.c',
      line: 5,
      column: 10,
    });
  });

  test('a trap and a call have the lines they stand on', () => {
    expect(symbols.frames(code + 0x0d)).toEqual([
      { function: 'leaf', file: 'frames.c', line: 10, column: 5 },
    ]);
    expect(symbols.frames(code + 0x23)).toEqual([
      { function: 'run', file: 'frames.c', line: 17, column: 18 },
    ]);
  });

  test('an offset outside of the code is unknown', () => {
    for (const offset of [0, code - 1, code, wasm.length, -1, Number.NaN]) {
      expect(symbols.lookup(offset)).toBeUndefined();
      expect(symbols.frames(offset)).toEqual([]);
    }
  });

  test('function names come by index', () => {
    expect([0, 1, 2].map((index) => symbols.functionName(index))).toEqual(['leaf', 'run', undefined]);
  });

  test('any truncation and any damaged byte is survived', () => {
    for (let length = 0; length < wasm.length; length += 3) {
      expect(() => openSymbols(wasm.subarray(0, length)).frames(code + 0x12)).not.toThrow();
    }
    const byte = fc.tuple(fc.nat(wasm.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(byte, { minLength: 1, maxLength: 6 }), (damage) => {
        const bad = wasm.slice();
        for (const [at, value] of damage) bad[at] = value;
        const opened = openSymbols(bad);
        for (const offset of [code + 0x0d, code + 0x12, code + 0x23]) opened.frames(offset);
        opened.functionName(0);
      }),
      { numRuns: runs(3000) },
    );
  });
});

test('without debug information the name section still names functions', () => {
  const wasm = fixture(4);
  const stripped = withoutSections(wasm, (name) => name.startsWith('.debug'));
  expect(openSymbols(stripped).frames(codeStart(stripped) + 0x12)).toEqual([{ function: 'leaf' }]);
});

test('without names a function is its index', () => {
  const stripped = withoutSections(fixture(4), () => true);
  expect(openSymbols(stripped).frames(codeStart(stripped) + 0x23)).toEqual([{ function: 'function 1' }]);
});

test('what is no module at all is unknown', () => {
  expect(openSymbols(new Uint8Array(0)).lookup(0)).toBeUndefined();
  expect(openSymbols(Buffer.from('int main(void);')).lookup(3)).toBeUndefined();
});

/** Drops custom sections; every section of the fixtures is shorter than 16 KiB, so lengths have at most two bytes. */
function withoutSections(wasm: Uint8Array, drop: (name: string) => boolean): Uint8Array {
  const kept: number[] = [...wasm.subarray(0, 8)];
  for (let at = 8; at < wasm.length; ) {
    const start = at;
    const id = wasm[at++]!;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const name = id === 0 ? Buffer.from(wasm.subarray(at + 1, at + 1 + wasm[at]!)).toString() : undefined;
    at += length;
    if (name === undefined || !drop(name)) kept.push(...wasm.subarray(start, at));
  }
  return Uint8Array.from(kept);
}
