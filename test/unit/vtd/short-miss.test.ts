import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EXEC, READ } from '../../../vmm/bus/dma.ts';
import { runs } from '../../kit/runs.ts';
import { type PasidFields, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;
const PASID = 5;
const FIRST = 1;
const SECOND = 2;
const NESTED = 3;
/** Known to the paging-structure cache, and the page behind it in the same tables. */
const WARM = 0x8000_0000;
const PAGE = WARM + 0x1000;
const WARM_TARGET = 0x80_0000;
const TARGET = WARM_TARGET + 0x1000;
const WINDOW = 0xfee0_0000;
/** In a 2 MiB page of its own, in the table that also leads to WARM_TARGET's, and where that is. */
const LARGE = 0xa0_1000;
const LARGE_TARGET = 0xc0_0000;
const WINDOW_2M = 0xfee0_0000;
const PS = 0x80n;
const ALL_FIRST = 0x467;
const ALL_SECOND = 0x307;

interface World {
  /** PGTT of a PASID-table entry, or legacy mode. */
  readonly type: number | 'legacy';
  readonly controls: PasidFields;
  readonly privileged: boolean;
  /** Of the page: bits of its leaves, and of the entries above. */
  readonly first: bigint;
  readonly second: bigint;
  readonly firstAbove: bigint;
  readonly secondAbove: bigint;
  readonly toWindow: boolean;
  /** Nested: the page is part of a 2 MiB leaf, or of a table where a leaf could be. */
  readonly large: boolean;
  readonly accesses: readonly number[];
}

/** Without SSEE a page that the second stage does not let be read may not be executed either, whatever the first stage says. */
const EXECUTED_UNREAD: World = {
  type: NESTED,
  controls: { SRE: 1, ERE: 1, WPE: 0, NXE: 0, SMEP: 0, EAFE: 0, SSADE: 0, SSEE: 0 },
  privileged: false,
  first: 0x67n,
  second: 0x302n,
  firstAbove: 6n,
  secondAbove: 0x107n,
  toWindow: false,
  large: false,
  accesses: [EXEC],
};

/** Set more often than not. */
const usually = fc.integer({ min: 0, max: 5 }).map((n) => n > 0);
const bit = (at: number, often = usually) => often.map((on) => (on ? 1n << BigInt(at) : 0n));
const rarely = usually.map((on) => !on);
const bits = (...parts: fc.Arbitrary<bigint>[]) =>
  fc.tuple(...parts).map((list) => list.reduce((a, b) => a | b, 0n));
const control = fc.integer({ min: 0, max: 1 });

const worlds: fc.Arbitrary<World> = fc.record({
  type: fc.constantFrom<World['type']>('legacy', FIRST, SECOND, NESTED),
  controls: fc.record({
    SRE: fc.constant(1),
    ERE: control,
    WPE: control,
    NXE: control,
    SMEP: control,
    EAFE: control,
    SSADE: control,
    SSEE: control,
  }),
  privileged: fc.boolean(),
  // P, R/W, U/S, A, D, PAT, G, EA, a bit beyond the host's width, XD.
  first: bits(...[0, 1, 2, 5, 6, 10].map((at) => bit(at)), ...[7, 8, 50, 63].map((at) => bit(at, rarely))),
  // R, W, X, A, D, an ignored bit, SNP, a bit of the address that a 2 MiB leaf may not have, one beyond the host's width.
  second: bits(...[0, 1, 2, 8, 9].map((at) => bit(at)), ...[5, 11, 15, 50].map((at) => bit(at, rarely))),
  firstAbove: bits(bit(1), bit(2), bit(63, rarely)),
  secondAbove: bits(...[0, 1, 2, 8].map((at) => bit(at))),
  toWindow: rarely,
  large: fc.boolean(),
  accesses: fc.array(fc.constantFrom(1, 2, 4, 3, 5, 7), { minLength: 1, maxLength: 3 }),
});

const machines = [new ScalableMachine(), new ScalableMachine()] as const;
// Whoever wants this event gets no short way.
machines[1].tracer.select('vtd_iotlb_page_update');

/** Everything that can be seen of the accesses, after one that makes the last tables known. */
function accessed(m: ScalableMachine, w: World) {
  m.reset();
  m.unmaskFaults();
  const legacy = w.type === 'legacy';
  const first = m.page();
  const second = m.page();
  const out = w.toWindow ? WINDOW : TARGET;
  const leaves: number[] = [];
  if (w.type === FIRST || w.type === NESTED) {
    m.store(m.mapFirst(first, 4, WARM, WARM_TARGET | ALL_FIRST, 1), WARM_TARGET | ALL_FIRST);
    leaves.push(
      m.mapFirst(first, 4, PAGE, BigInt(w.type === FIRST ? out : w.large ? LARGE : TARGET) | w.first),
    );
    above(m, first, 1n | 0x20n | 0x400n | w.firstAbove);
  }
  if (w.type === NESTED) {
    const end = m.page();
    for (let page = first; page < end; page += 4096) m.identity(second, page, ALL_SECOND);
    m.identity(second, WARM_TARGET, ALL_SECOND);
    if (w.large)
      leaves.push(m.map(second, 4, LARGE, BigInt(w.toWindow ? WINDOW_2M : LARGE_TARGET) | w.second | PS, 2));
    else leaves.push(m.map(second, 4, TARGET, BigInt(out) | w.second));
  } else if (w.type !== FIRST) {
    m.map(second, 4, WARM, WARM_TARGET | ALL_SECOND);
    leaves.push(m.map(second, 4, PAGE, BigInt(out) | w.second));
    above(m, second, 3n | w.secondAbove);
  }
  if (legacy) {
    m.context(DEV, { P: 1, AW: 2, DID: 7, SSPTPTR: second });
    m.start();
  } else {
    m.store(0x30000, 0x38000 | 1);
    m.scalableContext(DEV);
    m.pasid(PASID, { PGTT: w.type as number, DID: 7, AW: 2, FSPTPTR: first, SSPTPTR: second, ...w.controls });
    m.startScalable();
  }
  const port = legacy ? m.port(DEV) : m.pasidPort(DEV, PASID, w.privileged);
  const warm = port.translate(WARM, 0, READ);
  const answers = w.accesses.map((access) => {
    const answer = port.translate(PAGE, 0, access);
    return answer === 0 ? [port.outLo, port.outHi, port.outSpan] : answer;
  });
  const { s } = m.device;
  return {
    warm,
    answers,
    leaves: leaves.map((at) => m.load(at)),
    record: [m.record(0), m.record(1)],
    iotlb: live(s.iotlb),
    paging: live(s.pagingCache),
    watched: s.watched,
  };
}

/** Gives the entries above the leaves of the page these bits. */
function above(m: ScalableMachine, top: number, rights: bigint): void {
  for (const at of entriesAbove(m, top, PAGE)) m.store(at, (m.load(at) & 0xffff_f000n) | rights);
}

/** Where the entries of an address are, but for its leaf. */
function entriesAbove(m: ScalableMachine, top: number, address: number): number[] {
  let table = top;
  return [39n, 30n, 21n].map((shift) => {
    const at = table + Number((BigInt(address) >> shift) & 511n) * 8;
    table = Number(m.load(at) & 0xffff_f000n);
    return at;
  });
}

function live(rows: Uint32Array): number[][] {
  const found: number[][] = [];
  for (let r = 0; r < rows.length; r += 8) if (rows[r + 2] !== 0) found.push([...rows.subarray(r, r + 8)]);
  return found;
}

test('whatever the entries say, a miss in few steps ends as a walk does', { timeout: 300_000 }, () => {
  const ends = { warm: 0, short: 0 };
  fc.assert(
    fc.property(worlds, (w) => {
      const [quick, slow] = machines.map((m) => accessed(m, w));
      expect(quick).toEqual(slow);
      if (quick!.warm === 0) ends.warm++;
      if (quick!.answers.some((answer) => typeof answer !== 'number')) ends.short++;
    }),
    { numRuns: runs(300), examples: [[EXECUTED_UNREAD]] },
  );
  expect(ends.warm).toBeGreaterThan(runs(100));
  expect(ends.short).toBeGreaterThan(runs(25, 1));
});

/** In other tables: what asks for it is known then. */
const OTHER = 0xc000_0000;
const OTHER_TARGET = 0xa0_0000;

/** PASIDs of one domain and the same tables, with accessed and dirty bits in the second stage or without. */
function shared(...entries: readonly PasidFields[]) {
  const m = new ScalableMachine();
  const first = m.page();
  const second = m.page();
  const leaves: number[] = [];
  for (const [page, target] of [
    [WARM, WARM_TARGET],
    [PAGE, TARGET],
    [OTHER, OTHER_TARGET],
  ] as const) {
    leaves.push(m.mapFirst(first, 4, page, target | ALL_FIRST));
    m.map(second, 4, page, target | ALL_SECOND);
    leaves.push(m.map(second, 4, target, target | ALL_SECOND));
  }
  const end = m.page();
  for (let page = first; page < end; page += 4096) m.identity(second, page, ALL_SECOND);
  m.scalableContext(DEV);
  entries.forEach((fields, n) => {
    m.pasid(PASID + n, { DID: 7, AW: 2, FSPTPTR: first, SSPTPTR: second, SRE: 1, ...fields });
  });
  m.startScalable();
  const ports = entries.map((_, n) => m.pasidPort(DEV, PASID + n));
  return { m, first, second, ports, tables: leaves.map((at) => at & -4096) };
}

test.each([
  ['of the second stage', SECOND, PAGE],
  ['of a nested one', NESTED, TARGET],
])(
  'tables %s that a walk without accessed bits found: one with them sets those above',
  (_, PGTT, address) => {
    const { m, second, ports } = shared({ PGTT, SSADE: 0 }, { PGTT, SSADE: 1 });
    const entries = () => entriesAbove(m, second, address).map((at) => Number(m.load(at) & 0xfffn));

    for (const port of ports) port.translate(OTHER, 0, READ);
    const before = entries();
    const warm = ports[0]!.translate(WARM, 0, READ);
    const between = entries();
    const answer = ports[1]!.translate(PAGE, 0, READ);

    expect([warm, answer, ports[1]!.outLo]).toEqual([0, 0, TARGET]);
    // Above the last one, OTHER may have the same tables.
    expect([before.at(-1), between.at(-1), entries().at(-1)]).toEqual([3, 3, 0x103]);
  },
);

test('a table that only a cache still leads to is watched again once it is used', () => {
  const { m, first, second, ports, tables } = shared({ PGTT: NESTED });
  const [firstTable, secondTable] = tables as [number, number];
  const watched = () =>
    [firstTable, secondTable].map((at) => m.device.s.watched.some(({ page }) => page === at >>> 12));
  ports[0]!.translate(WARM, 0, READ);

  const before = watched();
  m.store(entriesAbove(m, first, PAGE)[2]!, 0);
  m.store(entriesAbove(m, second, TARGET)[2]!, 0);
  m.submit((8n << 16n) | 0x22n);
  const detached = watched();
  ports[0]!.translate(OTHER, 0, READ);
  const answer = ports[0]!.translate(PAGE, 0, READ);

  expect([before, detached, answer, ports[0]!.outLo, watched()]).toEqual([
    [true, true],
    [false, false],
    0,
    TARGET,
    [true, true],
  ]);
});
