import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EntryCache } from '../../../viommu/walk/entry-cache.ts';
import { Iotlb, SIZE_1G, SIZE_2M, SIZE_4K } from '../../../viommu/walk/iotlb.ts';
import { GenerationTags } from '../../../viommu/walk/tags.ts';

describe('generation tags', () => {
  test('are unique, and an id keeps its tag until it is renewed', () => {
    const tags = new GenerationTags(new Uint32Array(4), new Uint32Array(2), []);

    const [a, b] = [tags.tagOf(1), tags.tagOf(2)];
    tags.renew(1);
    const c = tags.tagOf(1);

    expect([tags.tagOf(2), new Set([a, b, c]).size, tags.isLive(1, a)]).toEqual([b, 3, false]);
  });

  test('renewing all takes every tag, old and unused ones', () => {
    const tags = new GenerationTags(new Uint32Array(4), new Uint32Array(2), []);
    const a = tags.tagOf(1);

    tags.renewAll();

    expect([tags.peek(1), tags.peek(2), tags.tagOf(1) === a]).toEqual([0, 0, false]);
  });

  test('when the supply ends all rows are cleared and counting starts again', () => {
    const rows = new Uint32Array(16).fill(7);
    let wraps = 0;
    const tags = new GenerationTags(new Uint32Array(4), Uint32Array.of(0xfffffffe, 0), [rows], () => wraps++);

    const last = tags.tagOf(1);
    const next = tags.tagOf(2);

    expect([last, next, wraps, rows.every((w) => w === 0), tags.peek(1)]).toEqual([
      0xffffffff,
      1,
      1,
      true,
      0,
    ]);
  });
});

describe('the IOTLB', () => {
  const make = (rows: number) => new Iotlb(new Uint32Array(rows * 8), new Uint32Array(1));
  const put = (t: Iotlb, lo: number, hi: number, tag: number, size = SIZE_4K) =>
    t.insert(lo, hi, tag, size, 0x1000, 0, 3, 9);

  test('finds a page by address, upper half and tag', () => {
    const t = make(64);
    put(t, 0x5000, 1, 2);

    const found = [
      t.lookup(0x5fff, 1, 2),
      t.lookup(0x6000, 1, 2),
      t.lookup(0x5000, 0, 2),
      t.lookup(0x5000, 1, 3),
    ];

    expect(found.map((r) => r >= 0)).toEqual([true, false, false, false]);
  });

  test('keeps two pages of a set and puts the older out for a third', () => {
    const t = make(2);
    for (const lo of [0x1000, 0x2000, 0x3000]) put(t, lo, 0, 1);

    expect([0x1000, 0x2000, 0x3000].map((lo) => t.lookup(lo, 0, 1) >= 0)).toEqual([false, true, true]);
  });

  test.each([
    [SIZE_2M, 0x20_0000, 0x3f_ffff, 0x40_0000],
    [SIZE_1G, 0x4000_0000, 0x7fff_ffff, 0x8000_0000],
  ])('a page of size %i answers for all of it and nothing else', (size, first, last, after) => {
    const t = make(64);
    put(t, first + 0x5000, 0, 1, size);

    expect([first, last, after].map((lo) => t.lookup(lo, 0, 1) >= 0)).toEqual([true, true, false]);
  });

  test('the smallest page that covers an address answers', () => {
    const t = make(64);
    put(t, 0x4000_0000, 0, 1, SIZE_1G);
    put(t, 0x4000_0000, 0, 1, SIZE_2M);
    const small = put(t, 0x4000_5000, 0, 1);

    expect(t.lookup(0x4000_5000, 0, 1)).toBe(small);
    t.dropSpan(0x4000_5000, 0, 1, 1);
    expect([t.lookup(0x4000_5000, 0, 1), t.lookup(0x5000_0000, 0, 1)]).toEqual([-1, -1]);
  });

  test('drops a range of small and large pages', () => {
    const t = make(4096);
    for (let i = 0; i < 600; i++) put(t, i * 4096, 0, 1);
    put(t, 0x4000_0000, 0, 1, SIZE_2M);
    put(t, 0x4020_0000, 0, 1, SIZE_2M);

    t.dropSpan(0, 0, 1, 512 * 4096);
    t.dropSpan(0x4000_0000, 0, 1, 1024 * 4096);

    const kept = Array.from({ length: 600 }, (_, i) => t.lookup(i * 4096, 0, 1) >= 0);
    expect([kept.indexOf(true), kept.filter((k) => k).length]).toEqual([512, 88]);
    expect([t.lookup(0x4000_0000, 0, 1), t.lookup(0x4020_0000, 0, 1)]).toEqual([-1, -1]);
  });

  test('drops what overlaps a range, however wide and across any boundary, and nothing else', () => {
    const SHIFTS = [12, 21, 30] as const;
    const address = fc.oneof(
      fc.integer({ min: -300, max: 300 }).map((page) => 2 ** 32 + page * 4096),
      fc.nat(400).map((page) => 0x4000_0000 + page * 4096),
      fc.nat(5000).map((n) => n * 0x20_0000),
    );
    const page = fc.record({
      address,
      tag: fc.integer({ min: 1, max: 3 }),
      size: fc.constantFrom(0, 0, 0, 1, 2),
    });
    const bytes = fc.oneof(
      fc.constant(1),
      fc.nat(600).map((pages) => (pages + 1) * 4096),
      fc.constantFrom(2 ** 21, 2 ** 25, 2 ** 30),
    );
    const range = fc.record({ address, tag: fc.integer({ min: 1, max: 3 }), bytes });
    fc.assert(
      fc.property(
        fc.constantFrom(64, 256, 2048),
        fc.array(fc.record({ pages: fc.array(page, { minLength: 1, maxLength: 80 }), range }), {
          maxLength: 6,
        }),
        (rows, steps) => {
          let t = make(rows);
          const known: { address: number; tag: number; size: number }[] = [];
          const row = ({ address: a, tag, size }: (typeof known)[0]) =>
            t.find(a | 0, Math.floor(a / 2 ** 32), tag, size);
          for (const { pages, range: r } of steps) {
            for (const p of pages) {
              const base = Math.floor(p.address / 2 ** SHIFTS[p.size]!) * 2 ** SHIFTS[p.size]!;
              const one = { ...p, address: base };
              if (row(one) >= 0) continue;
              put(t, base | 0, Math.floor(base / 2 ** 32), p.tag, p.size);
              known.push(one);
            }
            const before = known.filter((one) => row(one) >= 0);
            const spared = before.filter(
              (one) =>
                one.tag !== r.tag ||
                one.address + 2 ** SHIFTS[one.size]! <= r.address ||
                one.address >= r.address + r.bytes,
            );

            t.dropSpan(r.address | 0, Math.floor(r.address / 2 ** 32), r.tag, r.bytes);

            expect(before.filter((one) => row(one) >= 0)).toEqual(spared);
            // As after the caches are made anew.
            t = new Iotlb(t.rows, t.sizes);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('the entry cache', () => {
  const make = () => {
    const rows = new Uint32Array(4 * 8);
    return new EntryCache(rows, new GenerationTags(new Uint32Array(16), new Uint32Array(2), [rows]));
  };

  test('says when it puts a live entry of another key out', () => {
    const c = make();

    const first = c.insert(1, 9, 1, 2, 3, 4, 0);
    const same = c.insert(1, 9, 1, 2, 3, 4, 0);
    const other = c.insert(5, 9, 1, 2, 3, 4, 0);
    c.dropAll();
    const dead = c.insert(9, 9, 1, 2, 3, 4, 0);

    expect([first, same, other, dead]).toEqual([false, false, true, false]);
  });

  test('drops by key, by range and by id', () => {
    const c = make();
    const fill = () => [0, 1, 2, 3].map((key) => c.insert(key, key < 2 ? 8 : 9, 0, 0, 0, 0, 0));
    const kept = () => [0, 1, 2, 3].filter((key) => c.find(key) >= 0);

    fill();
    c.drop(1);
    const byKey = kept();
    fill();
    c.dropRange(2, 1);
    const byRange = kept();
    fill();
    c.dropRange(0, 16);
    const wide = kept();
    fill();
    c.dropId(9);

    expect([byKey, byRange, wide, kept()]).toEqual([[0, 2, 3], [0, 1], [], [0, 1]]);
  });
});
