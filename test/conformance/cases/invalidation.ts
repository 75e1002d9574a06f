import { expect } from 'vitest';
import type { Case, Device, Landing, Space, World } from '../world.ts';
import { after, attached, expectFault, HERE, THERE } from './expect.ts';

const TABLES = ['tables'] as const;

/** Pages 0-7 are cached with frames 0-7, and lie in frames 8-15 now. */
function moved(w: World): { device: Device; space: Space } {
  const { device, space } = attached(w);
  for (let page = 0; page < 8; page++) w.map(space, after(w, HERE, page), page);
  for (let page = 0; page < 8; page++) w.access(device, after(w, HERE, page));
  for (let page = 0; page < 8; page++) w.map(space, after(w, HERE, page), page + 8);
  return { device, space };
}

/** Which of the pages 0-7 are seen where they were. */
function stale(w: World, device: Device): number[] {
  const seen = Array.from({ length: 8 }, (_, page): Landing => w.access(device, after(w, HERE, page)));
  for (const [page, at] of seen.entries()) expect([w.frame(page), w.frame(page + 8)]).toContain(at);
  return seen.flatMap((at, page) => (at === w.frame(page) ? [page] : []));
}

/** Scopes of invalidation: what has to go, and what the caches may keep and this model does keep. */
export const INVALIDATION: readonly Case[] = [
  {
    name: 'nothing is forgotten without an invalidation',
    needs: TABLES,
    run(w) {
      const { device } = moved(w);

      expect(stale(w, device)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    },
  },
  {
    name: 'an invalidation of a page drops that page alone',
    needs: TABLES,
    run(w) {
      const { device, space } = moved(w);

      w.invalidate(space, after(w, HERE, 3));

      expect(stale(w, device)).toEqual([0, 1, 2, 4, 5, 6, 7]);
    },
  },
  {
    name: 'an invalidation of four pages drops those four',
    needs: TABLES,
    run(w) {
      const { device, space } = moved(w);

      w.invalidate(space, after(w, HERE, 4), 4);

      expect(stale(w, device)).toEqual([0, 1, 2, 3]);
    },
  },
  {
    name: 'an invalidation of a space drops all of it, and no other space',
    needs: TABLES,
    run(w) {
      const { device, space } = moved(w);
      const other = attached(w, 1);
      w.map(other.space, HERE, 1);
      w.access(other.device, HERE);
      w.map(other.space, HERE, 2);

      w.invalidateSpace(space);

      expect([stale(w, device), w.access(other.device, HERE)]).toEqual([[], w.frame(1)]);
    },
  },
  {
    name: 'an invalidation of another space drops nothing',
    needs: TABLES,
    run(w) {
      const { device } = moved(w);
      const other = attached(w, 1);

      w.invalidateSpace(other.space);
      w.invalidate(other.space, HERE, 8);

      expect(stale(w, device)).toHaveLength(8);
    },
  },
  {
    name: 'an invalidation of everything drops every space',
    needs: TABLES,
    run(w) {
      const { device } = moved(w);
      const other = attached(w, 1);
      w.map(other.space, HERE, 1);
      w.access(other.device, HERE);
      w.map(other.space, HERE, 2);

      w.invalidateAll();

      expect([stale(w, device), w.access(other.device, HERE)]).toEqual([[], w.frame(2)]);
    },
  },
  {
    name: 'a table that was replaced counts after an invalidation of an address it maps',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      w.map(space, after(w, HERE, 1), 2);
      w.access(device, HERE);

      w.replaceTable(space, HERE, 6);
      w.invalidate(space, HERE);

      expect(w.access(device, HERE)).toBe(w.frame(6));
      // The old table is not asked any more, for pages that nobody had asked for either.
      expectFault(w, device, after(w, HERE, 1), 'not-mapped');
    },
  },
  {
    name: 'a block that became a table counts after an invalidation',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, THERE, 0, { block: true });
      w.access(device, THERE);

      w.unmap(space, THERE);
      w.invalidateBlock(space, THERE);
      w.map(space, THERE, 9);

      expect(w.access(device, THERE)).toBe(w.frame(9));
      expectFault(w, device, after(w, THERE, 1), 'not-mapped');
    },
  },
  {
    name: 'configuration that is forgotten is read again, and translations stay correct',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      w.access(device, HERE);

      w.forgetAll();
      w.forgetDevice(device);

      expect(w.access(device, HERE)).toBe(w.frame(1));
    },
  },
  {
    name: 'invalidations of what is not cached are complete at once',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);

      w.invalidate(space, HERE, 16);
      w.invalidateSpace(space);
      w.forgetDevice(w.device(5));
      w.invalidateAll();
      w.map(space, HERE, 1);

      expect(w.access(device, HERE)).toBe(w.frame(1));
    },
  },
];
