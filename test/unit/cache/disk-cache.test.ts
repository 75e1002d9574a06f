import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Bug } from '../../../vmm/core/errors.ts';
import { cacheKey, defaultCacheDir, openCache } from '../../../vmm/vcpu/cache/disk-cache.ts';
import { runs } from '../../kit/runs.ts';

const KEY_A = 'a'.repeat(64);
const KEY_B = 'b'.repeat(64);
const KEY_C = 'c'.repeat(64);
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsvmm-cache-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('store and load', () => {
  test('bytes put under a key come back and leave no temporary file', () => {
    const cache = openCache({ dir: join(dir, 'deep', 'er') });
    expect(cache.put('wasm', KEY_A, Uint8Array.of(1, 2, 3))).toBe(true);
    expect([...cache.get('wasm', KEY_A)!]).toEqual([1, 2, 3]);
    expect(readdirSync(join(dir, 'deep', 'er'))).toEqual([`wasm-${KEY_A}`]);
  });

  test('an empty entry is an entry, and kinds do not share keys', () => {
    const cache = openCache({ dir });
    cache.put('wasm', KEY_A, new Uint8Array(0));
    expect(cache.get('wasm', KEY_A)).toEqual(new Uint8Array(0));
    expect(cache.get('obj', KEY_A)).toBeUndefined();
  });

  test('a cache that is turned off stores nothing', () => {
    const cache = openCache({ dir: null });
    expect(cache.put('wasm', KEY_A, Uint8Array.of(1))).toBe(false);
    expect(cache.get('wasm', KEY_A)).toBeUndefined();
  });

  test('a key that could leave the directory is a bug of the caller', () => {
    expect(() => openCache({ dir }).get('wasm', '../../etc/passwd')).toThrow(Bug);
  });
});

describe('damage', () => {
  test('any single flipped byte or any truncation of an entry reads as a miss', () => {
    const cache = openCache({ dir });
    const path = join(dir, `wasm-${KEY_A}`);
    cache.put(
      'wasm',
      KEY_A,
      Uint8Array.from({ length: 100 }, (_, i) => i),
    );
    const good = readFileSync(path);
    expect(good.length).toBe(132);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x10;
      writeFileSync(path, bad);
      expect(cache.get('wasm', KEY_A), `flip at ${at}`).toBeUndefined();
      writeFileSync(path, good.subarray(0, at));
      expect(cache.get('wasm', KEY_A), `cut at ${at}`).toBeUndefined();
    }
  });

  test('random files never throw', () => {
    const cache = openCache({ dir });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        writeFileSync(join(dir, `wasm-${KEY_A}`), bytes);
        expect(cache.get('wasm', KEY_A)).toBeUndefined();
      }),
      { numRuns: runs(50) },
    );
  });

  test('a directory in the place of an entry or of the cache itself is a miss and a refused write', () => {
    mkdirSync(join(dir, `wasm-${KEY_A}`));
    const cache = openCache({ dir });
    expect(cache.get('wasm', KEY_A)).toBeUndefined();
    expect(cache.put('wasm', KEY_A, Uint8Array.of(1))).toBe(false);
    expect(readdirSync(dir)).toEqual([`wasm-${KEY_A}`]);

    writeFileSync(join(dir, 'file'), 'x');
    const onFile = openCache({ dir: join(dir, 'file') });
    expect(onFile.put('wasm', KEY_A, Uint8Array.of(1))).toBe(false);
    expect(onFile.get('wasm', KEY_A)).toBeUndefined();
  });

  test('a full disk is a refused write', () => {
    // /dev/full fails every write with ENOSPC; as a directory it cannot even be entered.
    expect(openCache({ dir: '/dev/full/tsvmm' }).put('wasm', KEY_A, Uint8Array.of(1))).toBe(false);
  });
});

describe('size bound', () => {
  test('the least recently used entry goes first', () => {
    const cache = openCache({ dir, maxBytes: 380 });
    cache.put('wasm', KEY_A, new Uint8Array(100));
    cache.put('wasm', KEY_B, new Uint8Array(100));
    utimesSync(join(dir, `wasm-${KEY_A}`), 1000, 1000);
    utimesSync(join(dir, `wasm-${KEY_B}`), 2000, 2000);
    cache.get('wasm', KEY_A); // renews A, so B is the older one
    cache.put('wasm', KEY_C, new Uint8Array(100));
    expect(cache.get('wasm', KEY_B)).toBeUndefined();
    expect(cache.get('wasm', KEY_A)).toHaveLength(100);
    expect(cache.get('wasm', KEY_C)).toHaveLength(100);
  });

  test('a hit renews the time of last use', () => {
    const cache = openCache({ dir });
    cache.put('wasm', KEY_A, new Uint8Array(1));
    utimesSync(join(dir, `wasm-${KEY_A}`), 1000, 1000);
    cache.get('wasm', KEY_A);
    expect(statSync(join(dir, `wasm-${KEY_A}`)).mtimeMs).toBeGreaterThan(1_000_000_000);
  });

  test('an entry larger than the bound is not stored', () => {
    const cache = openCache({ dir, maxBytes: 380 });
    expect(cache.put('wasm', KEY_A, new Uint8Array(400))).toBe(false);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('temporary files of dead writers go, those of live ones stay', () => {
    writeFileSync(join(dir, '.wasm-x.1.tmp'), 'old');
    utimesSync(join(dir, '.wasm-x.1.tmp'), 1000, 1000);
    writeFileSync(join(dir, '.wasm-y.2.tmp'), 'new');
    openCache({ dir }).put('wasm', KEY_A, new Uint8Array(1));
    expect(readdirSync(dir).sort()).toEqual(['.wasm-y.2.tmp', `wasm-${KEY_A}`]);
  });
});

describe('keys and places', () => {
  test('moving a byte from one part to the next changes the key', () => {
    expect(cacheKey(['ab', 'c'])).not.toBe(cacheKey(['a', 'bc']));
    expect(cacheKey(['ab', 'c'])).toBe(cacheKey([Uint8Array.of(0x61, 0x62), 'c']));
    expect(cacheKey([])).toBe('0'.repeat(32));
  });

  test('TSVMM_CACHE_DIR wins over XDG_CACHE_HOME, which wins over the home directory', () => {
    const home = { HOME: '/home/u' };
    expect(defaultCacheDir({ ...home, XDG_CACHE_HOME: '/x', TSVMM_CACHE_DIR: '/t' })).toBe('/t');
    expect(defaultCacheDir({ ...home, XDG_CACHE_HOME: '/x', TSVMM_CACHE_DIR: '' })).toBe('/x/tsvmm');
    expect(defaultCacheDir({ ...home, XDG_CACHE_HOME: 'relative' })).toBe('/home/u/.cache/tsvmm');
    expect(defaultCacheDir(home)).toBe('/home/u/.cache/tsvmm');
  });
});
