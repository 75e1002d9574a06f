import { describe, expect, test } from 'vitest';
import { FSTS, RTADDR } from '../../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  DMA_CA,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  EXEC,
  NO_PASID,
  READ,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { CONTEXTS, ROOT, SRTP } from '../../kit/vtd-machine.ts';
import { DIRECTORY, PASIDS, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;
const ADDRESS = 0x5678;

/** What a row may change before the request: everything is set up well at that point. */
interface Rig {
  readonly m: ScalableMachine;
  readonly port: DmaPort;
  /** Tops of the first and the second stage, and their leaves for ADDRESS. */
  readonly first: number;
  readonly second: number;
  readonly leaf: number;
  readonly secondLeaf: number;
}

const OUTSIDE = 0x7000_0000;

/** PASID 5 of 00:03.0: ADDRESS is mapped in either stage; nested, every table by identity. */
function rig(type: number, config: Partial<VtdConfig> = {}): Rig {
  const m = new ScalableMachine({ config });
  const first = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT: type, DID: 9, AW: 2, FSPTPTR: first, SSPTPTR: second, NXE: 1 });
  const leaf = m.mapFirst(first, 4, ADDRESS, 0x9067);
  const secondLeaf = m.map(second, 4, ADDRESS, 0x9303);
  for (let page = 0x100000; page < 0x120000; page += 4096) m.map(second, 4, page, page | 0x303);
  m.map(second, 4, 0x9000, 0xb303);
  m.startScalable();
  return { m, port: m.pasidPort(DEV, 5), first, second, leaf, secondLeaf };
}

const FIRST = 1;
const SECOND = 2;
const NESTED = 3;
const PASS = 4;

/** Address of the entry that leads to the last table of the second stage for a page below 2 MiB. */
const secondTable = (m: ScalableMachine, second: number, level: number): number => {
  let table = second;
  for (let l = 4; l > level; l--) table = Number(m.load(table) & 0xffff_f000n);
  return table;
};

type Row = readonly [
  code: string,
  what: string,
  type: number,
  access: number,
  change: (r: Rig) => void,
  config?: Partial<VtdConfig>,
];

const ROWS: readonly Row[] = [
  [
    '38h',
    'root table outside memory',
    FIRST,
    READ,
    ({ m }) => {
      m.write(RTADDR, OUTSIDE | 0x400);
      m.command(SRTP);
    },
  ],
  ['39h', 'lower half not present', FIRST, READ, ({ m }) => m.store(ROOT, CONTEXTS)],
  ['3Ah', 'reserved bit of the root entry', FIRST, READ, ({ m }) => m.store(ROOT, CONTEXTS | 0x801)],
  ['40h', 'context table outside memory', FIRST, READ, ({ m }) => m.store(ROOT, OUTSIDE | 1)],
  ['41h', 'context not present', FIRST, READ, ({ m }) => m.scalableContext(DEV, { P: 0 })],
  ['42h', 'reserved bit of the context entry', FIRST, READ, ({ m }) => m.store(CONTEXTS + DEV * 32 + 24, 1)],
  [
    '42h',
    'PRE without page requests',
    FIRST,
    READ,
    () => {},
    { svm: false, 'scalable-mode': true, nested: true, 'pasid-bits': 20, 'device-iotlb': true },
  ],
  [
    '43h',
    'RID_PASID where it is not offered',
    SECOND,
    READ,
    ({ m }) => m.scalableContext(DEV, { PRE: 0, RID_PASID: 5 }),
    { svm: false, 'scalable-mode': true, 'pasid-bits': 20, 'device-iotlb': true },
  ],
  [
    '43h',
    'RID_PRIV where it is not offered',
    SECOND,
    READ,
    ({ m }) => m.scalableContext(DEV, { PRE: 0, RID_PRIV: 1 }),
    { svm: false, 'scalable-mode': true, 'pasid-bits': 20, 'device-iotlb': true },
  ],
  ['45h', 'PASIDE clear', FIRST, READ, ({ m }) => m.scalableContext(DEV, { PASIDE: 0 })],
  [
    '46h',
    'PASID beyond the directory',
    FIRST,
    READ,
    ({ m, port }) => {
      m.scalableContext(DEV, { PDTS: 0 });
      port.pasid = 1 << 13;
    },
  ],
  [
    '50h',
    'directory outside memory',
    FIRST,
    READ,
    ({ m }) => m.scalableContext(DEV, { PASIDDIRPTR: OUTSIDE }),
  ],
  ['51h', 'directory entry not present', FIRST, READ, ({ m }) => m.store(DIRECTORY, PASIDS)],
  ['52h', 'reserved bit of the directory entry', FIRST, READ, ({ m }) => m.store(DIRECTORY, PASIDS | 5)],
  ['58h', 'PASID table outside memory', FIRST, READ, ({ m }) => m.store(DIRECTORY, OUTSIDE | 1)],
  ['59h', 'PASID entry not present', FIRST, READ, ({ m }) => m.pasid(5, { P: 0, PGTT: 1 })],
  ['5Ah', 'reserved bit of the PASID entry', FIRST, READ, ({ m }) => m.store(PASIDS + 5 * 64 + 56, 1)],
  ['5Bh', 'PGTT 0', FIRST, READ, ({ m }) => m.pasid(5, { PGTT: 0 })],
  ['5Bh', 'PGTT 5', FIRST, READ, ({ m }) => m.pasid(5, { PGTT: 5 })],
  ['5Bh', 'AW beyond SAGAW', SECOND, READ, ({ m }) => m.pasid(5, { PGTT: 2, AW: 3 })],
  ['5Bh', 'FSPM 2', FIRST, READ, ({ m }) => m.pasid(5, { PGTT: 1, FSPM: 2 })],
  ['5Ch', 'execute without ERE', FIRST, READ | EXEC, () => {}],
  [
    '5Dh',
    'privileged without SRE',
    FIRST,
    READ,
    ({ port }) => {
      port.privileged = true;
    },
  ],
  [
    '70h',
    'last first-stage table outside memory',
    FIRST,
    READ,
    ({ m, first }) => m.store(secondTable(m, first, 2), OUTSIDE | 7),
  ],
  ['71h', 'first-stage leaf not present', FIRST, READ, ({ m, leaf }) => m.store(leaf, 0x9066)],
  [
    '72h',
    'XD without NXE',
    FIRST,
    READ,
    ({ m, first, leaf }) => {
      m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: first });
      m.store(leaf, 0x8000_0000_0000_9067n);
    },
  ],
  [
    '72h',
    'address beyond the host width',
    FIRST,
    READ,
    ({ m, leaf }) => m.store(leaf, 0x0001_0000_0000_9067n),
  ],
  [
    '72h',
    'misaligned 2 MiB leaf',
    FIRST,
    READ,
    ({ m, first }) => m.store(secondTable(m, first, 2), 0x2020e7),
  ],
  ['72h', 'PS in the top table', FIRST, READ, ({ m, first }) => m.store(first, m.load(first) | 0x80n)],
  [
    '73h',
    'FSPTPTR outside memory',
    FIRST,
    READ,
    ({ m }) => m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: OUTSIDE }),
  ],
  [
    '74h',
    'first-stage table beyond the second stage',
    NESTED,
    READ,
    ({ m, first }) => m.store(secondTable(m, first, 2), 0x0001_0000_0010_0067n),
  ],
  [
    '75h',
    'FSPTPTR not readable',
    NESTED,
    READ,
    ({ m, first, second }) => m.map(second, 4, first, first | 0x302),
  ],
  [
    '76h',
    'a lower first-stage table not readable',
    NESTED,
    READ,
    ({ m, leaf, second }) => m.map(second, 4, leaf & -4096, (leaf & -4096) | 0x302),
  ],
  [
    '77h',
    'a first-stage table not writable for the accessed bit',
    NESTED,
    READ,
    ({ m, leaf, second }) => {
      m.store(leaf, 0x9007);
      m.map(second, 4, leaf & -4096, (leaf & -4096) | 0x301);
    },
  ],
  [
    '78h',
    'second-stage table outside memory',
    SECOND,
    READ,
    ({ m, second }) => m.store(secondTable(m, second, 2), OUTSIDE | 3),
  ],
  [
    '78h',
    'the same under a first-stage table',
    NESTED,
    READ,
    ({ m, second }) => m.store(secondTable(m, second, 2), OUTSIDE | 3),
  ],
  ['79h', 'second-stage leaf not present', SECOND, WRITE, ({ m, secondLeaf }) => m.store(secondLeaf, 0x9300)],
  ['79h', 'nested output not present', NESTED, WRITE, ({ m, second }) => m.map(second, 4, 0x9000, 0)],
  [
    '79h',
    'first-stage table not present in the second stage',
    NESTED,
    READ,
    ({ m, first, second }) => m.map(second, 4, first, 0),
  ],
  [
    '7Ah',
    'address beyond the host width in a second-stage leaf',
    SECOND,
    READ,
    ({ m, secondLeaf }) => m.store(secondLeaf, 0x0001_0000_0000_9003n),
  ],
  [
    '7Ah',
    'reserved before permissions',
    SECOND,
    WRITE,
    ({ m, secondLeaf }) => m.store(secondLeaf, 0x0001_0000_0000_9001n),
  ],
  [
    '7Bh',
    'SSPTPTR outside memory',
    SECOND,
    READ,
    ({ m }) => m.pasid(5, { PGTT: 2, AW: 2, DID: 9, SSPTPTR: OUTSIDE }),
  ],
  [
    '7Ch',
    'second-stage accessed bit without coherency',
    SECOND,
    READ,
    ({ m, second, secondLeaf }) => {
      m.pasid(5, { PGTT: 2, AW: 2, DID: 9, SSPTPTR: second, SSADE: 1, PWSNP: 0 });
      m.store(secondLeaf, 0x9003);
    },
  ],
  ['80h', 'not canonical', FIRST, READ, () => {}],
  ['81h', 'supervisor page', FIRST, READ, ({ m, leaf }) => m.store(leaf, 0x9063)],
  [
    '82h',
    'XD',
    FIRST,
    READ | EXEC,
    ({ m, first, leaf }) => {
      m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: first, NXE: 1, ERE: 1 });
      m.store(leaf, 0x8000_0000_0000_9067n);
    },
  ],
  ['83h', 'pass-through beyond the host width', PASS, READ, () => {}],
  ['84h', 'beyond the second stage', SECOND, READ, () => {}],
  [
    '84h',
    'nested output beyond the second stage',
    NESTED,
    READ,
    ({ m, leaf }) => m.store(leaf, 0x0001_0000_0000_9067n),
  ],
  ['85h', 'first stage read-only', FIRST, WRITE, ({ m, leaf }) => m.store(leaf, 0x9065)],
  ['85h', 'second stage read-only', SECOND, WRITE, ({ m, secondLeaf }) => m.store(secondLeaf, 0x9301)],
  ['86h', 'second stage write-only', SECOND, READ, ({ m, secondLeaf }) => m.store(secondLeaf, 0x9302)],
  ['86h', 'nested output write-only', NESTED, READ, ({ m, second }) => m.map(second, 4, 0x9000, 0xb302)],
  ['87h', 'output in the interrupt range', FIRST, READ, ({ m, leaf }) => m.store(leaf, 0xfee0_0067)],
  [
    '87h',
    'second-stage output in the interrupt range',
    SECOND,
    READ,
    ({ m, second }) => m.map(second, 4, ADDRESS, 0xfee0_0303),
  ],
  [
    '90h',
    'first-stage accessed bit without coherency',
    FIRST,
    READ,
    ({ m, first, leaf }) => {
      m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: first, PWSNP: 0 });
      m.store(leaf, 0x9007);
      for (let l = 4; l > 1; l--) m.store(secondTable(m, first, l), m.load(secondTable(m, first, l)) | 0x20n);
    },
  ],
];

const CASES = ROWS.map(
  ([code, what, type, access, change, config = {}]) =>
    [code, what, { type, access, change, config }] as const,
);

/** Addresses above ADDRESS, for faults that are of the address itself. */
const BEYOND: Readonly<Record<string, number>> = {
  '80h': 0x8000,
  '83h': 0x10000,
  '84h beyond the second stage': 0x10000,
};

describe('every fault of scalable mode', () => {
  test.each(CASES)('%s: %s', (code, what, { type, access, change, config }) => {
    const r = rig(type, config);
    change(r);
    const hi = BEYOND[code] !== undefined ? BEYOND[code] : (BEYOND[`${code} ${what}`] ?? 0);

    const status = r.port.translate(ADDRESS, hi, access);

    expect(r.m.faults.map((f) => f.code)).toEqual([code]);
    expect(status).toBe(DMA_UR);
    const execute = (access & EXEC) !== 0 ? 1n << 30n : 0n;
    const read = (access & WRITE) === 0 ? 1n << 62n : 0n;
    const privileged = r.port.privileged ? 1n << 29n : 0n;
    const number = BigInt(Number.parseInt(code, 16));
    expect(r.m.record()).toEqual([
      (BigInt(hi) << 32n) | 0x5000n,
      (1n << 63n) |
        read |
        (BigInt(r.port.pasid) << 40n) |
        (number << 32n) |
        (1n << 31n) |
        execute |
        privileged |
        0x18n,
    ]);
    expect(r.m.faults[0]!.pasid).toBe(r.port.pasid);
  });

  test.each([
    ['44h', { DTE: 0 }, AT_TRANSLATED, 2n],
    ['44h', { DTE: 0 }, AT_TRANSLATION, 1n],
  ])('%s: %o', (code, fields, at, type) => {
    const { m, port } = rig(FIRST);
    m.scalableContext(DEV, fields);
    port.at = at;

    expect(port.translate(ADDRESS, 0, READ)).toBe(DMA_UR);

    expect(m.record()[1]).toBe(
      (3n << 62n) | (type << 60n) | (5n << 40n) | (BigInt(Number.parseInt(code, 16)) << 32n) | 0x8000_0018n,
    );
  });

  test('48h: RID_PASID beyond the directory', () => {
    const { m } = rig(FIRST);
    m.scalableContext(DEV, { PDTS: 0, RID_PASID: 1 << 13 });

    expect(m.port(DEV).translate(ADDRESS, 0, WRITE)).toBe(DMA_UR);

    expect(m.record()).toEqual([0x5000n, 0x8000_0048_0000_0018n]);
  });

  test('33h: abort-DMA mode blocks everything', () => {
    const { m, port } = rig(FIRST, { 'abort-dma': true });
    m.write(RTADDR, ROOT | 0xc00);
    m.command(SRTP);

    expect(port.translate(ADDRESS, 0, WRITE)).toBe(DMA_UR);

    expect(m.faults.map((f) => f.code)).toEqual(['33h']);
  });

  test.each([0x800, 0xc00])('30h: mode %d is not offered', (mode) => {
    const { m, port } = rig(FIRST);
    m.write(RTADDR, ROOT | mode);
    m.command(SRTP);

    port.translate(ADDRESS, 0, WRITE);

    expect(m.faults.map((f) => f.code)).toEqual(['30h']);
  });

  test('31h and 32h: requests with PASID and page requests in legacy mode', () => {
    const { m, port } = rig(FIRST);
    m.write(RTADDR, ROOT);
    m.command(SRTP);

    port.translate(ADDRESS, 0, WRITE);
    m.clearFaults();
    port.pageRequest(ADDRESS, 0, READ, 3, true);

    expect(m.faults.map((f) => f.code)).toEqual(['31h', '32h']);
  });

  test.each([
    ['44h', { DTE: 0 }],
    ['45h', { PASIDE: 0 }],
    ['47h', { PRE: 0 }],
    ['41h', { P: 0 }],
  ])('%s on a page request: %o', (code, fields) => {
    const { m, port } = rig(FIRST);
    m.scalableContext(DEV, fields);

    port.pageRequest(ADDRESS, 0, WRITE, 3, true);

    const number = BigInt(Number.parseInt(code, 16));
    expect(m.record()).toEqual([0x5000n, (1n << 63n) | (5n << 40n) | (number << 32n) | 0x9000_0018n]);
  });

  test('46h and 48h on page requests', () => {
    const { m, port } = rig(FIRST);
    m.scalableContext(DEV, { PDTS: 0, RID_PASID: 1 << 13 });

    port.pasid = 1 << 13;
    port.pageRequest(ADDRESS, 0, WRITE, 3, true);
    port.pasid = NO_PASID;
    m.clearFaults();
    port.pageRequest(ADDRESS, 0, WRITE, 3, true);

    expect(m.faults.map((f) => f.code)).toEqual(['46h', '48h']);
  });

  test('87h: what is no interrupt write in the interrupt range; with PASID the range is memory like any', () => {
    const { m, port, first } = rig(FIRST);
    m.scalableContext(DEV, { RID_PASID: 5 });
    m.mapFirst(first, 4, 0xfee00000, 0x9067);

    expect(m.port(DEV).translate(0xfee00000, 0, READ)).toBe(DMA_UR);
    expect([port.translate(0xfee00010, 0, WRITE), port.outLo]).toEqual([DMA_OK, 0x9010]);

    expect(m.faults.map((f) => f.code)).toEqual(['87h']);
  });

  test('an AtomicOp needs both permissions and says what it is', () => {
    const { m, port, leaf } = rig(FIRST);
    m.store(leaf, 0x9065);
    port.atomic = true;

    expect(port.translate(ADDRESS, 0, READ)).toBe(DMA_UR);

    expect(m.record()).toEqual([0x5000n, 0xc000_0585_9000_0018n]);
    expect(m.faults[0]!.access).toBe('atomic');
  });

  test.each([
    ['context entry', (m: ScalableMachine) => m.scalableContext(DEV, { P: 0, FPD: 1 })],
    ['directory entry', (m: ScalableMachine) => m.store(DIRECTORY, PASIDS | 2)],
    ['PASID entry', (m: ScalableMachine) => m.pasid(5, { P: 0, FPD: 1 })],
    ['present PASID entry', (m: ScalableMachine) => m.pasid(5, { FPD: 1, PGTT: 1, FSPTPTR: 0 })],
  ])('FPD of the %s keeps qualified faults out of the record', (_, change) => {
    const { m, port } = rig(FIRST);
    change(m);

    port.translate(ADDRESS, 0, READ);

    expect(m.read(FSTS)).toBe(0n);
    expect(m.faults[0]).toMatchObject({ recorded: false, note: 'fault processing disabled' });
  });
});

describe('translation requests', () => {
  test('recoverable faults are answered without access and not logged', () => {
    const { m, port, leaf } = rig(FIRST);
    m.store(leaf, 0);
    port.at = AT_TRANSLATION;

    expect([port.translate(ADDRESS, 0, READ | WRITE), port.outAccess, port.outSize]).toEqual([
      DMA_OK,
      0,
      4096,
    ]);

    expect(m.faults).toEqual([]);
    expect(m.read(FSTS)).toBe(0n);
  });

  test.each([
    [0, READ],
    [1, READ | EXEC],
  ])('for execution, with ERE %d, they are granted %d, walked and from the IOTLB alike', (ERE, granted) => {
    const { m, port, first } = rig(FIRST);
    m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: first, NXE: 1, ERE });
    port.at = AT_TRANSLATION;

    for (let i = 0; i < 2; i++)
      expect([port.translate(ADDRESS, 0, READ | EXEC), port.outAccess]).toEqual([DMA_OK, granted]);
  });

  test('tables that cannot be read are a completer abort, and logged', () => {
    const { m, port } = rig(FIRST);
    m.store(DIRECTORY, OUTSIDE | 1);
    port.at = AT_TRANSLATION;

    expect(port.translate(ADDRESS, 0, READ)).toBe(DMA_CA);

    expect(m.faults.map((f) => f.code)).toEqual(['58h']);
  });
});
