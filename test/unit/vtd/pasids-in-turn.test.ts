import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DMA_OK, DMA_UR, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { runs } from '../../kit/runs.ts';
import { ScalableMachine } from '../../kit/vtd-scalable.ts';

// Requests of several PASIDs in turn are answered from copies of IOTLB rows: never otherwise than by the rows.

const DEVICES = [0x18, 0x19];
const PASID_COUNT = 6;
/** The last three lie in one set of the IOTLB, which holds two. */
const PAGES = [1, 0x1ffff, 0x2fffe, 0x3fffd];
const TARGETS = 0x80_0000;
/** A leaf that users may write, accessed, and not dirty yet; a table of pages of 2 MiB; read only. */
const LEAF = 0x27;
const READ_ONLY = 0x25;
const ANY_LEAF = [LEAF, LEAF, LEAF, READ_ONLY, 0x67, 0];

type Step =
  | { readonly device: number; readonly pasid: number; readonly page: number; readonly access: number }
  | { readonly page: number; readonly target: number; readonly bits: number }
  | { readonly drop: readonly [bigint, bigint] };

const pasids = fc.integer({ min: 0, max: PASID_COUNT - 1 });
const pages = fc.constantFrom(...PAGES);
const request = fc.record({
  device: fc.nat(1),
  pasid: pasids,
  page: pages,
  access: fc.constantFrom(READ, READ, WRITE),
});
const change = fc.record({ page: pages, target: fc.nat(7), bits: fc.constantFrom(...ANY_LEAF) });
const of = (pasid: number) => (BigInt(pasid) << 32n) | (BigInt(8 + (pasid & 1)) << 16n);
const at = (page: number) => BigInt(page) << 12n;
const DROPS: readonly ((pasid: number, page: number) => readonly [bigint, bigint])[] = [
  (pasid, page) => [of(pasid) | 0x36n, at(page)],
  (pasid, page) => [of(pasid) | 0x36n, at(page & -16) | 4n],
  (pasid) => [of(pasid) | 0x26n, 0n],
  (pasid) => [of(pasid) | 0x17n, 0n],
  () => [0x12n, 0n],
];
const drop = fc
  .tuple(fc.constantFrom(...DROPS), pasids, pages)
  .map(([how, pasid, page]) => ({ drop: how(pasid, page) }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: request, weight: 20 },
  { arbitrary: change, weight: 3 },
  { arbitrary: drop, weight: 2 },
);
const list = (max: number) => fc.array(step, { maxLength: max });
/** What devices do: the same requests over and over; now and then one is mapped elsewhere, and dropped or not. */
const steps = fc
  .tuple(
    fc.uniqueArray(request, {
      minLength: 2,
      maxLength: 6,
      selector: ({ device, pasid }) => device * 16 + pasid,
    }),
    list(4),
    fc.array(fc.tuple(fc.nat(5), fc.nat(7), fc.nat(5), list(2)), { maxLength: 6 }),
  )
  .map(([round, first, changes]) => {
    const rounds = [...round, ...round, ...round, ...round];
    const later = changes.flatMap(([which, target, how, others]) => {
      const { device, pasid, page } = round[which % round.length]!;
      const drop = DROPS[how]?.(pasid, page);
      // Without a dropping command a write that finds the page gone drops it.
      const moved: Step = { page, target, bits: drop === undefined ? 0 : LEAF };
      const after: Step = drop === undefined ? { device, pasid, page, access: WRITE } : { drop };
      return [moved, after, ...others, ...rounds];
    });
    return [...first, ...rounds, ...later];
  });

class World {
  readonly m = new ScalableMachine();
  readonly #ports: DmaPort[];
  readonly #leaves = new Map<number, number>();
  readonly #secondLeaves = new Map<number, number>();

  constructor() {
    const { m } = this;
    const top = m.page();
    for (const page of PAGES) this.#leaves.set(page, m.mapFirst(top, 4, page * 4096, TARGETS | LEAF));
    for (const device of DEVICES) m.scalableContext(device);
    // PASIDs 0 and 2 have a second stage alone, and thereby the same rows.
    const second = m.page();
    for (const page of PAGES) this.#secondLeaves.set(page, m.map(second, 4, page * 4096, TARGETS | 3));
    for (let pasid = 0; pasid < PASID_COUNT; pasid++) {
      const stages = (pasid & 3) === 0 ? { PGTT: 2, AW: 2, SSPTPTR: second } : { PGTT: 1, FSPTPTR: top };
      m.pasid(pasid, { DID: 8 + (pasid & 1), ...stages });
    }
    m.startScalable();
    this.#ports = DEVICES.map((device) => m.pasidPort(device, 0));
  }

  /** The second stage leads the page elsewhere. */
  move(page: number, target: number): void {
    this.m.store(this.#secondLeaves.get(page)!, (TARGETS + target * 4096) | 3);
  }

  /** What the device sees of it. */
  do(s: Step): string {
    if ('drop' in s) this.m.submit(...s.drop);
    else if ('target' in s) this.m.store(this.#leaves.get(s.page)!, (TARGETS + s.target * 4096) | s.bits);
    else {
      const port = this.#ports[s.device]!;
      port.pasid = s.pasid;
      const status = port.translate(s.page * 4096 + 0x123, 0, s.access);
      return status === DMA_OK ? `${port.outHi}:${port.outLo}+${port.outSpan}` : `${status}`;
    }
    return '';
  }
}

function rows({ m }: World): Uint8Array {
  const { iotlb } = m.device.s;
  return new Uint8Array(iotlb.buffer, iotlb.byteOffset, iotlb.byteLength);
}

test('whoever forgets everything but the IOTLB before each request gets the same answers', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const usual = new World();
      const forgetful = new World();

      const seen = all.map((s) => usual.do(s));
      const expected = all.map((s) => {
        forgetful.m.device.dropCache();
        return forgetful.do(s);
      });

      expect(seen).toEqual(expected);
      expect(Buffer.compare(rows(usual), rows(forgetful))).toBe(0);
    }),
    { numRuns: runs(15, 3) },
  );
});

/** Two pages of one set more than it holds put out `page`. */
function putOut(w: World, device: number, pasid: number, page: number): void {
  for (const other of [0x1ffff, 0x2fffe, 0x3fffd])
    if (other !== page) w.do({ device, pasid, page: other, access: READ });
}

function inTurn(w: World, requests: readonly Step[], times = 4): string[] {
  let seen: string[] = [];
  for (let i = 0; i < times; i++) seen = requests.map((r) => w.do(r));
  return seen;
}

const read = (device: number, pasid: number, page: number): Step => ({ device, pasid, page, access: READ });
const OLD = `0:${TARGETS + 0x123}+${0x1000 - 0x123}`;
const NEW = `0:${TARGETS + 0x3123}+${0x1000 - 0x123}`;

test('a translation that others put out of the IOTLB is not used any longer', () => {
  const w = new World();
  const before = inTurn(w, [read(0, 1, 0x1ffff), read(0, 3, 1)]);
  putOut(w, 0, 1, 0x1ffff);
  w.do({ page: 0x1ffff, target: 3, bits: LEAF });

  const after = inTurn(w, [read(0, 1, 0x1ffff), read(0, 3, 1)], 1);

  expect([before, after]).toEqual([
    [OLD, OLD],
    [NEW, OLD],
  ]);
});

test('nor by any of two functions that shared it', () => {
  const w = new World();
  const others = [read(0, 1, 1), read(1, 1, 1), read(0, 3, 1), read(1, 3, 1)];
  const round = [read(0, 0, 0x1ffff), read(1, 0, 0x1ffff), ...others];
  const before = inTurn(w, round);
  putOut(w, 1, 0, 0x1ffff);
  w.move(0x1ffff, 3);

  const after = inTurn(w, round, 1);

  expect([before, after]).toEqual([
    [OLD, OLD, OLD, OLD, OLD, OLD],
    [NEW, NEW, OLD, OLD, OLD, OLD],
  ]);
});

test('a page that is read in turn may not be written for that', () => {
  const w = new World();
  w.do({ page: 1, target: 0, bits: READ_ONLY });
  inTurn(w, [read(0, 1, 1), read(0, 3, 1)]);

  expect(w.do({ device: 0, pasid: 1, page: 1, access: WRITE })).toBe(`${DMA_UR}`);
});

test('a write that finds the tables changed, because a dirty bit is to be set, drops what reads used, of another function, too', () => {
  const w = new World();
  const before = inTurn(w, [read(0, 1, 1), read(0, 3, 1)]);
  w.do({ page: 1, target: 0, bits: 0 });
  const write = w.do({ device: 1, pasid: 1, page: 1, access: WRITE });

  expect([before, write, w.do(read(0, 1, 1))]).toEqual([[OLD, OLD], `${DMA_UR}`, `${DMA_UR}`]);
});
