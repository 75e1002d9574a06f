import { expect } from 'vitest';
import { type Case, REFUSED } from '../world.ts';
import { after, attached, expectFault, expectNoFault, HERE, THERE } from './expect.ts';

const TABLES = ['tables'] as const;

/** map, unmap, protect: what tables say. */
export const MAPPING: readonly Case[] = [
  {
    name: 'a mapped page is read where its frame lies',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);

      expect([w.access(device, HERE), w.access(device, HERE + 0xab8n)]).toEqual([
        w.frame(3),
        w.frame(3, 0xab8),
      ]);
      expectNoFault(w);
    },
  },
  {
    name: 'a mapped page is written where its frame lies',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);

      expect(w.access(device, HERE + 8n, { write: true })).toBe(w.frame(3, 8));
      expectNoFault(w);
    },
  },
  {
    name: 'a page that is not mapped refuses reads',
    needs: TABLES,
    run(w) {
      const { device } = attached(w);

      expectFault(w, device, HERE + 0x10n, 'not-mapped');
    },
  },
  {
    name: 'a page that is not mapped refuses writes',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, after(w, HERE, 1), 1);

      expectFault(w, device, HERE, 'not-mapped', { write: true });
    },
  },
  {
    name: 'pages side by side need not have frames side by side',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      for (const [page, frame] of [7, 2, 9].entries()) w.map(space, after(w, HERE, page), frame);

      expect([0, 1, 2].map((page) => w.access(device, after(w, HERE, page)))).toEqual([
        w.frame(7),
        w.frame(2),
        w.frame(9),
      ]);
    },
  },
  {
    name: 'one frame may be mapped twice',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 4);
      w.map(space, THERE, 4);

      expect([w.access(device, HERE), w.access(device, THERE)]).toEqual([w.frame(4), w.frame(4)]);
    },
  },
  {
    name: 'a read-only page refuses writes, and is still read afterwards',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3, { write: false });

      expectFault(w, device, HERE, 'write-denied', { write: true });
      expect(w.access(device, HERE)).toBe(w.frame(3));
      expectFault(w, device, HERE, 'write-denied', { write: true });
    },
  },
  {
    name: 'a page that was read before refuses a write it does not permit, and says so',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3, { write: false });
      w.access(device, HERE);

      expectFault(w, device, HERE + 0x40n, 'write-denied', { write: true });
    },
  },
  {
    name: 'unmap, then invalidate: the page is gone',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.access(device, HERE);

      w.unmap(space, HERE);
      w.invalidate(space, HERE);

      expectFault(w, device, HERE, 'not-mapped');
    },
  },
  {
    name: 'remap, then invalidate: the new frame is used',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.access(device, HERE, { write: true });

      w.map(space, HERE, 8);
      w.invalidate(space, HERE);

      expect(w.access(device, HERE, { write: true })).toBe(w.frame(8));
    },
  },
  {
    name: 'protect, then invalidate: writes are refused and reads are not',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.access(device, HERE, { write: true });

      w.map(space, HERE, 3, { write: false });
      w.invalidate(space, HERE);

      expectFault(w, device, HERE, 'write-denied', { write: true });
      expect(w.access(device, HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'write permission that is given later counts after an invalidation',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3, { write: false });
      w.access(device, HERE);

      w.map(space, HERE, 3);
      w.invalidate(space, HERE);

      expect(w.access(device, HERE, { write: true })).toBe(w.frame(3));
    },
  },
  {
    name: 'a page that is mapped after it faulted needs no invalidation',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      expectFault(w, device, HERE, 'not-mapped');

      w.map(space, HERE, 3);

      expect(w.access(device, HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'a block maps all of its pages',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 0, { block: true });
      const last = w.blockBytes - 8;

      expect([w.access(device, HERE), w.access(device, HERE + BigInt(last))]).toEqual([
        w.frame(0),
        w.frame(0, last),
      ]);
      expectFault(w, device, HERE + BigInt(w.blockBytes), 'not-mapped');
    },
  },
  {
    name: 'unmap of a block, then invalidate: all of it is gone',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      const inside = after(w, HERE, 5);
      w.map(space, HERE, 0, { block: true });
      w.access(device, HERE);
      w.access(device, inside);

      w.unmap(space, HERE);
      w.invalidateBlock(space, HERE);

      expectFault(w, device, HERE, 'not-mapped');
      expectFault(w, device, inside, 'not-mapped');
    },
  },
  {
    name: 'the last page of the address space is one like the others',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      const top = (1n << BigInt(w.inputBits)) - BigInt(w.pageBytes);
      w.map(space, top, 6);

      expect(w.access(device, top + BigInt(w.pageBytes) - 4n)).toBe(w.frame(6, w.pageBytes - 4));
    },
  },
  {
    name: 'addresses beyond the address space are refused',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, 0n, 1);

      expectFault(w, device, 1n << BigInt(w.inputBits), 'beyond');
      expect(w.access(device, 0n)).toBe(w.frame(1));
      expectFault(w, device, 1n << BigInt(w.inputBits), 'beyond', { write: true });
    },
  },
  {
    name: 'a table that is not memory is told as such',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      w.loseTable(space, HERE);

      expectFault(w, device, HERE, 'lost-table');
    },
  },
  {
    name: 'an entry with reserved bits is told as such',
    needs: ['tables', 'bad-entry'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      w.corruptEntry(space, HERE);

      expectFault(w, device, HERE, 'bad-entry');
    },
  },
  {
    name: 'an entry that leads beyond the widest address is told as such',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      w.widen(space, HERE);

      expectFault(w, device, HERE, 'wide-output');
    },
  },
  {
    name: 'a read marks the page accessed, and a write marks it dirty, also after a cached read',
    needs: ['accessed-dirty'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      const fresh = w.used(space, HERE);

      w.access(device, HERE);
      const read = w.used(space, HERE);
      w.access(device, HERE, { write: true });

      expect([fresh, read, w.used(space, HERE)]).toEqual([
        { accessed: false, dirty: false },
        { accessed: true, dirty: false },
        { accessed: true, dirty: true },
      ]);
    },
  },
  {
    name: 'a refused write marks nothing dirty',
    needs: ['accessed-dirty'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1, { write: false });

      w.access(device, HERE, { write: true });

      expect(w.used(space, HERE).dirty).toBe(false);
    },
  },
  {
    name: 'a page that may not be executed refuses instruction fetches only',
    needs: ['tables', 'execute'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1, { execute: false });
      w.map(space, THERE, 2);

      expectFault(w, device, HERE, 'execute-denied', { execute: true });
      expect([w.access(device, HERE), w.access(device, THERE, { execute: true })]).toEqual([
        w.frame(1),
        w.frame(2),
      ]);
    },
  },
  {
    name: 'a page of the supervisor refuses user requests and takes privileged ones, cached or not',
    needs: ['tables', 'privilege'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1, { user: false });

      expectFault(w, device, HERE, 'privilege');
      expect(w.access(device, HERE, { privileged: true })).toBe(w.frame(1));
      expectFault(w, device, HERE, 'privilege');
      expect(w.access(device, HERE, { privileged: true, write: true })).toBe(w.frame(1));
    },
  },
  {
    name: 'a frame that the second stage does not map is refused',
    needs: ['two-stages'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 5);
      w.hideFrame(5);

      expectFault(w, device, HERE, 'second-not-mapped');
    },
  },
  {
    name: 'a frame that the second stage protects is read and not written',
    needs: ['two-stages'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 5);
      w.protectFrame(5);

      expect(w.access(device, HERE)).toBe(w.frame(5));
      expectFault(w, device, HERE, 'second-write-denied', { write: true });
    },
  },
  {
    name: 'a table that the second stage does not map is refused',
    needs: ['two-stages'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 5);
      w.hideTable(space, HERE);

      expectFault(w, device, HERE, 'table-not-mapped');
    },
  },
  {
    name: 'a change of the second stage counts once everything is invalidated',
    needs: ['two-stages'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 5);
      w.access(device, HERE);

      w.hideFrame(5);
      w.invalidateAll();

      expect(w.access(device, HERE)).toBe(REFUSED);
    },
  },
  {
    name: 'addresses of a device that is not translated are those of memory',
    needs: ['identity'],
    run(w) {
      const device = w.device(0);
      w.passThrough(device);

      expect([w.access(device, HERE + 0x18n), w.access(device, 0x1_2345_6788n, { write: true })]).toEqual([
        HERE + 0x18n,
        0x1_2345_6788n,
      ]);
      expectNoFault(w);
    },
  },
  {
    name: 'a device that is not translated has no addresses beyond the widest',
    needs: ['identity'],
    run(w) {
      const device = w.device(0);
      w.passThrough(device);
      const beyond = 1n << BigInt(w.inputBits);

      expect(w.access(device, beyond - 4096n)).toBe(beyond - 4096n);
      expectFault(w, device, beyond, 'beyond');
    },
  },
];
