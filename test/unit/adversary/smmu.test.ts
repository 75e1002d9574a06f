import { describe, expect, test } from 'vitest';
import { DMA_UR } from '../../../vmm/bus/dma.ts';
import { CONTEXT, DATA, SmmuMachine, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, PAGE, SID, to } from '../../kit/smmu-stages.ts';

const CFGI_STE_BESIDE = (BigInt(SID ^ 1) << 32n) | 0x03n;
const AF = 0x400n;
const page = (index: number, bits = PAGE) => BigInt(DATA + index * 0x1000) | bits;

/** Stage 1 of SID: page 0 at DATA. */
function stage1(cache: 'normal' | 'random' | 'prefetch', seed = 1, config = {}) {
  const m = new SmmuMachine({ config: { cache, 'cache-seed': seed, ...config } });
  m.stage1(SID);
  m.map();
  m.start(ALL);
  return { m, port: m.port(SID) };
}

describe('cache=prefetch', () => {
  test('the page after one that was used is stale, though nobody has used it', () => {
    for (const [cache, seen] of [
      ['normal', '40103000'],
      ['prefetch', '40102000'],
    ] as const) {
      const { m, port } = stage1(cache);
      m.store(TABLE + 0x2008, page(2));
      to(port, 0);

      m.store(TABLE + 0x2008, page(3));

      expect([cache, to(port, 0x1000)]).toEqual([cache, seen]);
    }
  });

  test('what was not valid when it was fetched ahead is there at once, and no event was recorded', () => {
    const { m, port } = stage1('prefetch');
    to(port, 0);

    m.store(TABLE + 0x2008, page(2));

    expect(to(port, 0x1000)).toBe('40102000');
    expect(m.faults).toEqual([]);
    expect(m.event(0)).toEqual([0n, 0n, 0n, 0n]);
  });

  test('an access flag is set by transactions alone: descriptors without it are not fetched ahead', () => {
    const { m, port } = stage1('prefetch', 1, { httu: 'dirty' });
    m.stage1(SID, { HA: 1 });
    m.store(TABLE + 0x2008, page(2, PAGE & ~AF));
    to(port, 0);
    const before = m.load(TABLE + 0x2008);
    m.store(TABLE + 0x2008, page(3, PAGE & ~AF));

    expect(before).toBe(page(2, PAGE & ~AF));
    expect(to(port, 0x1000)).toBe('40103000');
    expect(m.load(TABLE + 0x2008)).toBe(page(3));
  });

  test('the STE of the stream beside is cached, if it is a valid one', () => {
    const { m, port } = stage1('prefetch');
    const beside = m.port(SID ^ 1);
    m.ste(SID ^ 1, { Config: 4 });
    to(port, 0);
    m.ste(SID ^ 1, { Config: 0 });
    const stale = to(beside, 0x1000);
    m.submit(CFGI_STE_BESIDE, 1n);
    const dropped = to(beside, 0x1000);

    expect([stale, dropped]).toEqual(['1000', DMA_UR]);
  });

  test('an invalid one is not: a valid one in its place is seen', () => {
    const { m, port } = stage1('prefetch');
    to(port, 0);

    m.ste(SID ^ 1, { Config: 4 });

    expect(to(m.port(SID ^ 1), 0x1000)).toBe('1000');
  });
});

describe('cache=random', () => {
  function readsUntilSeen(seed: number): number {
    const { m, port } = stage1('random', seed);
    to(port, 0);
    m.store(TABLE + 0x2000, page(1));
    for (let reads = 1; reads < 10_000; reads++) if (to(port, 0) === '40101000') return reads;
    return 10_000;
  }

  test('a translation goes at some time by itself; when, the seed decides, and the same one decides the same', () => {
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
    const all = seeds.map(readsUntilSeen);

    expect(Math.max(...all)).toBeLessThan(2000);
    expect(new Set(all).size).toBeGreaterThan(3);
    expect(seeds.map(readsUntilSeen)).toEqual(all);
  });

  test('a CD and an STE go, too', () => {
    const { m, port } = stage1('random');
    to(port, 0);
    m.store(CONTEXT, 0n);
    let reads = 0;
    while (to(port, 0) !== DMA_UR && reads < 10_000) reads++;
    expect(reads).toBeLessThan(5000);
    m.ste(SID, { Config: 4 });
    reads = 0;
    while (to(port, 0x1000) !== '1000' && reads < 10_000) reads++;

    expect(reads).toBeLessThan(5000);
  });
});
