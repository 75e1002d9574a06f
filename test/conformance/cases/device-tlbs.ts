import { expect } from 'vitest';
import { type Case, type Device, REFUSED, type Space, type World } from '../world.ts';
import { after, expectFault, expectNoFault, HERE } from './expect.ts';

const ATS = ['tables', 'ats'] as const;

function withAts(w: World): { device: Device; space: Space } {
  const device = w.device(0);
  const space = w.space();
  w.attach(device, space, { ats: true });
  return { device, space };
}

/** Translation requests, translated requests, and invalidations of device-TLBs. */
export const DEVICE_TLBS: readonly Case[] = [
  {
    name: 'a translation request is answered with the address, and that is accepted as translated',
    needs: ATS,
    run(w) {
      const { device, space } = withAts(w);
      w.map(space, HERE, 3);

      const grant = w.translationRequest(device, HERE, true);

      expect(grant).toEqual({ at: w.frame(3), write: true });
      expect(w.translated(device, w.frame(3, 0x20))).toBe(w.frame(3, 0x20));
      expectNoFault(w);
    },
  },
  {
    name: 'a translation request of a read-only page is granted no writes',
    needs: ATS,
    run(w) {
      const { device, space } = withAts(w);
      w.map(space, HERE, 3, { write: false });

      expect(w.translationRequest(device, HERE, true)).toEqual({ at: w.frame(3), write: false });
      expectNoFault(w);
    },
  },
  {
    name: 'a translation request of a page that is not mapped is granted nothing, and that is no fault',
    needs: ATS,
    run(w) {
      const { device } = withAts(w);

      expect(w.translationRequest(device, HERE)).toBe('nothing');
      expectNoFault(w);
    },
  },
  {
    name: 'translated requests of a device without ATS are refused, and told',
    needs: ATS,
    run(w) {
      const device = w.device(0);
      const space = w.space();
      w.attach(device, space);
      w.map(space, HERE, 3);

      const landing = w.translated(device, w.frame(3));

      expect([landing, w.faults().map((f) => [f.code, f.requester])]).toEqual([
        REFUSED,
        [[w.code('translated-forbidden', false), device.requester]],
      ]);
    },
  },
  {
    name: 'translation requests of a device without ATS are refused',
    needs: ATS,
    run(w) {
      const device = w.device(0);
      w.attach(device, w.space());

      expect([w.translationRequest(device, HERE), w.faults().length]).toEqual([REFUSED, 1]);
    },
  },
  {
    name: 'an invalidation reaches the device-TLB with its page and PASID, and is waited for',
    needs: ATS,
    run(w) {
      const { device } = withAts(w);

      const done = w.invalidateDevice(device, HERE);

      expect([done, w.sent]).toEqual([true, [{ ...device, page: HERE, order: 0 }]]);
    },
  },
  {
    name: 'a device that does not complete an invalidation is told, and the queue works again',
    needs: ATS,
    run(w) {
      const { device, space } = withAts(w);
      w.answering = false;
      const silent = w.invalidateDevice(device, HERE);
      w.answering = true;

      const done = w.invalidateDevice(device, HERE);
      w.map(space, HERE, 1);
      w.invalidate(space, HERE);

      expect([silent, done, w.access(device, HERE)]).toEqual([false, true, w.frame(1)]);
    },
  },
  {
    name: 'untranslated requests of a device with ATS are translated like any',
    needs: ATS,
    run(w) {
      const { device, space } = withAts(w);
      w.map(space, HERE, 3);

      expect(w.access(device, HERE)).toBe(w.frame(3));
      expectFault(w, device, after(w, HERE, 1), 'not-mapped');
    },
  },
];
