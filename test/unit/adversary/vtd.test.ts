import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { DMA_OK, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import type { Json } from '../../../vmm/state/schema.ts';
import { runs } from '../../kit/runs.ts';
import { SmmuMachine } from '../../kit/smmu-machine.ts';
import { VtdMachine } from '../../kit/vtd-machine.ts';
import { PASIDS, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;
const PAGE = 0x5000;
const AFTER = PAGE + 0x1000;
const BEFORE = PAGE - 0x1000;

const where = (port: DmaPort, address = PAGE, access = READ) =>
  port.translate(address, 0, access) === DMA_OK ? port.outLo : -1;

/** Legacy mode: PAGE lies at 9000h. */
function legacy(config: Partial<VtdConfig>) {
  const m = new VtdMachine({ config });
  const top = m.page();
  m.context(DEV, { P: 1, AW: 2, DID: 9, SSPTPTR: top });
  const leaf = m.map(top, 4, PAGE, 0x9003);
  m.start();
  return { m, leaf, top, port: m.port(DEV) };
}

/** Scalable mode: PASIDs 4 and 5 of one first stage, in which PAGE lies at 9000h; accessed and dirty bits as given. */
function scalable(config: Partial<VtdConfig>, bits = 0x67) {
  const m = new ScalableMachine({ config });
  const top = m.page();
  m.scalableContext(DEV);
  m.pasid(4, { PGTT: 1, DID: 9, AW: 2, FSPTPTR: top });
  m.pasid(5, { PGTT: 1, DID: 8, AW: 2, FSPTPTR: top });
  const leaf = m.mapFirst(top, 4, PAGE, 0x9000 | bits);
  m.startScalable();
  return { m, leaf, top, port: m.pasidPort(DEV, 4), other: m.pasidPort(DEV, 5) };
}

describe('cache=prefetch', () => {
  test.each([AFTER, BEFORE])(
    'a page beside one that was used is stale, though nobody has used it: %d',
    (beside) => {
      for (const [cache, seen] of [
        ['normal', 0xb000],
        ['prefetch', 0xa000],
      ] as const) {
        const { m, top, port } = legacy({ cache });
        const leaf = m.map(top, 4, beside, 0xa003);
        where(port);

        m.store(leaf, 0xb003);

        expect([cache, where(port, beside)]).toEqual([cache, seen]);
      }
    },
  );

  test('what was not present when it was fetched ahead is there at once', () => {
    const { m, top, port } = legacy({ cache: 'prefetch' });
    where(port);

    m.map(top, 4, AFTER, 0xa003);

    expect(where(port, AFTER)).toBe(0xa000);
    expect(m.faults).toEqual([]);
  });

  test('in caching mode it is not, until its page is invalidated', () => {
    const { m, top, port } = legacy({ cache: 'prefetch', 'caching-mode': true });
    where(port);
    m.map(top, 4, AFTER, 0xa003);
    const stale = where(port, AFTER);

    m.submit((9n << 16n) | 0x32n, BigInt(AFTER));

    expect([stale, where(port, AFTER)]).toEqual([-1, 0xa000]);
  });

  test('faults of what was fetched ahead are nobody’s: none is recorded', () => {
    const { m, leaf, port } = legacy({ cache: 'prefetch' });
    // A reserved bit in the entry after, no table for the page before.
    m.store(leaf + 8, 0x40_0000_0000_a003n | (1n << 51n));

    expect(where(port)).toBe(0x9000);
    expect(m.faults).toEqual([]);
    expect(m.record()[1] >> 63n).toBe(0n);
  });

  test('the context entry of the function beside is cached, if it is present', () => {
    const { m, top, port } = legacy({ cache: 'prefetch' });
    m.context(DEV ^ 1, { P: 1, AW: 2, DID: 7, SSPTPTR: top });
    where(port);
    m.context(DEV ^ 1, { P: 0 });
    const stale = where(m.port(DEV ^ 1));

    m.submit((BigInt(DEV ^ 1) << 32n) | 0x31n);

    expect([stale, where(m.port(DEV ^ 1))]).toEqual([0x9000, -1]);
  });

  test('the entry of the PASID beside is cached, if it is present', () => {
    const { m, port, other } = scalable({ cache: 'prefetch' });
    where(port);
    m.pasid(5, { P: 0 });
    const stale = where(other);

    m.submit((5n << 32n) | (8n << 16n) | 0x17n);

    expect([stale, where(other)]).toEqual([0x9000, -1]);
  });

  test('accessed bits are set by requests alone: entries without them are not fetched ahead', () => {
    const { m, top, leaf, port } = scalable({ cache: 'prefetch' });
    const after = m.mapFirst(top, 4, AFTER, 0xa007);
    where(port);
    expect(m.load(after)).toBe(0xa007n);

    m.store(after, 0xb007);

    expect(where(port, AFTER)).toBe(0xb000);
    expect(m.load(after)).toBe(0xb027n);
    expect(m.load(leaf)).toBe(0x9067n);
  });

  test('a write to a page that was fetched ahead sets its dirty bit', () => {
    const { m, top, port } = scalable({ cache: 'prefetch' });
    const after = m.mapFirst(top, 4, AFTER, 0xa027);
    where(port);
    const before = m.load(after);

    where(port, AFTER, WRITE);

    expect([before, m.load(after)]).toEqual([0xa027n, 0xa067n]);
  });

  test('the interrupt entry beside is cached', () => {
    const m = new VtdMachine({ config: { cache: 'prefetch' } });
    const entry = (vector: bigint) => (vector << 16n) | 1n;
    m.store(0x20000 + 4 * 16, entry(0x40n));
    m.store(0x20000 + 5 * 16, entry(0x50n));
    m.startInterrupts();
    const port = m.port(DEV);
    const send = (index: number) => port.message(0xfee00010 | (index << 5), 0, 0);
    send(4);
    m.store(0x20000 + 5 * 16, entry(0x51n));

    send(5);

    expect(m.delivered.map(({ vector }) => vector)).toEqual([0x40, 0x50]);
  });
});

describe('cache=random', () => {
  /** How many reads it takes until a change without invalidation is seen. */
  function readsUntilSeen(seed: number, stop = 10_000): number {
    const { m, leaf, port } = legacy({ cache: 'random', 'cache-seed': seed });
    where(port);
    m.store(leaf, 0xb003);
    for (let reads = 1; reads < stop; reads++) if (where(port) === 0xb000) return reads;
    return stop;
  }

  test('an entry goes at some time by itself; when, the seed decides, and the same one decides the same', () => {
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
    const all = seeds.map((seed) => readsUntilSeen(seed));

    expect(Math.max(...all)).toBeLessThan(2000);
    expect(new Set(all).size).toBeGreaterThan(3);
    expect(seeds.map((seed) => readsUntilSeen(seed))).toEqual(all);
  });

  test('a PASID entry and a context entry go, too', () => {
    const { m, port } = scalable({ cache: 'random' });
    where(port);
    m.store(PASIDS + 4 * 64, 0);
    let reads = 0;
    while (where(port) !== -1 && reads < 10_000) reads++;

    expect(reads).toBeLessThan(5000);
  });

  test('its chance is state: a unit that takes over goes on as the first one would have', () => {
    const { m, leaf, port } = legacy({ cache: 'random' });
    for (let i = 0; i < 20; i++) where(port);
    const saved = m.device.stateDef().save(m.device.s);
    const rest = () => Array.from({ length: 200 }, () => where(port));
    m.store(leaf, 0xb003);
    const first = rest();

    m.device.stateDef().load(m.device.s, saved, 'iommu0');
    m.device.dropCache();

    expect(rest()).toEqual(first);
    expect(new Set(first)).toEqual(new Set([0x9000, 0xb000]));
  });
});

test.each([
  ['VT-d', () => new VtdMachine().device],
  ['SMMUv3', () => new SmmuMachine().device],
] as const)('state of a %s that knows no chance yet is taken', (_, make) => {
  const device = make();
  const { kind, body } = device.stateDef().save(device.s as never);
  const { chance: _none, ...before } = body as Readonly<Record<string, Json>>;
  device.s.chance = 5;

  device.stateDef().load(device.s as never, { kind, version: 1, body: before }, 'iommu0');

  expect(device.s.chance).toBe(0);
});

describe.each(['normal', 'none', 'unbounded', 'random', 'prefetch'] as const)('cache=%s', (cache) => {
  /** What is done to a page: a number below 16 is where it goes, 0 takes it away; then it is invalidated if it was there. */
  const steps = fc.array(fc.tuple(fc.nat(7), fc.nat(15), fc.boolean()), { minLength: 1, maxLength: 40 });

  test('software that invalidates what it changes finds every page where it put it, and faults alone that are its own', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (changes, seed) => {
        const { m, top, port, other } = scalable({ cache, 'cache-seed': seed });
        const at = new Map<number, number>([[PAGE, 0x9000]]);
        for (const [page, target, used] of changes) {
          const address = 0x3000 + page * 0x1000;
          const had = at.get(address);
          m.mapFirst(top, 4, address, target === 0 ? 0 : (0x10_0000 + target * 0x1000) | 0x67);
          if (target === 0) at.delete(address);
          else at.set(address, 0x10_0000 + target * 0x1000);
          // VT-d: Caching Mode: what was not present needs none.
          if (had !== undefined) {
            m.submit((4n << 32n) | (9n << 16n) | 0x36n, BigInt(address));
            m.submit((5n << 32n) | (8n << 16n) | 0x36n, BigInt(address));
          }
          for (const one of used ? [port, other] : [port])
            for (const [where1, expected] of at)
              if (where(one, where1) !== expected)
                throw new Error(`${where1.toString(16)}: ${where(one, where1)}`);
        }
        expect(m.faults).toEqual([]);
        const missing = [0x3000, 0x4000, 0x6000].filter((address) => !at.has(address));
        expect(missing.map((address) => where(port, address))).toEqual(missing.map(() => -1));
      }),
      { numRuns: runs(40, 8) },
    );
  });
});
