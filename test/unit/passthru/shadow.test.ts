import { describe, expect, test } from 'vitest';
import { vtdBinding } from '../../../viommu/port/vtd.ts';
import { NO_PASID } from '../../../vmm/bus/dma.ts';
import { NestedVtd } from '../../kit/nested.ts';

const AT = 0x8000_0000;
const DATA = 0x40_0000;
/** PASID-based IOTLB of PASID 5 in domain 5: a page, everything. */
const page = (at: number) => [0x5_0005_0036n, BigInt(at)] as const;
const EVERYTHING = [0x5_0005_0026n, 0n] as const;
/** IOTLB of domain 7: a page. */
const secondPage = (at: number) => [0x0007_0032n, BigInt(at)] as const;
const LARGE = 0x80;

/** PASID 5 has a first stage; words of RAM are their page numbers. */
function world(config = {}, mode: 'shadow' | 'nested' = 'shadow') {
  const w = new NestedVtd(config, { mode });
  const { u32 } = w.machine.ram;
  for (let i = 0; i < 8; i++) u32[(DATA + i * 4096) / 4] = i + 1;
  const read = (at: number, pasid: number | undefined = 5) => {
    const own = pasid === undefined ? {} : { pasid };
    const outcome = w.frames.run(0, { op: 'sum', src: at, size: 8, ...own });
    return outcome === 'done' ? w.frames.result(0) : outcome;
  };
  return { w, read };
}

const assignment = (w: NestedVtd) => w.passthrough.assignments[0]!;
const attached = (w: NestedVtd) =>
  w.passthrough
    .attachments(assignment(w).device)
    .map(([pasid, { kind }]) => `${pasid === NO_PASID ? 'requester' : pasid} ${kind}`);

describe('a first stage that is shadowed', () => {
  test('is a page table of the host of its own', () => {
    const { w } = world();
    w.passthrough.settle();

    expect(w.passthrough.pathOf(assignment(w))).toBe('shadow');
    expect(attached(w)).toEqual(['requester blocked', '5 shadow']);
  });

  test('has pages that became present without a word, tables with them', () => {
    const { w, read } = world();
    w.map(AT, DATA);
    const first = read(AT);
    w.map(AT + 0x4000_0000, DATA + 0x1000);

    expect([first, read(AT + 0x4000_0000)]).toEqual([1n, 2n]);
  });

  test('is stale until the guest announces that a page is another one', () => {
    const { w, read } = world();
    w.map(AT, DATA);
    const first = read(AT);
    w.map(AT, DATA + 0x1000);
    const second = read(AT);
    w.vtd.submit(...page(AT));

    expect([first, second, read(AT)]).toEqual([1n, 1n, 2n]);
  });

  test('and that a page is gone: then the guest has a fault or a page request', () => {
    const { w, read } = world();
    w.map(AT, DATA);
    read(AT);
    w.map(AT, 0);
    w.vtd.store(leafOf(w, AT), 0);
    const stale = read(AT);
    w.vtd.submit(...page(AT));

    expect(stale).toBe(1n);
    expect(read(AT)).toBe('fault');
  });

  test('keeps the neighbours of a page that is announced as they were', () => {
    const { w, read } = world();
    for (let i = 0; i < 4; i++) w.map(AT + i * 4096, DATA + i * 4096);
    read(AT);
    for (let i = 0; i < 4; i++) w.map(AT + i * 4096, DATA + (7 - i) * 4096);
    w.vtd.submit(...page(AT + 0x1000));

    expect([0, 1, 2, 3].map((i) => read(AT + i * 4096))).toEqual([1n, 7n, 3n, 4n]);
  });

  test('loses all of a large page of which one page is announced', () => {
    const { w, read } = world();
    w.vtd.mapFirst(w.top, 4, AT, BigInt(DATA) | BigInt(LARGE | 7), 2);
    const large = [read(AT), read(AT + 0x3000)];
    w.vtd.mapFirst(w.top, 4, AT, 0, 2);
    w.vtd.submit(...page(AT + 0x5000));

    expect(large).toEqual([1n, 4n]);
    expect(read(AT + 0x3000)).toBe('fault');
  });

  test('is mapped anew as a whole where everything is announced', () => {
    const { w, read } = world();
    for (let i = 0; i < 4; i++) w.map(AT + i * 4096, DATA + i * 4096);
    read(AT);
    for (let i = 0; i < 4; i++) w.map(AT + i * 4096, DATA + (7 - i) * 4096);
    w.vtd.submit(...EVERYTHING);

    expect([0, 1, 2, 3].map((i) => read(AT + i * 4096))).toEqual([8n, 7n, 6n, 5n]);
  });

  test('has read-only pages, which may be written to as soon as their entries say so', () => {
    const { w } = world();
    const fill = () => w.frames.run(0, { op: 'fill', pasid: 5, dst: AT, size: 8, operand: 0x55n });
    w.vtd.mapFirst(w.top, 4, AT, DATA | 5);
    const refused = fill();
    w.map(AT, DATA);

    expect([refused, fill()]).toEqual(['fault', 'done']);
    expect(w.machine.ram.u32[DATA / 4]).toBe(0x55);
  });

  test('has no pages without user access', () => {
    const { w, read } = world();
    w.vtd.mapFirst(w.top, 4, AT, DATA | 3);

    expect(read(AT)).toBe('fault');
  });

  test('is gone with its PASID, and its tables are ordinary memory', () => {
    const { w, read } = world();
    w.map(AT, DATA);
    read(AT);
    w.vtd.store(0x38000 + 5 * 64, 0);
    w.vtd.submit(0x5_0005_0017n, 0n);
    w.map(AT + 0x1000, DATA);

    expect(attached(w)).toEqual(['requester blocked']);
    expect(read(AT)).not.toBe(1n);
  });

  test('that leads into itself is served by software, and says why', () => {
    const { w, read } = world();
    w.map(AT, DATA);
    // All entries of the top table are the top table.
    for (let i = 0; i < 256; i++) w.vtd.store(w.top + i * 8, w.top | 7);
    w.vtd.submit(...EVERYTHING);

    expect(w.passthrough.pathOf(assignment(w))).toBe('software');
    expect(w.passthrough.reasonsOf(assignment(w)).join('\n')).toContain('more than 64 ways');
    expect(read(0)).not.toBe('done');
  });
});

describe('a second stage', () => {
  /** PASID 6 of domain 7. */
  function second(config = {}, mode: 'shadow' | 'nested' = 'nested') {
    const all = world({ stages: 'all', ...config }, mode);
    const top = all.w.vtd.page();
    const at = all.w.vtd.map(top, 4, AT, DATA | 3);
    all.w.vtd.pasid(6, { PGTT: 2, AW: 2, DID: 7, SSPTPTR: top });
    all.w.vtd.submit(0x6_0007_0017n, 0n);
    return { ...all, top, at };
  }

  test('is shadowed beside first stages that the host nests', () => {
    const { w, read } = second();
    w.map(AT, DATA + 0x1000);

    expect([read(AT, 5), read(AT, 6)]).toEqual([2n, 1n]);
    expect(attached(w)).toEqual(['requester blocked', '5 nested', '6 shadow']);
    expect(w.passthrough.pathOf(assignment(w))).toBe('nested');
  });

  test('is one address space for all that are bound to it', () => {
    const { w, top } = second();
    w.vtd.pasid(8, { PGTT: 2, AW: 2, DID: 7, SSPTPTR: top });
    w.vtd.submit(0x8_0007_0017n, 0n);

    const tables = w.passthrough.attachments(assignment(w).device);
    const of = (pasid: number) => tables.find(([one]) => one === pasid)![1].hwpt;
    expect(of(8)).toBe(of(6));
  });

  test('has new pages without a word where caching mode is off', () => {
    const { w, read, top } = second();
    read(AT, 6);
    w.vtd.map(top, 4, AT + 0x1000, (DATA + 0x1000) | 3);

    expect(read(AT + 0x1000, 6)).toBe(2n);
  });

  test('has them when they are announced where it is on', () => {
    const { w, read, top } = second({ 'caching-mode': true });
    read(AT, 6);
    w.vtd.map(top, 4, AT + 0x1000, (DATA + 0x1000) | 3);
    const before = read(AT + 0x1000, 6);
    w.vtd.submit(...secondPage(AT + 0x1000));

    expect([before, read(AT + 0x1000, 6)]).toEqual(['fault', 2n]);
  });

  test('loses a page when that is announced, and not before', () => {
    const { w, read, at } = second();
    const first = read(AT, 6);
    w.vtd.store(at, 0);
    const stale = read(AT, 6);
    w.vtd.submit(...secondPage(AT));

    expect([first, stale, read(AT, 6)]).toEqual([1n, 1n, 'fault']);
  });
});

/** Where the last entry for an address lies. */
function leafOf(w: NestedVtd, at: number): number {
  let table = w.top;
  for (let level = 4; ; level--) {
    const entry = table + Number((BigInt(at) >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
    if (level === 1) return entry;
    table = Number(w.vtd.load(entry) & 0xffff_f000n);
  }
}

test('the port of a unit gives tables of what a binding is', () => {
  const { w } = world();
  w.map(AT, DATA);
  const port = w.passthrough.port!;
  const out = vtdBinding();

  if (port.architecture === 'vtd') port.binding(w.requester, 5, out);

  const tables = port.tables(w.requester, 5);
  expect(out.kind).toBe('first-stage');
  expect(tables.look(AT | 0, 0)).toBe(true);
  expect([tables.outLo, tables.outHi, tables.access, tables.shift, tables.entries]).toEqual([
    DATA,
    0,
    3,
    12,
    4,
  ]);
  expect(tables.look((AT + 0x1000) | 0, 0)).toBe(false);
  expect(tables.shift).toBe(12);
  expect(tables.look((AT + 0x4000_0000) | 0, 0)).toBe(false);
  expect(tables.shift).toBe(30);
});
