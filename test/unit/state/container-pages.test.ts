import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePages, encodePages, pageIndexes } from '../../../vmm/state/container-pages.ts';

const PAGE = 4096;

describe('RAM in a snapshot', () => {
  test('is a header and the pages that are not zero', () => {
    const memory = new Uint8Array(6 * PAGE);
    memory[PAGE] = 1;
    memory[3 * PAGE - 1] = 2;
    memory[4 * PAGE + 5] = 3;
    memory[5 * PAGE] = 4;

    const image = encodePages(memory, PAGE, 5 * PAGE);

    expect(image.length).toBe(20 + 3 * 4 + 3 * PAGE);
    expect(image.toString('latin1', 0, 8)).toBe('TSVMRAM1');
    expect([8, 12, 16, 20, 24, 28].map((at) => image.readUInt32LE(at))).toEqual([1, 4, 3, 0, 1, 3]);
    expect([image[32], image[32 + 2 * PAGE - 1], image[32 + 2 * PAGE + 5]]).toEqual([1, 2, 3]);
  });

  test('comes back, and only into its range', () => {
    const page = fc.constantFrom(0, 0, 1, 255);
    fc.assert(
      fc.property(fc.array(page, { minLength: 8, maxLength: 8 }), (values) => {
        const memory = new Uint8Array(8 * PAGE);
        for (const [i, value] of values.entries()) memory.fill(value, i * PAGE + 7, (i + 1) * PAGE);
        const target = new Uint8Array(8 * PAGE).fill(0x55);
        expect(decodePages(encodePages(memory, PAGE, 7 * PAGE), target, PAGE, 7 * PAGE)).toBeUndefined();
        expect(Buffer.compare(target.subarray(PAGE, 7 * PAGE), memory.subarray(PAGE, 7 * PAGE))).toBe(0);
        expect([target[PAGE - 1], target[7 * PAGE]]).toEqual([0x55, 0x55]);
      }),
    );
  });

  test('that is wrong is refused before a byte is written', () => {
    const memory = new Uint8Array(4 * PAGE).fill(9);
    const image = encodePages(memory, 0, 4 * PAGE);
    const changed = (at: number, value: number) => {
      const copy = Buffer.from(image);
      copy.writeUInt32LE(value, at);
      return copy;
    };
    const target = new Uint8Array(4 * PAGE);
    const cases: [Uint8Array, string][] = [
      [image.subarray(0, 19), 'is no RAM image'],
      [changed(0, 0), 'is no RAM image'],
      [changed(8, 1), 'is the RAM of a machine with other memory'],
      [changed(12, 8), 'is the RAM of a machine with other memory'],
      [changed(16, 3), 'does not have the length its header gives'],
      [changed(16, 5), 'does not have the length its header gives'],
      [image.subarray(0, -1), 'does not have the length its header gives'],
      [changed(24, 0), 'has a bad page index at entry 1'],
      [changed(32, 4), 'has a bad page index at entry 3'],
    ];
    for (const [bytes, why] of cases) expect(decodePages(bytes, target, 0, 4 * PAGE)).toBe(why);
    expect(target.every((byte) => byte === 0)).toBe(true);
    expect(pageIndexes(image, 0, 4 * PAGE)).toEqual([0, 1, 2, 3]);
  });
});
