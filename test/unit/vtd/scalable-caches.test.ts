import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  EXEC,
  GRANTED_GLOBAL,
  GRANTED_PRIVILEGED,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { runs } from '../../kit/runs.ts';
import type { MachineOptions } from '../../kit/vtd-machine.ts';
import { PASIDS, type PasidFields, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;
const DID = 9;
const PAGE = 0x5000;

/** PASID 5 and 6 of 00:03.0, first stage, in one domain; PAGE lies at 9000h, the page after it at a000h. */
function world(fields: PasidFields = {}, options: MachineOptions = {}) {
  const m = new ScalableMachine(options);
  const first = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  const all = { PGTT: 1, DID, AW: 2, FSPTPTR: first, SSPTPTR: second, ...fields };
  m.pasid(5, all);
  m.pasid(6, all);
  for (let page = 0x100000; page < 0x120000; page += 4096) m.map(second, 4, page, page | 3);
  const leaf = m.mapFirst(first, 4, PAGE, 0x9067);
  m.mapFirst(first, 4, PAGE + 4096, 0xa067);
  for (const page of [0x9000, 0xa000, 0xb000, 0xc000]) m.map(second, 4, page, page | 3);
  const secondLeaf = m.map(second, 4, PAGE, 0x9003);
  m.startScalable();
  return { m, first, second, leaf, secondLeaf, port: m.pasidPort(DEV, 5), other: m.pasidPort(DEV, 6) };
}

const where = (port: DmaPort, address = PAGE) =>
  port.translate(address, 0, READ) === DMA_OK ? port.outLo : -1;

const INVALIDATE = {
  'IOTLB global': [0x12n, 0n],
  'IOTLB domain': [(9n << 16n) | 0x22n, 0n],
  'IOTLB another domain': [(8n << 16n) | 0x22n, 0n],
  'IOTLB page, another address': [(9n << 16n) | 0x32n, 0x7000_0000n],
  'PASID IOTLB': [(5n << 32n) | (9n << 16n) | 0x26n, 0n],
  'PASID IOTLB of another PASID': [(6n << 32n) | (9n << 16n) | 0x26n, 0n],
  'PASID IOTLB page': [(5n << 32n) | (9n << 16n) | 0x36n, 0x5000n],
  'PASID IOTLB page, another address': [(5n << 32n) | (9n << 16n) | 0x36n, 0x6000n],
  'PASID IOTLB 16 pages': [(5n << 32n) | (9n << 16n) | 0x36n, 0x4n],
  'PASID IOTLB 1024 pages': [(5n << 32n) | (9n << 16n) | 0x36n, 0xan],
  'PASID-cache global': [0x37n, 0n],
  'PASID-cache domain': [(9n << 16n) | 0x07n, 0n],
  'PASID-cache PASID': [(5n << 32n) | (9n << 16n) | 0x17n, 0n],
  'PASID-cache another PASID': [(6n << 32n) | (9n << 16n) | 0x17n, 0n],
  'context global': [0x11n, 0n],
} as const;
type Kind = keyof typeof INVALIDATE;

function invalidate(m: ScalableMachine, kind: Kind): void {
  const [low, high] = INVALIDATE[kind];
  m.submit(low, high);
}

describe('a changed leaf stays as it was until', () => {
  const cures: readonly [number, Kind, boolean][] = [
    [1, 'IOTLB global', true],
    [1, 'IOTLB domain', true],
    [1, 'IOTLB another domain', false],
    [1, 'IOTLB page, another address', true],
    [1, 'PASID IOTLB', true],
    [1, 'PASID IOTLB of another PASID', false],
    [1, 'PASID IOTLB page', true],
    [1, 'PASID IOTLB page, another address', false],
    [1, 'PASID IOTLB 16 pages', true],
    [1, 'PASID IOTLB 1024 pages', true],
    [1, 'PASID-cache global', false],
    [1, 'context global', false],
    [2, 'IOTLB domain', true],
    [2, 'IOTLB page, another address', false],
    [2, 'PASID IOTLB', false],
    [2, 'PASID IOTLB page', false],
    [3, 'IOTLB page, another address', true],
    [3, 'PASID IOTLB page', true],
    [3, 'PASID IOTLB of another PASID', false],
  ];
  test.each(cures)('PGTT %d: %s: %s', (PGTT, kind, cured) => {
    const { m, leaf, secondLeaf, port } = world({ PGTT });
    expect(where(port)).toBe(0x9000);

    if (PGTT === 2) m.store(secondLeaf, 0xb003);
    else m.store(leaf, 0xb067);
    const stale = where(port);
    invalidate(m, kind);

    expect([stale, where(port)]).toEqual([0x9000, cured ? 0xb000 : 0x9000]);
  });

  test.each([
    ['PASID IOTLB page', 0x40n, false],
    ['PASID IOTLB page', 0n, true],
  ] as const)('a replaced table: %s, hint %s: %s', (kind, hint, cured) => {
    const { m, first, port } = world();
    where(port);
    const middle = Number(m.load(Number(m.load(first) & 0xffff_f000n)) & 0xffff_f000n);
    const table = m.page();
    m.store(table + 5 * 8, 0xc067);
    m.store(middle, table | 0x27);

    m.submit(INVALIDATE[kind][0], INVALIDATE[kind][1] | hint);

    expect(where(port)).toBe(cured ? 0xc000 : 0x9000);
  });
});

describe('a changed PASID entry stays as it was until', () => {
  test.each([
    ['PASID-cache PASID', true],
    ['PASID-cache domain', true],
    ['PASID-cache global', true],
    ['PASID-cache another PASID', false],
    ['PASID IOTLB', false],
    ['IOTLB global', false],
    ['context global', false],
  ] as const)('%s: %s', (kind, cured) => {
    const { m, port } = world();
    expect(where(port)).toBe(0x9000);

    m.pasid(5, { P: 0 });
    const stale = where(port, PAGE + 4096);
    invalidate(m, kind);

    expect([stale, where(port, PAGE + 4096)]).toEqual([0xa000, cured ? -1 : 0xa000]);
  });

  test('without a cache nothing is stale', () => {
    const { m, leaf, port } = world({}, { config: { cache: 'none' } });
    expect(where(port)).toBe(0x9000);
    m.store(leaf, 0xb067);
    expect(where(port)).toBe(0xb000);
    m.pasid(5, { P: 0 });
    expect(where(port)).toBe(-1);
  });

  test('in caching mode an entry that is not present is kept, and dropped for its new domain', () => {
    const { m, port } = world({ P: 0 }, { config: { 'caching-mode': true } });
    expect(where(port)).toBe(-1);

    m.pasid(5, { PGTT: 4, DID });
    const stale = where(port);
    invalidate(m, 'PASID-cache PASID');

    expect([stale, where(port)]).toEqual([-1, PAGE]);
  });

  test('a changed context entry is seen after its invalidation, for every PASID', () => {
    const { m, port, other } = world();
    expect([where(port), where(other)]).toEqual([0x9000, 0x9000]);
    m.scalableContext(DEV, { PASIDE: 0 });
    expect([where(port), where(other)]).toEqual([0x9000, 0x9000]);
    invalidate(m, 'context global');
    expect([where(port), where(other)]).toEqual([-1, -1]);
  });
});

describe('in caching mode, what was found not to be present or to have reserved bits set', () => {
  /** The address, in the second stage of the domain, below a directory entry that lets it be read only. */
  function below(leaf: number) {
    const made = world({ PGTT: 2, SSEE: 1 }, { config: { 'caching-mode': true } });
    const { m, second, secondLeaf } = made;
    const table = (at: number) => Number(m.load(at) & 0xffff_f000n);
    const directoryEntry = table(table(second));
    m.store(directoryEntry, m.load(directoryEntry) & ~2n);
    m.store(secondLeaf, leaf);
    return { ...made, codes: () => m.faults.map((f) => f.code) };
  }

  test.each([
    ['not present', 0, '79h'],
    ['reserved', 0x8_0000_0000_0003, '7Ah'],
    ['reserved and not to be read', 0x8_0000_0000_0002, '7Ah'],
  ])('%s: a write is denied by the entry above, cached or not', (_, leaf, code) => {
    const { port, codes } = below(leaf);

    for (const access of [READ, WRITE, READ | WRITE, EXEC, READ]) {
      port.translate(PAGE, 0, access);
    }

    expect(codes()).toEqual([code, '85h', '85h', '82h', code]);
  });

  test('stays so, until it is invalidated', () => {
    const { m, port, secondLeaf, codes } = below(0);
    where(port);

    m.store(secondLeaf, 0x9001);
    const stale = where(port);
    invalidate(m, 'IOTLB domain');

    expect([stale, where(port), codes()]).toEqual([-1, 0x9000, ['79h', '79h']]);
  });
});

describe('dirty bits and cached translations', () => {
  test.each([
    [1, 0x9007n, 0x9027n, 0x9067n],
    [3, 0x9007n, 0x9027n, 0x9067n],
  ])('PGTT %d: a write after a cached read marks the leaf, once', (PGTT, entry, read, written) => {
    const { m, leaf, port } = world({ PGTT, SSADE: PGTT === 3 ? 1 : 0 });
    m.store(leaf, entry);

    port.translate(PAGE, 0, READ);
    port.translate(PAGE, 0, READ);
    const afterRead = m.load(leaf);
    port.translate(PAGE, 0, WRITE);
    const afterWrite = m.load(leaf);
    m.store(leaf, entry);
    port.translate(PAGE, 0, WRITE);

    expect([afterRead, afterWrite, m.load(leaf)]).toEqual([read, written, entry]);
  });

  test('nested: second-stage bits of every first-stage table and of the output are set', () => {
    const { m, first, second, port } = world({ PGTT: 3, SSADE: 1 });
    const at = (page: number) =>
      m.load(m.map(second, 4, page, m.load(Number(tableOf(m, second)) + (page >> 12) * 8)));

    port.translate(PAGE, 0, WRITE);

    // 9000h is written; the top table is written for its accessed bit.
    expect(at(0x9000) & 0x300n).toBe(0x300n);
    expect(at(first) & 0x300n).toBe(0x300n);
  });

  test('explaining a translation sets nothing', () => {
    const { m, leaf, port } = world();
    m.store(leaf, 0x9007);

    const { outcome, steps } = m.iommu.explain(port, PAGE, 0, WRITE);

    expect(outcome).toBe('translates to 0x9000');
    expect(m.load(leaf)).toBe(0x9007n);
    expect(steps.map((s) => s.what)).toEqual([
      'scalable root entry',
      'scalable context entry',
      'PASID directory entry',
      'PASID table entry of PASID 0x5',
      'FS-PML4E',
      'FS-PDPE',
      'FS-PDE',
      'FS-PTE',
    ]);
    expect(steps.at(-1)!.fields).toContain('P=1 RW=1 US=1');
  });

  test('a fault names the PASID and the second-stage entries that refused', () => {
    const { m, second, port } = world({ PGTT: 3 });
    m.map(second, 4, 0x9000, 0);

    port.translate(PAGE, 0, READ);

    expect(m.faults[0]).toMatchObject({ code: '79h', pasid: 5 });
    expect(m.faults[0]!.steps.at(-1)!.what).toBe('SS-PTE');
  });
});

/** The last table of the second stage below 2 MiB. */
function tableOf(m: ScalableMachine, top: number): bigint {
  let table = BigInt(top);
  for (let i = 0; i < 3; i++) table = m.load(Number(table)) & 0xffff_f000n;
  return table;
}

describe('device-TLBs', () => {
  test.each([
    [READ, 0x9007n, false, READ, 0x9027n],
    [READ | WRITE, 0x9007n, false, READ | WRITE, 0x9067n],
    [READ | WRITE, 0x9005n, false, READ, 0x9025n],
    [READ | EXEC, 0x9007n, false, READ | EXEC, 0x9027n],
    [READ, 0x9107n, false, READ | GRANTED_GLOBAL, 0x9127n],
    [READ, 0x9007n, true, READ | GRANTED_PRIVILEGED, 0x9027n],
  ])('asked for %d, leaf %s, privileged %s: %d', (access, entry, privileged, granted, after) => {
    const { m, leaf, port } = world({ SRE: 1, ERE: 1 });
    m.store(leaf, entry);
    port.at = AT_TRANSLATION;
    port.privileged = privileged;

    for (let i = 0; i < 2; i++) {
      expect([port.translate(PAGE, 0, access), port.outLo, port.outAccess]).toEqual([
        DMA_OK,
        0x9000,
        granted,
      ]);
    }
    expect(m.load(leaf)).toBe(after);
  });

  test('execute permission is not granted without ERE', () => {
    const { port } = world();
    port.at = AT_TRANSLATION;

    expect([port.translate(PAGE, 0, READ | EXEC), port.outAccess]).toEqual([DMA_OK, READ]);
  });

  test('a translated request goes where the function says, whatever its PASID maps', () => {
    const { m, port } = world();
    port.at = AT_TRANSLATED;
    for (let i = 0; i < 3; i++)
      expect([port.translate(0x12345678, 3, WRITE), port.outLo, port.outHi]).toEqual([DMA_OK, 0x12345678, 3]);
    expect(port.translate(0, 0x10000, READ)).toBe(DMA_UR);
    expect(m.faults.map((f) => f.code)).toEqual(['83h']);
  });

  test('translated requests end with DTE', () => {
    const { m, port } = world();
    port.at = AT_TRANSLATED;
    port.translate(0x1000, 0, WRITE);
    m.scalableContext(DEV, { DTE: 0 });
    expect(port.translate(0x1000, 0, WRITE)).toBe(DMA_OK);
    invalidate(m, 'context global');
    expect(port.translate(0x1000, 0, WRITE)).toBe(DMA_UR);
  });

  test('the interrupt range is for untranslated requests', () => {
    const { m } = world();
    const port = m.port(DEV);
    port.at = AT_TRANSLATION;

    expect([port.translate(0xfee00000, 0, WRITE), port.outAccess]).toEqual([DMA_OK, UNTRANSLATED_ONLY]);
  });

  test('a page request drops what is cached for its page', () => {
    const { m, leaf, port } = world();
    where(port);
    m.store(leaf, 0xb067);
    expect(where(port)).toBe(0x9000);

    port.pageRequest(PAGE, 0, WRITE, 1, true);

    expect(where(port)).toBe(0xb000);
  });

  test('a page request drops the upper entries that lead to its page', () => {
    const { m, first, port } = world();
    const table = (at: number) => Number(m.load(at) & 0xffff_f000n);
    const directoryEntry = table(table(first));
    m.store(directoryEntry, m.load(directoryEntry) & ~2n);
    where(port, PAGE + 4096);
    expect(port.translate(PAGE, 0, WRITE)).toBe(DMA_UR);

    m.store(directoryEntry, m.load(directoryEntry) | 2n);
    port.pageRequest(PAGE, 0, WRITE, 1, true);

    expect(port.translate(PAGE, 0, WRITE)).toBe(DMA_OK);
  });
});

test('requests without PASID use RID_PASID and RID_PRIV', () => {
  const { m, leaf } = world({ SRE: 1 });
  m.store(leaf, 0x9063);
  m.scalableContext(DEV, { RID_PASID: 6, RID_PRIV: 1 });
  const port = m.port(DEV);

  expect([where(port), where(port)]).toEqual([0x9000, 0x9000]);
});

test('both halves of the root entry lead to context tables', () => {
  const { m } = world();
  m.scalableContext(0x98);
  expect(where(m.pasidPort(0x98, 5))).toBe(0x9000);
});

test('whatever is invalidated and used in whatever order, PASIDs never meet', () => {
  const kinds = Object.keys(INVALIDATE) as Kind[];
  const step = fc.oneof(
    fc.record({ pasid: fc.integer({ min: 0, max: 63 }), page: fc.integer({ min: 0, max: 3 }) }),
    fc.constantFrom(...kinds),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const m = new ScalableMachine();
      m.scalableContext(DEV);
      const tops = [m.page(), m.page(), m.page()];
      tops.forEach((top, i) => {
        for (let page = 0; page < 4; page++)
          m.mapFirst(top, 4, page * 4096, 0x100000 * (i + 8) + page * 4096 + 0x67);
      });
      for (let pasid = 0; pasid < 64; pasid++)
        m.pasid(pasid, { PGTT: 1, DID: 8 + (pasid & 1), FSPTPTR: tops[pasid % 3]! });
      m.startScalable();
      const port = m.pasidPort(DEV, 0);
      for (const s of steps) {
        if (typeof s === 'string') {
          invalidate(m, s);
          continue;
        }
        port.pasid = s.pasid;
        const at = where(port, s.page * 4096);
        expect(at).toBe(0x100000 * ((s.pasid % 3) + 8) + s.page * 4096);
      }
    }),
    { numRuns: runs(15, 3) },
  );
});

test('the views show whose entries are cached', () => {
  const { m, port } = world();
  where(port);
  const view = (name: string) => m.iommu.views.find((v) => v.name === name)!.json();

  expect(view('pasids')).toMatchObject([{ requester: '00:03.0', pasid: 5 }]);
  expect(view('iotlb')).toEqual([
    { did: 9, pasid: 5, iova: '0x5000', page: '0x9000', size: '4K', access: 'rw' },
  ]);
  expect(view('contexts')).toMatchObject([
    { requester: '00:03.0', fields: 'P=1 DTE=1 PASIDE=1 PRE=1 PDTS=7 PASIDDIRPTR=0x30' },
  ]);
});

test('after the caches were made anew, requesters known before and after share nothing', () => {
  const m = new ScalableMachine();
  const [ownTop, otherTop, otherDirectory] = [m.page(), m.page(), m.page()];
  m.scalableContext(DEV);
  m.scalableContext(DEV + 1, { PASIDDIRPTR: otherDirectory });
  m.mapFirst(ownTop, 4, PAGE, 0x9067);
  m.mapFirst(otherTop, 4, PAGE, 0xa067);
  m.pasid(5, { PGTT: 1, DID, FSPTPTR: otherTop });
  m.pasid(6, { PGTT: 1, DID, FSPTPTR: otherTop });
  const otherPasids = m.page();
  m.store(otherDirectory, otherPasids | 1);
  m.storeWords(otherPasids, Uint32Array.from(m.ram.u32.slice(PASIDS / 4, PASIDS / 4 + 512)));
  m.pasid(5, { PGTT: 1, DID: 8, FSPTPTR: ownTop });
  m.pasid(6, { PGTT: 1, DID: 8, FSPTPTR: ownTop });
  m.startScalable();
  const inTurn = (port: DmaPort) =>
    [5, 6, 5, 6].map((pasid) => {
      port.pasid = pasid;
      return where(port);
    });
  const before = m.pasidPort(DEV);
  const after = m.pasidPort(DEV + 1);
  inTurn(before);

  m.device.dropCache();

  expect(inTurn(before)).toEqual([0x9000, 0x9000, 0x9000, 0x9000]);
  expect(inTurn(after)).toEqual([0xa000, 0xa000, 0xa000, 0xa000]);
});

test('who uses a pair that four others of its set put out finds the tables again: its invalidation would find nothing to drop', () => {
  const { m, first, leaf, port } = world();
  // PASIDs 4 to 7 of a domain lie in one set, and PASID 8 of this domain, too.
  const fields = { PGTT: 1, AW: 2, FSPTPTR: first };
  for (const pasid of [4, 7]) m.pasid(pasid, { ...fields, DID });
  m.pasid(8, { ...fields, DID: 18752 });
  const before = where(port);
  for (const pasid of [4, 6, 7, 8]) where(m.pasidPort(DEV, pasid));
  m.store(leaf, 0xb067n);

  m.submit(...INVALIDATE['PASID IOTLB']);

  expect([before, where(port)]).toEqual([0x9000, 0xb000]);
});
