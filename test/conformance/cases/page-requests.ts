import { expect } from 'vitest';
import { type Case, type Device, REFUSED, type Space, type World } from '../world.ts';
import { after, attached, expectNoFault, HERE } from './expect.ts';

const PRI = ['tables', 'pri'] as const;
const RECOVERY = ['tables', 'recovery'] as const;

function withPri(w: World, index = 0): { device: Device; space: Space } {
  const device = w.device(index);
  const space = w.space();
  w.attach(device, space, { ats: true, pri: true });
  return { device, space };
}

/** Faults that a device can wait for: page requests and stalls. */
export const PAGE_REQUESTS: readonly Case[] = [
  {
    name: 'a page request is queued as it came, and is no fault',
    needs: PRI,
    run(w) {
      const { device } = withPri(w);

      w.requestPage(device, HERE + 0x123n, true, 5, true);

      expect(w.pageRequests()).toEqual([{ ...device, page: HERE, write: true, group: 5, last: true }]);
      expect(w.responses).toEqual([]);
      expectNoFault(w);
    },
  },
  {
    name: 'a response reaches the device that asked, with its group',
    needs: PRI,
    run(w) {
      const a = withPri(w, 0);
      const b = withPri(w, 1);
      w.requestPage(a.device, HERE, false, 1, true);
      w.requestPage(b.device, HERE, false, 2, true);
      const [first, second] = w.pageRequests();

      w.respond(second!, 'success');
      w.respond(first!, 'invalid');

      expect(w.responses).toEqual([
        [b.device.requester, b.device.pasid, 2, 'success'],
        [a.device.requester, a.device.pasid, 1, 'invalid'],
      ]);
    },
  },
  {
    name: 'a group of requests is answered once',
    needs: PRI,
    run(w) {
      const { device } = withPri(w);
      for (let page = 0; page < 3; page++) w.requestPage(device, after(w, HERE, page), false, 4, page === 2);
      const requests = w.pageRequests();

      w.respond(requests[2]!, 'success');

      expect([requests.map((r) => r.last), w.responses.length]).toEqual([[false, false, true], 1]);
    },
  },
  {
    name: 'requests that find the queue full are lost and told; groups that end then are answered',
    needs: PRI,
    run(w) {
      const { device } = withPri(w);
      for (let i = 0; i < w.requestRoom; i++) w.requestPage(device, HERE, false, 1, true);
      const fits = w.requestsLost();

      w.requestPage(device, HERE, false, 2, false);
      w.requestPage(device, HERE, false, 2, true);
      const responses = w.responses.map((r) => r[2]);
      const taken = w.pageRequests().length;

      expect([fits, responses, taken, w.requestsLost()]).toEqual([false, [2], w.requestRoom, true]);
      w.requestPage(device, HERE, false, 3, true);
      expect(w.pageRequests().map((r) => r.group)).toEqual([3]);
    },
  },
  {
    name: 'a device that may not ask for pages is answered that it failed',
    needs: PRI,
    run(w) {
      const device = w.device(0);
      w.attach(device, w.space(), { ats: true });

      w.requestPage(device, HERE, false, 6, true);

      expect([w.pageRequests(), w.responses.map((r) => [r[0], r[2], r[3]]), w.faults().length]).toEqual([
        [],
        [[device.requester, 6, 'failure']],
        1,
      ]);
    },
  },
  {
    name: 'a response nobody waits for harms nothing',
    needs: PRI,
    run(w) {
      const { device, space } = withPri(w);
      w.map(space, HERE, 1);

      w.respond({ ...device, page: HERE, write: false, group: 9, last: true }, 'failure');

      expect(w.access(device, HERE)).toBe(w.frame(1));
      expectNoFault(w);
    },
  },
  {
    name: 'an access that waits is done once its page is mapped',
    needs: RECOVERY,
    run(w) {
      const { device, space } = withPri(w);

      const landing = w.recover(device, HERE, () => w.map(space, HERE, 3), 'retry');

      expect([landing, w.access(device, HERE)]).toEqual([w.frame(3), w.frame(3)]);
    },
  },
  {
    name: 'an access that waits is refused when software gives it up',
    needs: RECOVERY,
    run(w) {
      const { device, space } = withPri(w);

      expect(w.recover(device, HERE, () => {}, 'give up')).toBe(REFUSED);
      w.map(space, HERE, 3);
      expect(w.access(device, HERE)).toBe(w.frame(3));
    },
  },
  {
    name: 'an access that is retried in vain is refused',
    needs: RECOVERY,
    run(w) {
      const { device } = withPri(w);

      expect(w.recover(device, HERE, () => {}, 'retry')).toBe(REFUSED);
    },
  },
  {
    name: 'an access of a mapped page does not wait',
    needs: RECOVERY,
    run(w) {
      const { device, space } = withPri(w);
      w.map(space, HERE, 3);
      let mended = 0;

      expect(w.recover(device, HERE, () => mended++, 'retry')).toBe(w.frame(3));
      expect(mended).toBe(0);
    },
  },
  {
    name: 'other devices, and other pages of the device, go on while an access waits',
    needs: RECOVERY,
    run(w) {
      const { device, space } = withPri(w);
      const other = attached(w, 1);
      w.map(other.space, HERE, 4);
      const seen: unknown[] = [];

      w.recover(
        device,
        HERE,
        () => {
          seen.push(w.access(other.device, HERE));
          w.map(space, HERE, 3);
        },
        'retry',
      );

      expect(seen).toEqual([w.frame(4)]);
    },
  },
  {
    name: 'a page that was recovered, unmapped and invalidated is asked for again',
    needs: RECOVERY,
    run(w) {
      const { device, space } = withPri(w);
      w.recover(device, HERE, () => w.map(space, HERE, 3), 'retry');
      w.unmap(space, HERE);
      w.invalidate(space, HERE);

      expect(w.recover(device, HERE, () => w.map(space, HERE, 5), 'retry')).toBe(w.frame(5));
    },
  },
];
