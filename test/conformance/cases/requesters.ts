import { expect } from 'vitest';
import { type Case, REFUSED } from '../world.ts';
import { after, attached, expectFault, expectNoFault, HERE, THERE } from './expect.ts';

const TABLES = ['tables'] as const;

/** Devices and the address spaces they are attached to. */
export const REQUESTERS: readonly Case[] = [
  {
    name: 'a device without an entry is refused',
    needs: [],
    run(w) {
      expectFault(w, w.device(2), HERE, 'no-device');
      expectFault(w, w.device(2), HERE, 'no-device', { write: true });
    },
  },
  {
    name: 'a device that no table has a place for is refused',
    needs: [],
    run(w) {
      expectFault(w, w.stranger(), HERE, 'no-bus');
    },
  },
  {
    name: 'a device whose entry is malformed is refused',
    needs: [],
    run(w) {
      const device = w.device(1);
      w.corruptDevice(device);

      expectFault(w, device, HERE, 'bad-device');
    },
  },
  {
    name: 'a device that is refused may be attached without an invalidation',
    needs: TABLES,
    run(w) {
      const device = w.device(0);
      const space = w.space();
      w.map(space, HERE, 3);
      expectFault(w, device, HERE, 'no-device');

      w.attach(device, space);
      // An entry that was not valid may have been kept: only its own invalidation is needed.
      w.forgetDevice(device);

      expect(w.access(device, HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'two devices see their own frames at one address',
    needs: TABLES,
    run(w) {
      const a = attached(w, 0);
      const b = attached(w, 1);
      w.map(a.space, HERE, 3);
      w.map(b.space, HERE, 4);

      const seen = [a, b, a, b].map((x) => w.access(x.device, HERE));

      expect(seen).toEqual([w.frame(3), w.frame(4), w.frame(3), w.frame(4)]);
    },
  },
  {
    name: 'two devices share one address space',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w, 0);
      const other = w.device(1);
      w.attach(other, space);
      w.map(space, HERE, 3);

      expect([w.access(device, HERE), w.access(other, HERE)]).toEqual([w.frame(3), w.frame(3)]);
    },
  },
  {
    name: 'an unmap of a shared space reaches every device',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w, 0);
      const other = w.device(1);
      w.attach(other, space);
      w.map(space, HERE, 3);
      for (const d of [device, other]) w.access(d, HERE);

      w.unmap(space, HERE);
      w.invalidate(space, HERE);

      expectFault(w, device, HERE, 'not-mapped');
      expectFault(w, other, HERE, 'not-mapped');
    },
  },
  {
    name: 'a device that is detached is refused once its entry is forgotten, and the others go on',
    needs: TABLES,
    run(w) {
      const a = attached(w, 0);
      const b = attached(w, 1);
      for (const x of [a, b]) w.map(x.space, HERE, 3);
      for (const x of [a, b]) w.access(x.device, HERE);

      w.detach(a.device);
      w.forgetDevice(a.device);
      w.invalidateSpace(a.space);

      expectFault(w, a.device, HERE, 'no-device');
      expect(w.access(b.device, HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'a device changes over to another address space',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      const next = w.space();
      w.map(space, HERE, 3);
      w.map(next, HERE, 4);
      w.access(device, HERE);

      w.detach(device);
      w.forgetDevice(device);
      w.invalidateSpace(space);
      w.attach(device, next);
      w.forgetDevice(device);

      expect(w.access(device, HERE)).toBe(w.frame(4));
      expectFault(w, device, THERE, 'not-mapped');
    },
  },
  {
    name: 'the entry of a device is kept until it is forgotten',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.map(space, THERE, 4);
      w.access(device, HERE);

      w.detach(device);
      const kept = w.access(device, THERE);
      w.forgetDevice(device);

      expect(kept).toBe(w.frame(4));
      expect(w.access(device, THERE)).toBe(REFUSED);
    },
  },
  {
    name: 'translation that was switched off and on again starts from the tables',
    needs: TABLES,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.map(space, after(w, HERE, 1), 5);
      w.access(device, HERE);
      w.map(space, HERE, 4);

      w.restart();

      expect([w.access(device, HERE), w.access(device, after(w, HERE, 1))]).toEqual([w.frame(4), w.frame(5)]);
      expectNoFault(w);
    },
  },
];
