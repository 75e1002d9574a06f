import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { contentHash, HASH_MODULE } from '../../../vmm/vcpu/cache/hash.ts';

const hex = (...parts: readonly (string | Uint8Array)[]) =>
  Buffer.from(contentHash(parts.map((part) => Buffer.from(part)))).toString('hex');

/** h1 and h2 as the reference implementation prints them are little-endian words of this. */
function words(text: string): string {
  const hash = Buffer.from(contentHash([Buffer.from(text)]));
  return [0, 8].map((at) => hash.readBigUInt64LE(at).toString(16).padStart(16, '0')).join('');
}

describe('MurmurHash3_x64_128', () => {
  test('the values that its implementations publish', () => {
    expect(words('')).toBe('00000000000000000000000000000000');
    expect(words('hello')).toBe('cbd8a7b341bd9b025b1e906a48ae1d19');
    expect(words('hello, world')).toBe('342fac623a5ebc8e4cdcbc079642414d');
    expect(words('The quick brown fox jumps over the lazy dog.')).toBe('cd99481f9ee902c9695da1a38987b6e7');
  });

  test('bytes cut into parts anywhere, over chunks of the memory too, have one hash', () => {
    const bytes = Uint8Array.from({ length: 200_003 }, (_, i) => (i * 31) ^ (i >> 8));
    const whole = hex(bytes);
    for (const cut of [1, 15, 16, 65_535, 65_536, 65_537, 131_072, 200_002]) {
      expect(hex(bytes.subarray(0, cut), bytes.subarray(cut)), `cut at ${cut}`).toBe(whole);
    }
  });

  test('a flipped bit at any place of a long input changes the hash', () => {
    const bytes = new Uint8Array(70_000);
    const seen = new Set([hex(bytes)]);
    for (let at = 0; at < bytes.length; at += 997) {
      bytes[at] = 0x10;
      seen.add(hex(bytes));
      bytes[at] = 0;
    }
    expect(seen.size).toBe(1 + Math.ceil(70_000 / 997));
  });

  test('the module is what its text assembles to', async () => {
    const tools = await wabt();
    const source = readFileSync(new URL('../../../vmm/vcpu/cache/hash.wat', import.meta.url), 'utf8');
    const { buffer } = tools.parseWat('hash.wat', source).toBinary({});
    expect(Buffer.from(buffer).toString('base64')).toBe(HASH_MODULE);
  });
});
