import { expect, test } from 'vitest';
import { type RunC, runC } from '../kit/run-c.ts';

const base: RunC = {
  config: {
    devices: [
      { kind: 'iommu-testdev', id: 'td0', addr: '04.0', options: {} },
      { kind: 'edu', id: 'edu0', options: { dma_mask: 0x0fffffff, dma_delay_ns: 100 } },
    ],
  },
};

test.each([
  ['what is not present is not cached', {}],
  ['with caching mode, what is not present is cached', { 'caching-mode': true }],
  ['with work that takes time, the same', { invalidation: 'async' }],
])('each cache is stale until the right invalidation of each granularity; %s', async (_, viommu) => {
  const { failed, end, points, report } = await runC('test/guests/stale.c', { ...base, viommu });

  expect({ failed, end, report }).toEqual({
    failed: [],
    end: { kind: 'exit', status: 0 },
    report: undefined,
  });
  expect(points.length).toBeGreaterThan(80);
});

test('without caches nothing is stale: the guest would notice a unit that remembers nothing', async () => {
  const { failed, points } = await runC('test/guests/stale.c', { ...base, viommu: { cache: 'none' } });

  const stale = points.filter((point) => point.includes(': stale,'));
  expect(failed.length).toBe(stale.length);
});
