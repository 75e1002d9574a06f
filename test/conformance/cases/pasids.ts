import { expect } from 'vitest';
import { type Case, PLAIN, REFUSED } from '../world.ts';
import { attached, expectFault, HERE } from './expect.ts';

const NEEDS = ['tables', 'pasids'] as const;
const A = 7;
const B = 9;

/** bind and unbind of PASIDs (SubstreamIDs). */
export const PASIDS: readonly Case[] = [
  {
    name: 'two PASIDs of a device see their own frames at one address',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const [a, b] = [w.space(), w.space()];
      w.bind(device, A, a);
      w.bind(device, B, b);
      w.map(a, HERE, 3);
      w.map(b, HERE, 4);

      const seen = [A, B, A, B].map((pasid) => w.access(w.using(device, pasid), HERE));

      expect(seen).toEqual([w.frame(3), w.frame(4), w.frame(3), w.frame(4)]);
    },
  },
  {
    name: 'a space may be bound twice, and an unmap reaches both',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const space = w.space();
      for (const pasid of [A, B]) w.bind(device, pasid, space);
      w.map(space, HERE, 3);
      const seen = [A, B].map((pasid) => w.access(w.using(device, pasid), HERE));

      w.unmap(space, HERE);
      w.invalidate(space, HERE);

      expect(seen).toEqual([w.frame(3), w.frame(3)]);
      for (const pasid of [A, B]) expectFault(w, w.using(device, pasid), HERE, 'not-mapped');
    },
  },
  {
    name: 'one PASID of two devices is two bindings',
    needs: NEEDS,
    run(w) {
      const one = attached(w, 0);
      const two = attached(w, 1);
      const [a, b] = [w.space(), w.space()];
      w.bind(one.device, A, a);
      w.bind(two.device, A, b);
      w.map(a, HERE, 3);
      w.map(b, HERE, 4);

      const seen = [one, two].map((x) => w.access(w.using(x.device, A), HERE));

      expect(seen).toEqual([w.frame(3), w.frame(4)]);
    },
  },
  {
    name: 'a PASID that is not bound is refused',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);

      expectFault(w, w.using(device, A), HERE, 'no-pasid');
    },
  },
  {
    name: 'a PASID whose entry is malformed is refused',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      w.corruptPasid(device, A);

      expectFault(w, w.using(device, A), HERE, 'bad-pasid');
    },
  },
  {
    name: 'a PASID that is bound after it was refused is served',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const space = w.space();
      w.map(space, HERE, 3);
      expectFault(w, w.using(device, A), HERE, 'no-pasid');

      w.bind(device, A, space);
      w.forgetPasid(device, A, space);

      expect(w.access(w.using(device, A), HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'the last PASID of the table is one like the others, and the next one is refused',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const space = w.space();
      const last = w.pasidLimit - 1;
      w.bind(device, last, space);
      w.map(space, HERE, 3);

      expect(w.access(w.using(device, last), HERE)).toBe(w.frame(3));
      expectFault(w, w.using(device, last + 1), HERE, 'pasid-range');
    },
  },
  {
    name: 'requests with PASID are refused where the device may not have any',
    needs: NEEDS,
    run(w) {
      const device = w.device(0);
      w.attach(device, w.space(), { noPasids: true });

      expectFault(w, w.using(device, A), HERE, 'pasids-off');
    },
  },
  {
    name: 'requests without PASID do not reach the spaces of PASIDs',
    needs: NEEDS,
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 3);
      w.access(device, HERE);

      expectFault(w, w.using(device, PLAIN), HERE, 'plain');
    },
  },
  {
    name: 'unbind, then invalidate: the PASID is gone, and the others stay',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const [a, b] = [w.space(), w.space()];
      w.bind(device, A, a);
      w.bind(device, B, b);
      for (const space of [a, b]) w.map(space, HERE, 3);
      for (const pasid of [A, B]) w.access(w.using(device, pasid), HERE);

      w.unbind(device, A);
      w.forgetPasid(device, A, a);
      w.invalidateSpace(a);

      expectFault(w, w.using(device, A), HERE, 'no-pasid');
      expect(w.access(w.using(device, B), HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'the entry of a PASID is kept until it is forgotten',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const space = w.space();
      w.bind(device, A, space);
      w.map(space, HERE, 3);
      w.access(w.using(device, A), HERE);

      w.unbind(device, A);
      const kept = w.access(w.using(device, A), HERE);
      w.forgetPasid(device, A, space);
      w.invalidateSpace(space);

      expect([kept, w.access(w.using(device, A), HERE)]).toEqual([w.frame(3), REFUSED]);
    },
  },
  {
    name: 'a PASID changes over to another address space',
    needs: NEEDS,
    run(w) {
      const { device } = attached(w);
      const [a, b] = [w.space(), w.space()];
      w.bind(device, A, a);
      w.map(a, HERE, 3);
      w.map(b, HERE, 4);
      w.access(w.using(device, A), HERE);

      w.unbind(device, A);
      w.forgetPasid(device, A, a);
      w.invalidateSpace(a);
      w.bind(device, A, b);
      w.forgetPasid(device, A, b);

      expect(w.access(w.using(device, A), HERE)).toBe(w.frame(4));
    },
  },
];
