import { expect } from 'vitest';
import { Rng } from '../../../vmm/core/rng.ts';
import { type Case, type Device, type Landing, REFUSED, type Space, type World } from '../world.ts';
import { after, attached, expectFault, HERE } from './expect.ts';

const DEVICES = 6;
const PAGES = 8;

/** A space as software knows it: frame by page. */
interface Known {
  readonly device: Device;
  readonly space: Space;
  readonly frames: (number | undefined)[];
}

function known(w: World, index: number): Known {
  return { ...attached(w, index), frames: new Array(PAGES).fill(undefined) };
}

function fill(w: World, k: Known): void {
  for (let page = 0; page < PAGES; page++) {
    k.frames[page] = page;
    w.map(k.space, after(w, HERE, page), page);
  }
}

/** What the device meets at a page is what software mapped there. */
function agrees(w: World, k: Known, page: number): void {
  const frame = k.frames[page];
  expect(w.access(k.device, after(w, HERE, page))).toBe(frame === undefined ? REFUSED : w.frame(frame));
  if (frame === undefined) w.faults();
}

/** A map, an unmap or a change, announced as it has to be; then every device looks at a page. */
function step(w: World, all: readonly Known[], rng: Rng): void {
  const k = all[rng.below(all.length)]!;
  const page = rng.below(PAGES);
  const at = after(w, HERE, page);
  const was = k.frames[page];
  if (rng.below(3) === 0) {
    w.unmap(k.space, at);
    k.frames[page] = undefined;
  } else {
    const frame = rng.below(16);
    w.map(k.space, at, frame);
    k.frames[page] = frame;
  }
  if (was !== undefined) w.invalidate(k.space, at);
  for (const other of all) agrees(w, other, rng.below(PAGES));
  w.faultsLost();
}

/** What a space maps: pages in a table, or one block over all of them. */
class Picture {
  readonly #w: World;
  readonly #rng: Rng;
  readonly device: Device;
  readonly #space: Space;
  #block = false;
  readonly #frames: (number | undefined)[] = new Array(PAGES).fill(undefined);
  readonly #writable: boolean[] = new Array(PAGES).fill(false);

  constructor(w: World, rng: Rng) {
    this.#w = w;
    this.#rng = rng;
    ({ device: this.device, space: this.#space } = attached(w));
  }

  /** One change, and an invalidation that announces it. */
  change(): void {
    if (this.#block) this.#breakBlock();
    else if (this.#rng.below(5) === 0) this.#makeBlock();
    else this.#changePage(this.#rng.below(PAGES));
  }

  #makeBlock(): void {
    const write = this.#rng.below(2) === 0;
    this.#w.map(this.#space, HERE, 0, { block: true, write });
    this.#block = true;
    for (let page = 0; page < PAGES; page++) {
      this.#frames[page] = page;
      this.#writable[page] = write;
    }
    if (this.#rng.below(2) === 0) this.#w.invalidateSpace(this.#space);
    else this.#w.invalidateAll();
  }

  #breakBlock(): void {
    this.#w.unmap(this.#space, HERE);
    this.#block = false;
    this.#frames.fill(undefined);
    if (this.#rng.below(3) === 0) this.#w.invalidateSpace(this.#space);
    else this.#w.invalidateBlock(this.#space, HERE);
  }

  #changePage(page: number): void {
    const at = after(this.#w, HERE, page);
    const frame = this.#rng.below(4) === 0 ? undefined : this.#rng.below(16);
    const write = this.#rng.below(3) !== 0;
    if (frame === undefined) this.#w.unmap(this.#space, at);
    else this.#w.map(this.#space, at, frame, { write });
    this.#frames[page] = frame;
    this.#writable[page] = write;
    const scope = this.#rng.below(8);
    if (scope === 0) this.#w.invalidateAll();
    else if (scope === 1) this.#w.invalidateSpace(this.#space);
    else if (scope < 4) this.#w.invalidate(this.#space, HERE, PAGES);
    else this.#w.invalidate(this.#space, at);
  }

  /** Every page is read and written as it is mapped. */
  check(): void {
    const seen: Landing[] = [];
    const wanted: Landing[] = [];
    for (let page = 0; page < PAGES; page++) {
      const frame = this.#frames[page];
      for (const write of [false, true]) {
        const refused = frame === undefined || (write && !this.#writable[page]);
        seen.push(this.#w.access(this.device, after(this.#w, HERE, page), { write }));
        wanted.push(refused ? REFUSED : this.#w.frame(frame));
        if (refused) this.#w.faults();
      }
    }
    expect(seen).toEqual(wanted);
  }
}

/** Teardown under load, and everything at once. */
export const LOAD: readonly Case[] = [
  {
    name: 'devices are torn down one after the other while the others work',
    needs: ['tables'],
    run(w) {
      const all = Array.from({ length: DEVICES }, (_, i) => known(w, i));
      for (const k of all) fill(w, k);
      for (let page = 0; page < PAGES; page++) for (const k of all) agrees(w, k, page);

      for (const [i, gone] of all.entries()) {
        w.detach(gone.device);
        w.forgetDevice(gone.device);
        w.invalidateSpace(gone.space);
        expectFault(w, gone.device, HERE, 'no-device');
        for (const k of all.slice(i + 1)) for (let page = 0; page < PAGES; page++) agrees(w, k, page);
      }
    },
  },
  {
    name: 'a space is torn down while two devices use it',
    needs: ['tables'],
    run(w) {
      const k = known(w, 0);
      const other = w.device(1);
      w.attach(other, k.space);
      fill(w, k);
      for (let page = 0; page < PAGES; page++) {
        agrees(w, k, page);
        agrees(w, { ...k, device: other }, page);
      }

      for (let page = 0; page < PAGES; page++) {
        w.unmap(k.space, after(w, HERE, page));
        k.frames[page] = undefined;
        w.invalidate(k.space, after(w, HERE, page));
        for (let seen = 0; seen < PAGES; seen++) {
          agrees(w, k, seen);
          agrees(w, { ...k, device: other }, seen);
        }
      }
    },
  },
  {
    name: 'PASIDs come and go while the device works with others',
    needs: ['tables', 'pasids'],
    run(w) {
      const { device, space } = attached(w);
      w.map(space, HERE, 1);
      const spaces = Array.from({ length: 8 }, () => w.space());
      for (const [i, s] of spaces.entries()) w.map(s, HERE, i + 2);

      for (let round = 0; round < 4; round++) {
        for (const [i, s] of spaces.entries()) {
          w.bind(device, 10 + i, s);
          w.forgetPasid(device, 10 + i, s);
        }
        const seen = spaces.map((_, i) => w.access(w.using(device, 10 + i), HERE));
        expect(seen).toEqual(spaces.map((_, i) => w.frame(i + 2)));
        for (const [i, s] of spaces.entries()) {
          w.unbind(device, 10 + i);
          w.forgetPasid(device, 10 + i, s);
          w.invalidateSpace(s);
          expectFault(w, w.using(device, 10 + i), HERE, 'no-pasid');
          expect(w.access(device, HERE)).toBe(w.frame(1));
        }
      }
    },
  },
  {
    name: 'a PASID is torn down while its page request waits',
    needs: ['tables', 'pasids', 'pri'],
    run(w) {
      const device = w.device(0);
      const [own, space] = [w.space(), w.space()];
      w.attach(device, own, { ats: true, pri: true });
      w.bind(device, 10, space);
      w.requestPage(w.using(device, 10), HERE, false, 3, true);

      w.unbind(device, 10);
      w.forgetPasid(device, 10, space);
      w.invalidateSpace(space);
      const [request] = w.pageRequests();
      w.respond(request!, 'invalid');

      expect(w.responses).toEqual([[device.requester, 10, 3, 'invalid']]);
      expect(w.translationRequest(w.using(device, 10), HERE)).toBe(REFUSED);
    },
  },
  {
    name: 'a device is torn down while its access waits',
    needs: ['tables', 'recovery'],
    run(w) {
      const device = w.device(0);
      const space = w.space();
      w.attach(device, space, { ats: true, pri: true });
      const teardown = () => {
        w.detach(device);
        w.forgetDevice(device);
        w.invalidateSpace(space);
      };

      expect(w.recover(device, HERE, teardown, 'retry')).toBe(REFUSED);
      w.faults();
      expectFault(w, device, HERE, 'no-device');
    },
  },
  {
    name: 'two hundred changes of four spaces, each announced: every device sees what is mapped',
    needs: ['tables'],
    run(w) {
      const all = Array.from({ length: 4 }, (_, i) => known(w, i));
      const rng = new Rng(0x5eed);

      for (let i = 0; i < 200; i++) step(w, all, rng);
    },
  },
  {
    name: 'changes of pages, blocks and rights, announced by every scope: reads and writes agree with what is mapped',
    needs: ['tables'],
    run(w) {
      const picture = new Picture(w, new Rng(0xb10c));

      for (let i = 0; i < 120; i++) {
        picture.change();
        picture.check();
      }
    },
  },
];
