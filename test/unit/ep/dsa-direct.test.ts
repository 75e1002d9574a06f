import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BATCH, FILL } from '../../kit/dsa-rig.ts';
import { DsaVtd } from '../../kit/dsa-vtd.ts';
import { runs } from '../../kit/runs.ts';

/** Pages 0 to 9 of the process; the list of batches is in page 8, which descriptors write to now and then. */
const USER = 0x8000_0000;
const DATA = 0x40_0000;
const PAGES = 10;
const LIST = USER + 8 * 4096;
/** No page of these is RAM: of a register of the IOMMU, and of nothing. */
const REGISTERS = 0xfed9_0000;
const NOTHING = 0x3000_0000;
/** Machines are large. More runs: DSA_RUNS=1000. */
const RUNS = Number(process.env['DSA_RUNS'] ?? runs(40));
const WRITABLE = 0x67;
const READABLE = 0x65;

interface Parts {
  readonly op: number;
  readonly flags: number;
  readonly cr: number;
  readonly src: number;
  readonly dst: number;
  readonly size: number;
  readonly odd: number;
}

type Step =
  | { readonly kind: 'one'; readonly parts: Parts }
  | { readonly kind: 'batch'; readonly list: readonly Parts[]; readonly flags: number; readonly cr: number }
  | {
      readonly kind: 'map';
      readonly page: number;
      readonly to: number;
      readonly bits: number;
      readonly flush: boolean;
    }
  | { readonly kind: 'log' | 'clear' | 'time' | 'restart' };

const address = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 7 * 4096 - 1 }).map((n) => USER + (n & ~7)) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: PAGES * 4096 - 1 }).map((n) => USER + n) },
  { weight: 1, arbitrary: fc.nat() },
);
const record = fc.integer({ min: 0, max: (PAGES * 4096) / 32 - 1 }).map((n) => USER + n * 32);
const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 9000 }) },
);
const flags = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(0xc, 0xc, 0xe, 0x10c, 0x200c, 4, 0) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
);
const parts: fc.Arbitrary<Parts> = fc.record({
  op: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(0, 3, 3, 4, 5) },
    { weight: 1, arbitrary: fc.constantFrom(1, 2, 6, 0x10, 0x20, 0x55) },
  ),
  flags,
  cr: fc.oneof({ weight: 30, arbitrary: record }, { weight: 1, arbitrary: address }),
  src: address,
  dst: address,
  size,
  odd: fc.oneof(
    { weight: 30, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 63 }) },
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('one' as const), parts }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      list: fc.array(parts, { minLength: 2, maxLength: 6 }),
      flags: fc.constantFrom(0xc, 0xc, 0, 0x1c),
      cr: record,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('map' as const),
      page: fc.integer({ min: 0, max: PAGES - 1 }),
      to: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: PAGES - 1 }).map((n) => DATA + n * 4096) },
        { weight: 1, arbitrary: fc.constantFrom(REGISTERS, NOTHING) },
      ),
      bits: fc.constantFrom(WRITABLE, WRITABLE, READABLE, 0),
      flush: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('log' as const, 'clear', 'time', 'restart') }) },
);

/** A descriptor; `odd` of 1 to 63 sets a bit where none may be, or one more of the address. */
function words(p: Parts): Uint32Array {
  const w = new Uint32Array(16);
  w[1] = ((p.op << 24) | p.flags) >>> 0;
  w[2] = p.cr;
  w[4] = p.src;
  w[6] = p.dst;
  w[8] = p.size;
  w[9] = (p.flags & 0x10) === 0 ? 0 : 1;
  if (p.odd > 0) w[p.odd >>> 2]! ^= 1 << (8 * (p.odd & 3));
  return w;
}

function play(steps: readonly Step[], fill: Uint8Array, direct: boolean) {
  const rig = new DsaVtd({ direct, ramBytes: 8 << 20 });
  const { vtd } = rig;
  const { ram } = vtd;
  const traced: unknown[] = [];
  vtd.tracer.watch(
    () => true,
    ({ time, name, args }) => traced.push([time, name, ...args]),
  );
  for (let i = 0; i < PAGES * 4096; i++) ram.u8[DATA + i] = fill[(i * 7) % fill.length]!;
  for (let page = 0; page < PAGES; page++) rig.map(USER + page * 4096, DATA + page * 4096);
  // The ATC has every page, as after some use.
  for (let page = 0; page < PAGES; page++)
    rig.submit(words({ op: FILL, flags: 0, cr: 0, src: 0, dst: USER + page * 4096, size: 8, odd: 0 }));
  for (const s of steps) act(rig, s);
  // Pages that are still waited for come.
  for (let page = 0; page < PAGES; page++) rig.map(USER + page * 4096, DATA + page * 4096);
  return {
    ram: Buffer.from(ram.u8.subarray(0, ram.end)),
    rest: JSON.stringify({
      dirty: [...ram.dirty],
      device: rig.dsa.stateDef().save(rig.dsa.s),
      iommu: vtd.device.stateDef().save(vtd.device.s),
      ring: vtd.tracer.recent().map(({ time, name, args }) => [time, name, ...args]),
      traced,
      delivered: vtd.delivered,
      now: vtd.clock.now,
    }),
  };
}

function act(rig: DsaVtd, s: Step): void {
  const { vtd } = rig;
  switch (s.kind) {
    case 'one':
      rig.submit(words(s.parts));
      return;
    case 'batch': {
      for (const [i, p] of s.list.entries()) vtd.ram.u32.set(words(p), (LIST - USER + DATA + i * 64) >>> 2);
      const batch = { op: BATCH, flags: s.flags, cr: s.cr, src: LIST, dst: 0, size: s.list.length, odd: 0 };
      rig.submit(words(batch));
      return;
    }
    case 'map':
      rig.map(USER + s.page * 4096, s.to, s.bits);
      if (s.flush) rig.flush(USER + s.page * 4096);
      return;
    case 'log':
      vtd.ram.setDirtyLogging(true);
      return;
    case 'clear':
      vtd.ram.clearDirty();
      return;
    case 'time':
      vtd.clock.advanceTo(vtd.clock.now + 2000);
      return;
    case 'restart':
      rig.dsa.dropCache();
      return;
  }
}

describe('descriptors that are done directly', () => {
  test('leave everything as those done step by step do', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 24 }),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        (steps, fill) => {
          const direct = play(steps, fill, true);
          const byStep = play(steps, fill, false);

          expect(direct.ram.equals(byStep.ram)).toBe(true);
          expect(direct.rest).toBe(byStep.rest);
        },
      ),
      { numRuns: RUNS },
    );
  }, 60_000);
});
