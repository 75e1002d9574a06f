import { describe, expect, test } from 'vitest';
import { DMA_UR, type DmaPort, EXEC, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { DATA, SmmuMachine, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, leaf, PAGE, SECOND, SID, stage1, stage2, to } from '../../kit/smmu-stages.ts';

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
