import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CACHE_POLICIES, type CachePolicy } from '../../../../viommu/spec/cache-policies.ts';
import { HWPT_FLAGS } from '../../../../vmm/host/iommufd/abi.ts';
import { BUFFER, type PhysicalHost, smmuHost, vtdHost } from '../../../kit/physical-host.ts';
import { runs } from '../../../kit/runs.ts';

const DEV = 0x100;
const BESIDE = 0x101;
const PASID = 6;
const PAGES = 8;
const IOVA = 0x40_0000;

const UNITS = [
  ['VT-d', (cache: CachePolicy, seed: number) => vtdHost({ cache, 'cache-seed': seed })],
  ['VT-d, second stage', (cache: CachePolicy) => vtdHost({ svm: false, 'scalable-mode': true, cache })],
  ['VT-d, legacy mode', (cache: CachePolicy) => vtdHost({ svm: false, cache })],
  ['SMMUv3', (cache: CachePolicy, seed: number) => smmuHost({ cache, 'cache-seed': seed })],
  ['SMMUv3, stage 2', (cache: CachePolicy) => smmuHost({ svm: false, stage: '2', oas: 40, cache })],
] as const;

type Step = readonly [what: 'map' | 'unmap' | 'swap' | 'attach', page: number];
const STEPS = fc.array(
  fc.tuple(fc.constantFrom('map', 'map', 'unmap', 'swap', 'attach' as const), fc.nat(PAGES - 1)),
  { minLength: 1, maxLength: 25 },
) as fc.Arbitrary<Step[]>;

/** What two functions and a PASID read of every page after each step. Page n of the buffer holds n + 1. */
function readings(host: PhysicalHost, steps: readonly Step[]): string[] {
  for (let n = 0; n < 2 * PAGES; n++) host.store(Number(BUFFER) + n * 4096, n + 1);
  const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
  const beside = host.bind(host.plug({ requester: BESIDE }));
  const pasids = device.host.pasidWidth > 0;
  device.attach(0, pasids ? host.hwpt(device, HWPT_FLAGS.PASID) : host.ioas);
  const mapped = new Set<number>();
  let attached = false;
  let withPasid = false;
  const unmap = (page: number) => {
    if (!mapped.delete(page)) return;
    host.unmap(BigInt(IOVA + page * 4096), 4096);
  };
  const map = (page: number, target: number) => {
    mapped.add(page);
    host.caller.map(host.ioas, BigInt(IOVA + page * 4096), 4096, BUFFER + BigInt(target * 4096));
  };
  return steps.map(([what, page]) => {
    if (what === 'unmap') unmap(page);
    else if (what === 'attach') {
      if (attached) beside.detach(0);
      else beside.attach(0, host.ioas);
      attached = !attached;
      if (pasids && withPasid) device.detach(PASID);
      else if (pasids) device.attach(PASID, host.hwpt(device, HWPT_FLAGS.PASID));
      withPasid = !withPasid;
    } else if (what === 'swap') {
      unmap(page);
      map(page, page + PAGES);
    } else if (!mapped.has(page)) map(page, page);
    const seen = (requester: number, pasid?: number) =>
      Array.from({ length: PAGES }, (_, n) => host.read(requester, IOVA + n * 4096, pasid) ?? '-').join(' ');
    return [seen(DEV), seen(BESIDE), pasids ? seen(DEV, PASID) : ''].join('|');
  });
}

describe.each(UNITS)('%s', (_, make) => {
  test('the host invalidates what it changes: with caches of any policy functions see the same', () => {
    fc.assert(
      fc.property(STEPS, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (steps, seed) => {
        const expected = readings(make('none', seed), steps);
        for (const cache of CACHE_POLICIES) expect(readings(make(cache, seed), steps)).toEqual(expected);
      }),
      { numRuns: runs(6, 1) },
    );
  });
});
