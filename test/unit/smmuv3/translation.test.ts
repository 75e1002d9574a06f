import { describe, expect, test } from 'vitest';
import { type CD, STE } from '../../../viommu/spec/smmuv3/structures.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  EXEC,
  READ,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import {
  CMDQEN,
  CONTEXT,
  DATA,
  EVENTQEN,
  SMMUEN,
  SmmuMachine,
  type SmmuMachineOptions,
  STREAMS,
  TABLE,
} from '../../kit/smmu-machine.ts';

const SID = 0x18;
const ALL = SMMUEN | EVENTQEN | CMDQEN;
const ATSCHK = 16;
const CFGI_STE = 0x18_0000_0003n;
const CFGI_CD = 0x18_0000_0005n;
const CFGI_ALL = [4n, 31n] as const;
const TLBI_ALL = 0x30n;
/** Stage 2 tables. */
const SECOND = 0x40080000;

/** Where (lo, hi) leads, or the status of a refusal. */
function to(port: DmaPort, lo: number, access = READ, hi = 0): string | number {
  const status = port.translate(lo, hi, access);
  return status === DMA_OK ? (port.outHi * 2 ** 32 + port.outLo).toString(16) : status;
}

function stage1(
  cd: Partial<Record<keyof typeof CD.fields, number>> = {},
  options: SmmuMachineOptions = {},
): { m: SmmuMachine; port: DmaPort } {
  const m = new SmmuMachine(options);
  m.stage1(SID, cd);
  m.map();
  m.start(ALL);
  return { m, port: m.port(SID) };
}

/** The leaf of page 0 gets these bits beside the address of DATA. */
function leaf(m: SmmuMachine, bits: bigint): void {
  m.store(TABLE + 0x2000, BigInt(DATA) | bits);
}

const PAGE = 0x743n;
const NOT_GLOBAL = 0x800n;

/** 39-bit stage 2 with 4 KiB pages from level 1: its first GiB is empty, the second one is RAM as it is, by a block. */
function stage2(config: 6 | 7, ste: Partial<Record<keyof typeof STE.fields, number>> = {}): SmmuMachine {
  const m = new SmmuMachine();
  m.stage1(SID);
  m.map();
  const words = STE.pack({
    V: 1,
    Config: config,
    S2T0SZ: 25,
    S2SL0: 1,
    S2PS: 4,
    S2AA64: 1,
    S2R: 1,
    S2VMID: 7,
    ...ste,
  });
  if (config === 7) words[0]! |= CONTEXT;
  words[6]! |= SECOND;
  m.storeWords(STREAMS + SID * 64, words);
  m.store(SECOND + 8, 0x40000000n | 0x7fdn);
  m.start(ALL);
  return m;
}

describe('a stream', () => {
  test('beyond the table is C_BAD_STREAMID, recorded only with RECINVSID', () => {
    const m = new SmmuMachine();
    m.start(EVENTQEN | CMDQEN);
    m.write32(0x2c, 2);
    m.write32(0x20, ALL);

    expect([to(m.port(0x100), 0), m.event(0)]).toEqual([DMA_UR, [0x100_0000_0002n, 0n, 0n, 0n]]);
  });

  test('whose STE is not valid is C_BAD_STE', () => {
    const m = new SmmuMachine();
    m.start(ALL);

    expect([to(m.port(SID), 0x1000), m.event(0)]).toEqual([DMA_UR, [0x18_0000_0004n, 0n, 0n, 0n]]);
  });

  test('that is configured to abort is refused without an event', () => {
    const m = new SmmuMachine();
    m.ste(SID, { Config: 0 });
    m.start(ALL);

    expect([to(m.port(SID), 0x1000), m.event(0)]).toEqual([DMA_UR, [0n, 0n, 0n, 0n]]);
  });

  test('that bypasses is not translated; beyond 44 bits it is F_ADDR_SIZE of stage 1, of the input', () => {
    const m = new SmmuMachine();
    m.ste(SID, { Config: 4 });
    m.start(ALL);
    const port = m.port(SID);

    expect([to(port, 0x123456, READ, 5), to(port, 0, WRITE, 0x1000), m.event(0)]).toEqual([
      '500123456',
      DMA_UR,
      [0x18_0000_0011n, 0x200_0000_0000n, 0x1000_0000_0000n, 0n],
    ]);
  });

  test.each([
    ['a substream where there is no stage 1', { Config: 4 }],
    ['a substream of a stream with one CD', { Config: 5 }],
  ])('%s is C_BAD_SUBSTREAMID', (_, fields) => {
    const m = new SmmuMachine({ config: { ssidsize: 8 } });
    m.ste(SID, fields);
    m.start(ALL);
    const port = m.port(SID);
    port.pasid = 5;

    expect([to(port, 0), m.event(0)[0]]).toEqual([DMA_UR, 0x18_0000_5808n]);
  });

  test.each([
    ['stage 2 with an AArch32 table', { Config: 6, S2T0SZ: 25, S2SL0: 1, S2PS: 4 }],
    ['stage 2 with a reserved granule', { Config: 6, S2T0SZ: 25, S2SL0: 1, S2AA64: 1, S2TG: 3 }],
    ['stage 2 with more input than the unit has', { Config: 6, S2T0SZ: 19, S2SL0: 2, S2AA64: 1 }],
    ['stage 2 that starts too low for its input', { Config: 6, S2T0SZ: 25, S2SL0: 0, S2AA64: 1 }],
    [
      'stage 2 whose table is beyond its output',
      { Config: 6, S2T0SZ: 25, S2SL0: 1, S2AA64: 1, S2TTB: 2 ** 29 },
    ],
    [
      'stage 2 with an access flag that hardware would set',
      { Config: 6, S2T0SZ: 25, S2SL0: 1, S2AA64: 1, S2HA: 1 },
    ],
    ['stage 1 with more substreams than the unit has', { Config: 5, S1CDMax: 9 }],
    ['stage 1 with stalls forbidden, by a unit that never stalls', { Config: 5, S1STALLD: 1 }],
    ['stage 1 with two-level CD tables that the unit has not', { Config: 5, S1CDMax: 2, S1Fmt: 1 }],
  ])('%s is C_BAD_STE', (_, fields) => {
    const m = new SmmuMachine({ config: { ssidsize: 8 } });
    m.ste(SID, fields);
    m.start(ALL);

    expect([to(m.port(SID), 0), m.event(0)[0]]).toEqual([DMA_UR, 0x18_0000_0004n]);
  });

  test('in a two-level table has 2^(Span-1) entries, not one more', () => {
    const m = new SmmuMachine();
    const level2 = 0x40090000;
    m.start(EVENTQEN | CMDQEN);
    m.write32(0x2c, 2);
    m.write32(0x88, 0x10000 | (6 << 6) | 8);
    m.store(STREAMS, BigInt(level2) | 3n);
    m.storeWords(level2 + 3 * 64, STE.pack({ V: 1, Config: 4 }));
    m.storeWords(level2 + 4 * 64, STE.pack({ V: 1, Config: 4 }));
    m.write32(0x20, ALL);

    expect([to(m.port(3), 0x1000), to(m.port(4), 0x1000), to(m.port(0x40), 0x1000)]).toEqual([
      '1000',
      DMA_UR,
      DMA_UR,
    ]);
    expect([m.event(0)[0], m.event(1)[0]]).toEqual([0x4_0000_0002n, 0x40_0000_0002n]);
  });

  test('whose STE is not in memory is F_STE_FETCH with its address', () => {
    const m = new SmmuMachine();
    m.start(EVENTQEN | CMDQEN);
    m.write64(0x80, 0x1_0000_0000n);
    m.write32(0x20, ALL);

    expect([to(m.port(2), 0), m.event(0)]).toEqual([DMA_UR, [0x2_0000_0003n, 0n, 0n, 0x1_0000_0080n]]);
  });
});

describe('a unit that is switched off', () => {
  test('passes everything up to its output size, or aborts it when GBPA says so', () => {
    const m = new SmmuMachine();
    const port = m.port(SID);
    const before = [to(port, 0x1234, READ, 0xfff), to(port, 0, READ, 0x1000)];

    m.write32(0x44, 0x80100000);

    expect([...before, to(port, 0x1234)]).toEqual(['fff00001234', DMA_UR, DMA_UR]);
  });
});

describe('stage 1', () => {
  test('translates a page; the rest of the tables is F_TRANSLATION with the address and RnW', () => {
    const { m, port } = stage1();

    expect([to(port, 0x345), to(port, 0x1abc), m.event(0)]).toEqual([
      '40100345',
      DMA_UR,
      [0x18_0000_0010n, 0x208_0000_0000n, 0x1abcn, 0n],
    ]);
  });

  test('needs the EL0 bit of AP for unprivileged access', () => {
    const { m, port } = stage1();
    leaf(m, 0x703n);
    const refused = to(port, 0);
    port.privileged = true;

    expect([refused, m.event(0)[1], to(port, 0)]).toEqual([DMA_UR, 0x208_0000_0000n, '40100000']);
  });

  test.each([
    ['read-only', 0x7c3n, 0n, ['40100000', DMA_UR]],
    ['writable', 0x743n, 0n, ['40100000', '40100000']],
    ['read-only by its table', 0x743n, 1n << 62n, ['40100000', DMA_UR]],
    ['privileged by its table', 0x743n, 1n << 61n, [DMA_UR, DMA_UR]],
  ] as const)('a page that is %s', (_, bits, table, expected) => {
    const { m, port } = stage1();
    leaf(m, bits);
    m.store(TABLE + 0x1000, BigInt(TABLE + 0x2000) | 3n | table);

    expect([to(port, 0, READ), to(port, 0, WRITE)]).toEqual(expected);
  });

  test('HAD: attributes of tables do not count', () => {
    const { m, port } = stage1({ HAD0: 1 });
    m.store(TABLE + 0x1000, BigInt(TABLE + 0x2000) | 3n | (1n << 62n));

    expect(to(port, 0, WRITE)).toBe('40100000');
  });

  test('execution: UXN, PXN, WXN, and never privileged where EL0 may write', () => {
    const executable = (bits: bigint, privileged: boolean, cd = {}) => {
      const { m, port } = stage1(cd);
      leaf(m, bits);
      port.privileged = privileged;
      return to(port, 0, EXEC);
    };

    expect([
      executable(0x743n, false),
      executable(0x743n, true),
      executable(0x7c3n, true),
      executable(0x7c3n | (1n << 54n), false),
      executable(0x7c3n | (1n << 53n), true),
      executable(0x743n, false, { WXN: 1 }),
    ]).toEqual(['40100000', DMA_UR, '40100000', DMA_UR, DMA_UR, DMA_UR]);
  });

  test('PAN: no privileged data access to what EL0 may access', () => {
    const { port } = stage1({ PAN: 1 });
    const unprivileged = to(port, 0);
    port.privileged = true;

    expect([unprivileged, to(port, 0)]).toEqual(['40100000', DMA_UR]);
  });

  test('an access flag of 0 is F_ACCESS, unless AFFD is set', () => {
    const { m, port } = stage1();
    leaf(m, 0x343n);
    const disabled = stage1({ AFFD: 1 });
    leaf(disabled.m, 0x343n);

    expect([to(port, 0), m.event(0)[0], to(disabled.port, 0)]).toEqual([DMA_UR, 0x18_0000_0012n, '40100000']);
  });

  test('an output beyond IPS is F_ADDR_SIZE', () => {
    const { m, port } = stage1({ IPS: 0 });
    leaf(m, PAGE | 0x1_0000_0000n);

    expect([to(port, 0), m.event(0)]).toEqual([DMA_UR, [0x18_0000_0011n, 0x208_0000_0000n, 0n, 0n]]);
  });

  test('a descriptor outside memory is F_WALK_EABT with its address, of class TT', () => {
    const { m, port } = stage1();
    m.store(TABLE + 0x1000, 0x7_0000_0003n);

    expect([to(port, 0x3008), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_000bn, 0x108_0000_0000n, 0x3008n, 0x7_0000_0018n],
    ]);
  });

  test('the top byte counts unless TBI is set; the upper half has no tables with EPD1', () => {
    const checked = stage1();
    const ignored = stage1({ TBI0: 1 });
    const at = (port: DmaPort, hi: number) => to(port, 0x10, READ, hi);

    expect([
      at(checked.port, 0xab000000 | 0),
      at(ignored.port, 0xab000000 | 0),
      at(ignored.port, -1),
    ]).toEqual([DMA_UR, '40100010', DMA_UR]);
  });

  test('the upper half has tables of its own', () => {
    const m = new SmmuMachine();
    m.stage1(SID, { EPD0: 1, EPD1: 0, T1SZ: 25, TG1: 2, TTB1: TABLE / 16 });
    m.map();
    m.store(TABLE + 511 * 8, BigInt(TABLE + 0x1000) | 3n);
    m.store(TABLE + 0x1000 + 511 * 8, BigInt(DATA & -0x200000) | 0x741n);
    m.start(ALL);
    const port = m.port(SID);

    expect([to(port, -0x1000, READ, -1), to(port, 0, READ, 0)]).toEqual(['401ff000', DMA_UR]);
  });

  test.each([
    [2, 14, 28, '16 KiB'],
    [1, 16, 22, '64 KiB'],
  ])('granule code %i: pages of 2^%i bytes', (code, bits, size, _name) => {
    const m = new SmmuMachine();
    m.stage1(SID, { T0SZ: size, TG0: code });
    m.store(TABLE, BigInt(TABLE + 0x10000) | 3n);
    m.store(TABLE + 0x10000 + 8, BigInt(DATA) | 0x743n);
    m.start(ALL);
    const port = m.port(SID);
    const page = 2 ** bits;

    expect([to(port, page + 0x123), port.outSpan, to(port, 2 * page)]).toEqual([
      (DATA + 0x123).toString(16),
      page - 0x123,
      DMA_UR,
    ]);
  });

  test.each([
    ['not valid', { V: 0 }],
    ['of AArch32 tables', { AA64: 0 }],
    ['that stalls', { S: 1 }],
    ['that does not abort', { A: 0 }],
    ['with too small an input', { T0SZ: 40 }],
    ['with too large an input', { T0SZ: 15 }],
    ['with hardware updates', { HA: 1 }],
    ['with big-endian tables', { ENDI: 1 }],
    ['with a reserved granule', { TG0: 3 }],
  ])('a CD %s is C_BAD_CD', (_, fields) => {
    const { m, port } = stage1(fields);

    expect([to(port, 0), m.event(0)]).toEqual([DMA_UR, [0x18_0000_000an, 0n, 0n, 0n]]);
  });

  test('CD.R = 0: a translation fault is not recorded', () => {
    const { m, port } = stage1({ R: 0 });

    expect([to(port, 0x1000), m.event(0)[0]]).toEqual([DMA_UR, 0n]);
  });

  test('HTTU: the access flag and the dirty state are set by the access that needs them', () => {
    const { m, port } = stage1({ HA: 1, HD: 1 }, { config: { httu: 'dirty' } });
    // Read-only with DBM: writable, and clean.
    leaf(m, 0x3c3n | (1n << 51n));
    const before = to(port, 0, READ);
    const read = m.load(TABLE + 0x2000);
    const written = to(port, 0, WRITE);

    expect([before, read & 0xfffn, written, m.load(TABLE + 0x2000) & 0xfffn]).toEqual([
      '40100000',
      0x7c3n,
      '40100000',
      0x743n,
    ]);
  });
});

describe('substreams', () => {
  function substreams(ste: Partial<Record<keyof typeof STE.fields, number>>) {
    const m = new SmmuMachine({ config: { ssidsize: 16, 'two-level-cds': true } });
    m.stage1(SID);
    m.map();
    const words = STE.pack({ V: 1, Config: 5, S1CDMax: 4, ...ste });
    words[0]! |= CONTEXT;
    m.storeWords(STREAMS + SID * 64, words);
    const cd = Array.from({ length: 8 }, (_, i) => m.load(CONTEXT + i * 8));
    cd.forEach((value, i) => {
      m.store(CONTEXT + 3 * 64 + i * 8, value);
    });
    m.start(ALL);
    return { m, port: m.port(SID) };
  }

  test('S1DSS 0 terminates what has none; S1CDMax bounds the others', () => {
    const { m, port } = substreams({ S1DSS: 0 });
    const none = to(port, 0);
    port.pasid = 3;
    const good = to(port, 0);
    port.pasid = 16;

    expect([none, good, to(port, 0), m.event(0)[0], m.event(1)[0]]).toEqual([
      DMA_UR,
      '40100000',
      DMA_UR,
      0x18_0000_0006n,
      0x18_0001_0808n,
    ]);
  });

  test('S1DSS 1 lets what has none bypass stage 1', () => {
    const { port } = substreams({ S1DSS: 1 });

    expect(to(port, 0x777)).toBe('777');
  });

  test('S1DSS 2 gives CD 0 to what has none, and nobody else', () => {
    const { m, port } = substreams({ S1DSS: 2 });
    const none = to(port, 0);
    port.pasid = 0;

    expect([none, to(port, 0), m.event(0)[0]]).toEqual(['40100000', DMA_UR, 0x18_0000_0806n]);
  });

  test('two-level CD tables: 64 CDs to a level 1 descriptor', () => {
    const { m, port } = substreams({ S1DSS: 2, S1Fmt: 1, S1CDMax: 8, S1ContextPtr: 0x400a0000 / 64 });
    m.storeWords(STREAMS + SID * 64, [
      ...STE.pack({ V: 1, Config: 5, S1Fmt: 1, S1CDMax: 8, S1DSS: 2, S1ContextPtr: 0x400a0000 / 64 }),
    ]);
    m.store(0x400a0000 + 8, BigInt(CONTEXT) | 1n);
    port.pasid = 64 + 3;
    const found = to(port, 0);
    port.pasid = 3;

    expect([found, to(port, 0), m.event(0)[0]]).toEqual(['40100000', DMA_UR, 0x18_0000_3808n]);
  });
});

describe('stage 2', () => {
  test('translates blocks; what it does not map is F_TRANSLATION of stage 2, with the IPA', () => {
    const m = stage2(6);
    const port = m.port(SID);

    expect([to(port, 0x40000abc), port.outSpan, to(port, 0x5abc, WRITE), m.event(0)]).toEqual([
      '40000abc',
      2 ** 30 - 0xabc,
      DMA_UR,
      [0x18_0000_0010n, 0x280_0000_0000n, 0x5abcn, 0x5000n],
    ]);
  });

  test('S2AP denies writes with F_PERMISSION', () => {
    const m = stage2(6);
    m.store(SECOND + 8, 0x40000000n | 0x77dn);
    const port = m.port(SID);

    expect([to(port, 0x40000000), to(port, 0x40000000, WRITE), m.event(0)[0]]).toEqual([
      '40000000',
      DMA_UR,
      0x18_0000_0013n,
    ]);
  });

  test('input beyond its range is F_TRANSLATION, beyond the unit F_ADDR_SIZE of the bypassed stage 1', () => {
    const m = stage2(6);
    const port = m.port(SID);

    expect([to(port, 0, READ, 0x80), to(port, 0, READ, 0x1000), m.event(0), m.event(1)]).toEqual([
      DMA_UR,
      DMA_UR,
      [0x18_0000_0010n, 0x288_0000_0000n, 0x80_0000_0000n, 0x80_0000_0000n],
      [0x18_0000_0011n, 0x208_0000_0000n, 0x1000_0000_0000n, 0n],
    ]);
  });

  test('S2R = 0: its faults are not recorded', () => {
    const m = stage2(6, { S2R: 0 });

    expect([to(m.port(SID), 0), m.event(0)[0]]).toEqual([DMA_UR, 0n]);
  });

  test('concatenated tables: 40 bits from level 1 are two tables', () => {
    const m = stage2(6, { S2T0SZ: 24 });
    m.store(SECOND + 0x1000 + 8, 0x40000000n | 0x7fdn);

    expect(to(m.port(SID), 0x40000123, READ, 0x80)).toBe('40000123');
  });
});

describe('both stages', () => {
  test('translate CD, tables and output', () => {
    const m = stage2(7);

    expect(to(m.port(SID), 0xabc)).toBe('40100abc');
  });

  test('a CD that stage 2 does not map is a stage 2 fault of class CD, with its address', () => {
    const m = stage2(7);
    m.store(SECOND + 8, 0n);

    expect([to(m.port(SID), 0x123), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_0010n, 0x088_0000_0000n, 0x123n, 0x40020000n],
    ]);
  });

  test('a table that stage 2 does not map is a stage 2 fault of class TT, with the address of the descriptor', () => {
    const m = stage2(7);
    m.store(TABLE, 0x5003n);

    expect([to(m.port(SID), 0x123), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_0010n, 0x188_0000_0000n, 0x123n, 0x5000n],
    ]);
  });

  test('an output that stage 2 does not map is a stage 2 fault of class IN, with the intermediate address', () => {
    const m = stage2(7);
    m.store(TABLE + 0x2000, 0x9000n | PAGE);

    expect([to(m.port(SID), 0x123, WRITE), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_0010n, 0x280_0000_0000n, 0x123n, 0x9000n],
    ]);
  });
});

describe('caches', () => {
  const next = BigInt(DATA + 0x1000) | PAGE;

  test.each([
    ['TLBI_NSNH_ALL', TLBI_ALL, 0n],
    ['TLBI_NH_ALL', 0x10n, 0n],
    ['TLBI_NH_ASID', 0x1_0000_0000_0011n, 0n],
    ['TLBI_NH_VA', 0x1_0000_0000_0012n, 0n],
    ['TLBI_NH_VAA', 0x13n, 0n],
    ['TLBI_S12_VMALL', 0x28n, 0n],
    ['a range of TLBI_NH_VA', 0x1_0000_0000_1012n, 0x400n],
  ])('a translation stays until %s drops it', (_, q0, q1) => {
    const { m, port } = stage1();
    leaf(m, PAGE | NOT_GLOBAL);
    to(port, 0);
    m.store(TABLE + 0x2000, next);
    const stale = to(port, 0);

    m.submit(q0, q1);

    expect([stale, to(port, 0)]).toEqual(['40100000', '40101000']);
  });

  test.each([
    ['TLBI_NH_ASID of another ASID', 0x2_0000_0000_0011n, 0n],
    ['TLBI_NH_VA of another page', 0x1_0000_0000_0012n, 0x1000n],
    ['TLBI_NH_ALL of another VMID', 0x5_0000_0010n, 0n],
    ['CFGI_STE', CFGI_STE, 1n],
    ['CFGI_ALL', ...CFGI_ALL],
  ])('%s leaves the translation', (_, q0, q1) => {
    const { m, port } = stage1();
    leaf(m, PAGE | NOT_GLOBAL);
    to(port, 0);
    m.store(TABLE + 0x2000, next);

    m.submit(q0 as bigint, q1 as bigint);

    expect(to(port, 0)).toBe('40100000');
  });

  test('a global page is dropped by its address under any ASID, and not by the ASID', () => {
    const { m, port } = stage1();
    to(port, 0);
    m.store(TABLE + 0x2000, next);
    m.submit(0x9_0000_0000_0011n);
    const stale = to(port, 0);

    m.submit(0x9_0000_0000_0012n, 0n);

    expect([stale, to(port, 0)]).toEqual(['40100000', '40101000']);
  });

  test('configuration stays until CFGI, valid or not', () => {
    const m = new SmmuMachine();
    m.start(ALL);
    const port = m.port(SID);
    to(port, 0);
    m.ste(SID, { Config: 4 });
    const stale = to(port, 0x1000);

    m.submit(CFGI_STE, 1n);

    expect([stale, to(port, 0x1000)]).toEqual([DMA_UR, '1000']);
  });

  test('a CD stays until CFGI_CD', () => {
    const { m, port } = stage1({ V: 0 });
    to(port, 0);
    m.stage1(SID);
    const stale = to(port, 0);

    m.submit(CFGI_CD, 1n);

    expect([stale, to(port, 0)]).toEqual([DMA_UR, '40100000']);
  });

  test('stage 2 by VMID: TLBI_S2_IPA drops its address; both stages in one need stage 1 commands too', () => {
    const m = stage2(6);
    const port = m.port(SID);
    to(port, 0x40000000);
    m.store(SECOND + 8, 0n);
    const stale = to(port, 0x40000000);
    m.submit(0x7_0000_002an, 0x40000000n);
    const dropped = to(port, 0x40000000);
    const nested = stage2(7);
    const other = nested.port(SID);
    to(other, 0);
    nested.store(SECOND + 8, 0n);
    nested.submit(0x7_0000_002an, BigInt(DATA));
    const combined = to(other, 0);
    nested.submit(0x7_0000_0010n);

    expect([stale, dropped, combined, to(other, 0)]).toEqual(['40000000', DMA_UR, '40100000', DMA_UR]);
  });
});

describe('ATS', () => {
  function ats(config: 5 | 7, eats: number, cr0 = ALL | ATSCHK) {
    const m = new SmmuMachine({ config: { ats: true, 'ats-split-stage': true } });
    m.stage1(SID);
    m.map();
    const words = STE.pack({ V: 1, Config: config, EATS: eats, S2T0SZ: 25, S2SL0: 1, S2PS: 4, S2AA64: 1 });
    words[0]! |= CONTEXT;
    words[6]! |= SECOND;
    m.storeWords(STREAMS + SID * 64, words);
    m.store(SECOND + 8, 0x40000000n | 0x7fdn);
    m.start(cr0);
    const port = m.port(SID);
    return { m, port };
  }

  test('a translation request is granted what the tables permit; a fault is success without permissions', () => {
    const { m, port } = ats(5, 1);
    leaf(m, 0x7c3n);
    port.at = AT_TRANSLATION;
    const found = [to(port, 0, READ | WRITE), port.outAccess, port.outSize];

    expect([...found, port.translate(0x5000, 0, READ), port.outAccess, m.event(0)[0]]).toEqual([
      '40100000',
      READ,
      4096,
      DMA_OK,
      0,
      0n,
    ]);
  });

  test('without EATS: UR with F_BAD_ATS_TREQ, and F_TRANSL_FORBIDDEN for translated requests', () => {
    const { m, port } = ats(5, 0);
    port.at = AT_TRANSLATION;
    const request = to(port, 0x2000);
    port.at = AT_TRANSLATED;

    expect([request, to(port, 0x40100000), m.event(0)[0], m.event(1)]).toEqual([
      DMA_UR,
      DMA_UR,
      0x18_0000_0005n,
      [0x18_0000_0007n, 0x8_0000_0000n, 0x40100000n, 0n],
    ]);
  });

  test('without ATSCHK translated requests pass unchecked', () => {
    const { port } = ats(5, 0, ALL);
    port.at = AT_TRANSLATED;

    expect(to(port, 0x40100123)).toBe('40100123');
  });

  /** IPAs from 80000000h on are RAM, with the given bits of the block. */
  function elsewhere(m: SmmuMachine, bits: bigint): void {
    m.store(SECOND + 16, 0x40000000n | bits);
  }

  test('split-stage: a request gets the intermediate address, a translated one goes through stage 2', () => {
    const { m, port } = ats(7, 2);
    elsewhere(m, 0x7fdn);
    m.store(TABLE + 0x2000, 0x80009000n | PAGE);
    port.at = AT_TRANSLATION;
    const request = to(port, 0);
    port.at = AT_TRANSLATED;

    expect([request, to(port, 0x80109000), to(port, 0x9000)]).toEqual(['80009000', '40109000', DMA_UR]);
  });

  test('split-stage: rights are those of both stages, and an address that stage 2 has not gets none', () => {
    const { m, port } = ats(7, 2);
    elsewhere(m, 0x77dn);
    m.store(TABLE + 0x2000, 0x80009000n | PAGE);
    m.store(TABLE + 0x2008, 0x9000n | PAGE);
    port.at = AT_TRANSLATION;
    const readOnly = [to(port, 0, READ | WRITE), port.outAccess];

    expect([...readOnly, port.translate(0x1000, 0, READ), port.outAccess]).toEqual([
      '80009000',
      READ,
      DMA_OK,
      0,
    ]);
  });

  test('split-stage: a translated address beyond the unit is F_ADDR_SIZE of stage 1', () => {
    const { m, port } = ats(7, 2);
    port.at = AT_TRANSLATED;

    expect([to(port, 0, READ, 0x1000), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_0011n, 0x208_0000_0000n, 0x1000_0000_0000n, 0n],
    ]);
  });

  test('split-stage: a stage 2 table that is not in memory is recorded for a translated transaction, too', () => {
    const { m, port } = ats(7, 2);
    m.store(SECOND + 16, 0xf000_0000n | 3n);
    port.at = AT_TRANSLATED;

    expect([to(port, 0x80000000), m.event(0)]).toEqual([
      DMA_UR,
      [0x18_0000_000bn, 0x288_0000_0000n, 0x80000000n, 0xf000_0000n],
    ]);
  });

  test.each([
    ['split-stage without stage 2', 5, 2],
    ['split-stage without stage 1', 6, 2],
  ] as const)('%s is C_BAD_STE even without ATSCHK', (_, config, eats) => {
    const { m, port } = ats(config as 5, eats, ALL);

    expect([to(port, 0), m.event(0)[0]]).toEqual([DMA_UR, 0x18_0000_0004n]);
  });

  test('EATS = 3 is reserved without a permission table: it acts as 0, and other transactions are translated', () => {
    const { m, port } = ats(5, 3);
    const untranslated = to(port, 0);
    port.at = AT_TRANSLATION;

    expect([untranslated, to(port, 0), m.event(0)[0]]).toEqual(['40100000', DMA_UR, 0x18_0000_0005n]);
  });

  test('a request without PASID is unprivileged data whatever the port says', () => {
    const { m, port } = ats(5, 1);
    // EL1 reads and writes, EL0 may do nothing.
    leaf(m, 0x703n);
    port.at = AT_TRANSLATION;
    port.privileged = true;

    expect([port.translate(0, 0, READ | EXEC), port.outAccess]).toEqual([DMA_OK, 0]);
  });

  test('a translated transaction has no SubstreamID: its event does not tell the PASID', () => {
    const { m, port } = ats(5, 0);
    port.at = AT_TRANSLATED;
    port.pasid = 5;

    expect([to(port, 0), m.event(0)[0]]).toEqual([DMA_UR, 0x18_0000_0007n]);
  });

  test('INSTCFG = instruction grants what may be executed as what may be read', () => {
    const m = new SmmuMachine({ config: { ats: true, 'attribute-overrides': true } });
    m.stage1(SID);
    m.map();
    const words = STE.pack({ V: 1, Config: 5, EATS: 1, INSTCFG: 3 });
    words[0]! |= CONTEXT;
    m.storeWords(STREAMS + SID * 64, words);
    m.start(ALL | ATSCHK);
    const port = m.port(SID);
    port.at = AT_TRANSLATION;
    const executable = [port.translate(0, 0, READ | WRITE), port.outAccess];
    leaf(m, PAGE | (1n << 54n));

    expect([...executable, port.translate(0, 0, READ | WRITE), port.outAccess]).toEqual([
      DMA_OK,
      READ | WRITE,
      DMA_OK,
      WRITE,
    ]);
  });

  test('C_BAD_STREAMID of a translated transaction needs REC_CFG_ATS, not RECINVSID', () => {
    const m = new SmmuMachine({ config: { ats: true, 'ats-record-errors': true } });
    m.write32(0x2c, 8);
    m.start(ALL | ATSCHK);
    const port = m.port(0x1234);
    port.at = AT_TRANSLATED;

    expect([to(port, 0), m.event(0)[0]]).toEqual([DMA_UR, 0x1234_0000_0002n]);
  });

  test('a wrong configuration is a completer abort for a translation request, recorded with REC_CFG_ATS only', () => {
    const { m, port } = ats(5, 1);
    m.store(CONTEXT, 0n);
    port.at = AT_TRANSLATION;
    const status = to(port, 0);
    const silent = m.event(0)[0];
    port.at = AT_UNTRANSLATED;

    expect([status, silent, to(port, 0), m.event(0)[0]]).toEqual([DMA_CA, 0n, DMA_UR, 0x18_0000_000an]);
  });
});
