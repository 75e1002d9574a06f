import { describe, expect, test } from 'vitest';
import { RTADDR } from '../../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { DMA_OK, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { recordText } from '../../../vmm/trace/tracer.ts';
import { ROOT, SRTP, TE, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
const CONTEXT_TABLE = 0x2000;
const DIRECTORY = 0x4000;
const TABLE = 0x5000;
const CONTEXT = CONTEXT_TABLE + DEV * 32;
const FS = 0x60_0000n;

/** The PASID table entry of `pasid` in the first table. */
const entryOf = (pasid: number) => TABLE + pasid * 64;

/** A unit with one requester that has a directory of 128 entries and one PASID table; lines of the events that matter. */
function traced(config: Partial<VtdConfig> = {}) {
  const m = new VtdMachine({ config: { svm: true, ...config } });
  const lines: string[] = [];
  m.tracer.select('pasid_*');
  m.tracer.addSink((r) => lines.push(recordText(r).trim().slice(2)));
  m.store(ROOT, CONTEXT_TABLE | 1);
  m.store(CONTEXT, DIRECTORY | 0x1d);
  m.store(DIRECTORY, TABLE | 1);
  m.startScalable();
  return { m, lines, port: m.port(DEV) };
}

/** As software should: the other words first, then P. */
function bind(m: VtdMachine, pasid: number, did: number) {
  m.store(entryOf(pasid) + 16, FS | 1n);
  m.store(entryOf(pasid) + 8, BigInt(did));
  m.store(entryOf(pasid), 0x41n);
}

const announcePasid = (m: VtdMachine, did: number, pasid: number) =>
  m.submit((BigInt(pasid) << 32n) | (BigInt(did) << 16n) | 0x17n);

describe('stores to scalable-mode structures', () => {
  test('are told with requester, PASID and the fields that changed', () => {
    const { m, lines } = traced();

    m.store(ROOT + 0x18, 0x9001n);
    m.store(CONTEXT + 8, 7n);
    m.store(DIRECTORY + 8, 0x8001n);
    bind(m, 5, 9);

    expect(lines).toEqual([
      'pasid_table_write structure=scalable root entry requesters=bus 01 pasid=none address=0x1010 changes=UP=0->1 UCTP=0->9 by=guest',
      'pasid_table_write structure=scalable context entry requesters=00:03.0 pasid=none address=0x2300 changes=RID_PASID=0->7 by=guest',
      'pasid_table_write structure=PASID directory entry requesters=00:03.0 pasid=64 address=0x4008 changes=P=0->1 SMPTBLPTR=0->8 by=guest',
      'pasid_table_write structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 changes=SRE=0->1 FSPTPTR=0->0x600 by=guest',
      'pasid_table_write structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 changes=DID=0->9 by=guest',
      'pasid_table_write structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 changes=P=0->1 PGTT=0->1 (first stage) by=guest',
    ]);
  });

  test('by DMA, of reserved bits and of the same value are told, too', () => {
    const { m, lines } = traced();

    m.memory.write32(entryOf(3) + 8, 0, 4);
    m.memory.write32(entryOf(3) + 8, 0, 4);
    m.store(entryOf(3) + 32, 1n);

    expect(lines.map((l) => /changes=(.*)/.exec(l)?.[1])).toEqual([
      'DID=0->4 by=dma',
      'none of its fields by=dma',
      'none of its fields by=guest',
    ]);
  });

  test('reach contexts of either half of a bus', () => {
    const { m, lines } = traced();

    m.store(ROOT + 8, 0x9001n);
    m.store(0x9000 + 0x70 * 32, DIRECTORY | 0x1d);

    expect(lines).toEqual([
      'pasid_table_write structure=scalable root entry requesters=bus 00 pasid=none address=0x1000 changes=UP=0->1 UCTP=0->9 by=guest',
      'pasid_table_write structure=scalable context entry requesters=00:1e.0 pasid=none address=0x9e00 changes=P=0->1 DTE=0->1 PASIDE=0->1 PRE=0->1 PASIDDIRPTR=0->4 by=guest',
    ]);
  });

  test('name every requester that shares the directory', () => {
    const { m, lines } = traced();
    m.store(CONTEXT_TABLE + 0x20 * 32, DIRECTORY | 0x1d);
    lines.length = 0;

    m.store(entryOf(1) + 8, 4n);

    expect(lines[0]).toMatch(/requesters=00:03\.0 00:04\.0 pasid=1/);
  });

  test('reach tables of PASIDs far away, through directories of several pages', () => {
    const { m, lines } = traced();
    m.store(CONTEXT, DIRECTORY | 0x1d | (7 << 9));
    m.store(0x23_ff8, 0x30_0001n);
    m.store(0x30_0000 + 63 * 64 + 8, 4n);

    expect(lines.slice(1)).toEqual([
      'pasid_table_write structure=PASID directory entry requesters=00:03.0 pasid=1048512 address=0x23ff8 changes=P=0->1 SMPTBLPTR=0->0x300 by=guest',
      'pasid_table_write structure=PASID table entry requesters=00:03.0 pasid=1048575 address=0x300fc0 changes=DID=0->4 by=guest',
    ]);
  });

  test('before the tables are live, and after, are ordinary stores', () => {
    const { m, lines } = traced();
    m.disable(TE);
    bind(m, 5, 9);
    const off = lines.length;
    m.command(TE);
    bind(m, 6, 9);
    const on = lines.length;
    m.write(RTADDR, 0x40_0400);
    m.command(SRTP);
    bind(m, 7, 9);

    expect([off, on, lines.length]).toEqual([0, 3, 3]);
  });

  test('to a table that was taken out are told until the next invalidation', () => {
    const { m, lines } = traced();
    m.store(DIRECTORY, 0n);
    m.store(entryOf(5) + 8, 4n);
    m.submit(0x37n);
    const before = lines.filter((l) => l.includes('table entry')).length;

    m.store(entryOf(5) + 8, 5n);

    expect([before, lines.filter((l) => l.includes('table entry')).length]).toEqual([1, 1]);
  });

  test('to a directory that another function still has go on being told', () => {
    const { m, lines } = traced();
    m.store(CONTEXT_TABLE + 0x20 * 32, DIRECTORY | 0x1d);

    m.store(CONTEXT, 0n);
    m.submit(0x11n);
    m.submit(0x37n);
    lines.length = 0;
    m.store(entryOf(5) + 8, 4n);

    expect(lines).toEqual([
      'pasid_table_write structure=PASID table entry requesters=00:04.0 pasid=5 address=0x5140 changes=DID=0->4 by=guest',
    ]);
  });

  test('go on being told after the caches of the model were dropped or loaded', () => {
    const { m, lines } = traced();
    bind(m, 5, 9);
    const saved = JSON.parse(JSON.stringify(m.device.stateDef().save(m.device.s)));
    m.device.dropCache();
    m.device.stateDef().load(m.device.s, saved, 'iommu0');
    m.device.dropCache();
    lines.length = 0;

    m.store(entryOf(5) + 8, 10n);

    expect(lines).toEqual([
      'pasid_table_write structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 changes=DID=9->0xa by=guest',
    ]);
  });
});

describe('announcements', () => {
  const announced = (lines: string[]) => lines.filter((l) => l.startsWith('pasid_table_announced'));

  test.each([
    ['its PASID', 0x5_0009_0017n, 'invalidation=pasid-cache covers=did 9 pasid 5 entries=1'],
    ['its domain', 0x9_0007n, 'invalidation=pasid-cache covers=did 9 entries=1'],
    ['everything', 0x37n, 'invalidation=pasid-cache covers=all entries=1'],
  ])('cover a new entry under caching mode: %s', (_what, q0, line) => {
    const { m, lines } = traced({ 'caching-mode': true });
    bind(m, 5, 9);

    m.submit(q0);
    m.submit(q0);

    expect(announced(lines)).toEqual([`pasid_table_announced ${line}`]);
  });

  test.each([
    ['another PASID', 0x6_0009_0017n],
    ['another domain', 0x8_0007n],
    ['its PASID in another domain', 0x5_0008_0017n],
    ['the contexts', 0x11n],
    ['the IOTLB', 0x12n],
  ])('of something else do not: %s', (_what, q0) => {
    const { m, lines } = traced({ 'caching-mode': true });
    bind(m, 5, 9);

    m.submit(q0);

    expect(announced(lines)).toEqual([]);
  });

  test.each([
    ['its function', 0x0018_0000_0031n, 'covers=00:03.0 entries=1'],
    ['every function of the device', 0x0003_0018_0000_0031n, 'covers=00:03.0 and functions entries=1'],
    ['all of them', 0x11n, 'covers=all contexts entries=1'],
  ])('cover a context entry: %s', (_what, q0, text) => {
    const { m, lines } = traced({ 'caching-mode': true });
    m.store(CONTEXT + 8, 7n);

    m.submit(q0);

    expect(announced(lines)).toEqual([`pasid_table_announced invalidation=context ${text}`]);
  });

  test('without caching mode a new entry needs none', () => {
    const { m, lines } = traced();
    bind(m, 5, 9);

    announcePasid(m, 9, 5);

    expect(announced(lines)).toEqual([]);
  });
});

describe('torn entries', () => {
  const torn = (lines: string[]) => lines.filter((l) => l.startsWith('pasid_entry_torn'));

  test('two stores to a present entry are told when it is announced', () => {
    const { m, lines } = traced();
    bind(m, 5, 9);
    m.store(entryOf(5) + 8, 10n);
    m.store(entryOf(5) + 16, FS + 0x1000n);
    const before = torn(lines);

    announcePasid(m, 10, 5);
    announcePasid(m, 10, 5);

    expect([before, torn(lines)]).toEqual([
      [],
      [
        'pasid_entry_torn structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 stores=2 when=announced',
      ],
    ]);
  });

  test('one store, or two that clear P in between, are not', () => {
    const { m, lines } = traced();
    bind(m, 5, 9);
    m.store(entryOf(5) + 8, 10n);
    announcePasid(m, 10, 5);
    m.store(entryOf(5), 0n);
    m.store(entryOf(5) + 8, 11n);
    m.store(entryOf(5) + 16, FS + 0x1000n);
    m.store(entryOf(5), 0x41n);

    announcePasid(m, 11, 5);

    expect(torn(lines)).toEqual([]);
  });

  test('one store of the whole entry by DMA is not', () => {
    const { m, lines } = traced();
    bind(m, 5, 9);

    m.memory.write(entryOf(5), 0, new Uint8Array(64).fill(1), 0, 64);
    m.submit(0x37n);

    expect(torn(lines)).toEqual([]);
  });

  test('each half of a root entry is one of its own', () => {
    const { m, lines } = traced();

    m.store(ROOT + 16, 0x8001n);
    m.store(ROOT + 24, 0x9001n);
    m.store(ROOT + 16, 0xa001n);
    m.store(ROOT + 24, 0xb001n);
    m.submit(0x11n);

    expect(torn(lines)).toEqual([]);
  });
});

describe('entries in use', () => {
  const PASS_THROUGH = 0x101n;
  const found = (lines: string[]) => lines.filter((l) => l.startsWith('pasid_entry'));

  function use(port: DmaPort, pasid: number) {
    port.pasid = pasid;
    return port.translate(0x5000, 0, READ);
  }

  test('a torn one is told when the unit reads it from memory, once', () => {
    const { m, lines, port } = traced();
    m.store(entryOf(5), PASS_THROUGH);
    m.store(entryOf(5) + 8, 4n);
    m.store(entryOf(5) + 8, 5n);

    const status = [use(port, 5), use(port, 5)];
    m.submit(0x37n);

    expect(status).toEqual([DMA_OK, DMA_OK]);
    expect(found(lines)).toEqual([
      'pasid_entry_torn structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 stores=2 when=used',
    ]);
  });

  test('one that is changed again after the unit has read half of the change is torn', () => {
    const { m, lines, port } = traced();
    m.store(entryOf(5), PASS_THROUGH);
    m.store(entryOf(5) + 8, 4n);
    use(port, 5);

    m.store(entryOf(5) + 8, 5n);

    expect(found(lines)).toEqual([
      'pasid_entry_torn structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 stores=2 when=changed again after use',
    ]);
  });

  test('a context entry is found torn, too', () => {
    const { m, lines, port } = traced();
    m.store(CONTEXT + 8, 7n);
    m.store(CONTEXT, DIRECTORY | 0x1f);

    use(port, 5);

    expect(found(lines)).toEqual([
      'pasid_entry_torn structure=scalable context entry requesters=00:03.0 pasid=none address=0x2300 stores=2 when=used',
    ]);
  });

  test('with caching mode the use of what nobody announced is told', () => {
    const { m, lines, port } = traced({ 'caching-mode': true });
    m.store(entryOf(5) + 8, 4n);
    m.store(entryOf(5), PASS_THROUGH);

    use(port, 5);
    use(port, 5);

    expect(found(lines)).toEqual([
      'pasid_entry_used_unannounced structure=PASID table entry requesters=00:03.0 pasid=5 address=0x5140 stores=2',
    ]);
  });

  test('announced first, it is as it should be', () => {
    const { m, lines, port } = traced({ 'caching-mode': true });
    m.store(entryOf(5) + 8, 4n);
    m.store(entryOf(5), PASS_THROUGH);
    announcePasid(m, 4, 5);

    use(port, 5);

    expect(found(lines)).toEqual([]);
  });

  test('what is written and not announced is state: a saved unit finds it later', () => {
    const { m, lines, port } = traced({ 'caching-mode': true });
    m.store(entryOf(5), PASS_THROUGH);
    const saved = JSON.parse(JSON.stringify(m.device.stateDef().save(m.device.s)));
    announcePasid(m, 0, 5);
    m.device.stateDef().load(m.device.s, saved, 'iommu0');
    m.device.dropCache();
    lines.length = 0;

    use(port, 5);

    expect(found(lines).length).toBe(1);
  });
});

test('accessed and dirty bits that the unit sets itself are no stores of software', () => {
  const { m, port } = traced({ 'accessed-dirty': true });
  const lines: string[] = [];
  m.tracer.select('vtd_table_write');
  m.tracer.addSink((r) => {
    const text = recordText(r).trim();
    if (text.includes('vtd_table_write')) lines.push(text.slice(2));
  });
  for (const [at, entry] of [
    [0x60_0000, 0x60_1007n],
    [0x60_1000, 0x60_2007n],
    [0x60_2000, 0x60_3007n],
    [0x60_3028, 0x8007n],
    [0x60_3030, 0x8007n],
  ] as const)
    m.store(at, entry);
  bind(m, 5, 9);
  m.store(entryOf(5) + 8, 0x80_0009n);
  port.pasid = 5;

  const status = [port.translate(0x5000, 0, READ), port.translate(0x6000, 0, WRITE)];
  m.store(0x60_3028, 0x9067n);

  expect([status, m.load(0x60_3030)]).toEqual([[DMA_OK, DMA_OK], 0x8067n]);
  expect(lines).toEqual([
    'vtd_table_write structure=FS-PTE address=0x603028 old=P=1 RW=1 US=1 A=1 ADDR=8 new=P=1 RW=1 US=1 A=1 D=1 ADDR=9 by=guest',
  ]);
});

test('a million PASIDs in 16,384 tables are watched, and cost little', () => {
  const m = new VtdMachine({ config: { svm: true }, ramBytes: 160 << 20 });
  const tables = 0x100_0000;
  m.store(ROOT, CONTEXT_TABLE | 1);
  m.store(CONTEXT, 0x80_0000 | 0x1d | (7 << 9));
  for (let i = 0; i < 16384; i++) m.ram.u32[(0x80_0000 + i * 8) >>> 2] = (tables + i * 4096) | 1;
  m.startScalable();

  expect(m.device.s.watched.length).toBe(1 + 1 + 32 + 16384);
  m.store(CONTEXT, 0n);
  m.submit(0x11n);
  m.store(CONTEXT + 8, 1n);
  m.submit(0x11n);
  expect(m.device.s.watched.length).toBe(2);
});
