import { expect } from 'vitest';
import { type Case, REFUSED } from '../world.ts';
import { after, attached, expectFault, expectNoFault, HERE } from './expect.ts';

/** How refusals are told. */
export const FAULTS: readonly Case[] = [
  {
    name: 'faults are told in the order they happened, with requester, page and access',
    needs: ['tables'],
    run(w) {
      const a = attached(w, 0);
      const b = attached(w, 1);

      w.access(a.device, HERE + 0x123n);
      w.access(b.device, after(w, HERE, 2), { write: true });

      expect(w.faults()).toEqual([
        { code: w.code('not-mapped', false), ...a.device, page: HERE, write: false },
        { code: w.code('not-mapped', true), ...b.device, page: after(w, HERE, 2), write: true },
      ]);
    },
  },
  {
    name: 'one interrupt announces faults until they are taken, and the next one the next',
    needs: ['tables'],
    run(w) {
      const a = attached(w, 0);
      const b = attached(w, 1);
      w.access(a.device, HERE);
      w.access(b.device, HERE);
      const first = w.faultInterrupts();
      const told = w.faults().length;

      w.access(a.device, HERE);

      expect([first, told, w.faultInterrupts()]).toEqual([1, 2, 1]);
    },
  },
  {
    name: 'a fault too many is lost, and software is told that some were',
    needs: ['tables', 'overflow'],
    run(w) {
      // Faults of one device may be told as one while it is pending.
      const devices = Array.from({ length: w.faultRoom + 1 }, (_, i) => attached(w, i).device);
      const requesters = devices.map((d) => d.requester);
      for (const device of devices.slice(1)) w.access(device, HERE);
      const fits = w.faultsLost();
      w.access(devices[0]!, HERE);

      const told = w.faults();

      expect([fits, told.map((f) => f.requester), w.faultsLost()]).toEqual([
        false,
        requesters.slice(1),
        true,
      ]);
    },
  },
  {
    name: 'after an overflow that is acknowledged faults are told again',
    needs: ['tables', 'overflow'],
    run(w) {
      const devices = Array.from({ length: w.faultRoom + 1 }, (_, i) => attached(w, i).device);
      for (const device of devices) w.access(device, HERE);
      w.faults();
      w.faultsLost();

      expectFault(w, devices[0]!, HERE, 'not-mapped', { write: true });
      expectNoFault(w);
    },
  },
  {
    name: 'faults of a device that is to be silent are refused and not told',
    needs: ['tables', 'silence'],
    run(w) {
      const device = w.device(0);
      w.attach(device, w.space(), { silent: true });

      expect([w.access(device, HERE), w.access(device, HERE, { write: true })]).toEqual([REFUSED, REFUSED]);
      expectNoFault(w);
    },
  },
  {
    name: 'the faults of one device do not hinder another one',
    needs: ['tables'],
    run(w) {
      const a = attached(w, 0);
      const b = attached(w, 1);
      w.map(b.space, HERE, 3);

      const seen = [a, b, a, b].map((x) => w.access(x.device, HERE));

      expect(seen).toEqual([REFUSED, w.frame(3), REFUSED, w.frame(3)]);
    },
  },
];
