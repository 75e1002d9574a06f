import { describe, expect, test } from 'vitest';
import { FSTS } from '../../../viommu/spec/vtd/registers.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  DMA_CA,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { CONTEXTS, type MachineOptions, ROOT, TE, VtdMachine } from '../../kit/vtd-machine.ts';

const DEV = 0x18;
const ATOMIC = READ | WRITE;

/** Device 00:03.0 in domain 5 with a table of 4 levels, nothing mapped. */
function paging(options: MachineOptions = {}, levels = 4) {
  const m = new VtdMachine(options);
  const top = m.page();
  m.context(DEV, { P: 1, AW: levels - 2, DID: 5, SSPTPTR: top });
  m.start();
  return { m, top, port: m.port(DEV) };
}

function out(port: DmaPort): [number, number, number] {
  return [port.outLo, port.outHi, port.outSpan];
}

describe('second-stage translation', () => {
  test.each([
    [3, 0x7f_ffff_f123n],
    [4, 0xffff_ffff_f123n],
    [5, 0x1ff_ffff_ffff_f123n],
  ])('%d levels reach the top of their width', (levels, iova) => {
    const { m, top, port } = paging({ config: { 'aw-bits': 57 } }, levels);
    m.map(top, levels, iova, 0x0000_0123_4567_8003n);

    const status = port.translate(Number(iova & 0xffffffffn), Number(iova >> 32n), WRITE);

    expect([status, ...out(port)]).toEqual([DMA_OK, 0x45678123, 0x123, 0xedd]);
  });

  test('tables in the last page of memory are read, and one page further on nothing is', () => {
    const m = new VtdMachine();
    const last = m.ram.end - 4096;
    m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: last });
    m.map(last, 4, 0x5000, 0x9003n);
    m.start();

    expect(m.port(DEV).translate(0x5000, 0, READ)).toBe(DMA_OK);
    m.context(DEV, { P: 1, AW: 2, DID: 6, SSPTPTR: m.ram.end });
    m.submit(0x11n);
    expect(m.port(DEV).translate(0x5000, 0, READ)).toBe(DMA_UR);
    expect(m.faults.map((f) => f.code)).toEqual(['07h']);
  });

  test.each([
    [2, 0x8060_0083n, [0x80712345, 0, 0x200000 - 0x112345]],
    [3, 0x1_4000_0083n, [0x7fd12345, 1, 0x40000000 - 0x3fd12345]],
  ])('a leaf at level %d maps all of its range', (level, entry, want) => {
    const { m, top, port } = paging();
    m.map(top, 4, 0x7fd12345, entry, level);

    expect(port.translate(0x7fd12345, 0, READ)).toBe(DMA_OK);
    expect(out(port)).toEqual(want);
    expect(port.translate(0x7fd12345, 0, READ)).toBe(DMA_OK);
    expect(out(port)).toEqual(want);
  });

  test('bits that legacy mode ignores do not matter', () => {
    const { m, top, port } = paging();
    m.map(top, 4, 0x5000, 0xfff0_0000_0000_877fn);

    expect(port.translate(0x5000, 0, READ)).toBe(DMA_OK);
    expect(port.outLo).toBe(0x8000);
  });

  test('pass-through gives the address back, up to the host width', () => {
    const m = new VtdMachine();
    m.context(DEV, { P: 1, TT: 2, AW: 2 });
    m.start();
    const port = m.port(DEV);

    const status = [port.translate(0x12345678, 0xffff, READ), port.translate(0x12345678, 0xffff, READ)];

    expect([...status, ...out(port)]).toEqual([DMA_OK, DMA_OK, 0x12345678, 0xffff, 0x988]);
    expect(port.translate(0, 0x10000, READ)).toBe(DMA_UR);
    expect(m.record()[1]).toBe(0xc000000400000018n);
  });

  test('while translation is off addresses pass and interrupt writes are messages', () => {
    const m = new VtdMachine();
    const port = m.port(DEV);

    expect([port.translate(0x5123, 7, WRITE), ...out(port)]).toEqual([DMA_OK, 0x5123, 7, 0xedd]);
    expect(port.translate(0xfee00000, 0, WRITE)).toBe(DMA_MESSAGE);
    expect(port.translate(0xfee00000, 0, READ)).toBe(DMA_OK);
  });

  test('translation can be switched off and on again', () => {
    const { m, port } = paging();
    const on = port.translate(0x5000, 0, READ);
    m.disable(TE);
    const off = port.translate(0x5000, 0, READ);
    m.command(TE);

    expect([on, off, port.translate(0x5000, 0, READ)]).toEqual([DMA_UR, DMA_OK, DMA_UR]);
  });

  test.each([
    [false, DMA_UR],
    [true, DMA_OK],
  ])('a zero-length read of a write-only page with ZLR=%s', (zlr, want) => {
    const { m, top, port } = paging({ config: { zlr } });
    m.map(top, 4, 0x5000, 0x8002);

    expect(port.translate(0x5000, 0, 0)).toBe(want);
    expect(port.translate(0x5000, 0, WRITE)).toBe(DMA_OK);
    expect(port.translate(0x5000, 0, 0)).toBe(want);
  });

  test('requesters on other buses use their own root entry', () => {
    const m = new VtdMachine();
    const top = m.page();
    m.map(top, 3, 0x5000, 0x8003);
    m.context(0x0108, { P: 1, AW: 1, DID: 5, SSPTPTR: top });
    m.start();

    expect([m.port(0x0108).translate(0x5000, 0, READ), m.port(0x0208).translate(0x5000, 0, READ)]).toEqual([
      DMA_OK,
      DMA_UR,
    ]);
    expect(m.record()[1]).toBe(0xc000000100000208n);
  });

  test('a large page over the interrupt window is used page by page', () => {
    const { m, top, port } = paging();
    m.map(top, 4, 0xc0000000, 0x0000_0083, 3);

    expect([port.translate(0xfedff000, 0, READ), ...out(port)]).toEqual([DMA_OK, 0x3edff000, 0, 4096]);
    expect(port.translate(0xfee00000, 0, READ)).toBe(DMA_UR);
    expect(m.record()[1] & 0xff_0000_0000n).toBe(0xe_0000_0000n);
  });
});

/** Each fault code as software sees it: the record, the status, and whether FPD keeps it from being recorded. */
describe('legacy fault codes', () => {
  interface Case {
    readonly code: number;
    readonly what: string;
    readonly arrange: (m: VtdMachine, port: DmaPort) => void;
    readonly access?: number;
    readonly iova?: [number, number];
    readonly record: [bigint, bigint];
    readonly status?: number;
  }

  const mapWith =
    (entry: bigint, level = 1) =>
    (m: VtdMachine) => {
      const top = m.page();
      m.map(top, 4, 0x12345000, entry, level);
      m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: top });
    };
  const context = (q0: bigint, q1: bigint) => (m: VtdMachine) => {
    m.store(ROOT, CONTEXTS | 1);
    m.store(CONTEXTS + DEV * 16, q0);
    m.store(CONTEXTS + DEV * 16 + 8, q1);
  };

  const cases: Case[] = [
    {
      code: 0x01,
      what: 'root entry not present',
      arrange: () => {},
      record: [0x12345000n, 0xc000000100000018n],
    },
    {
      code: 0x02,
      what: 'context entry not present',
      arrange: context(0n, 0n),
      record: [0x12345000n, 0xc000000200000018n],
    },
    {
      code: 0x03,
      what: 'TT is 11b',
      arrange: context(0x10000dn, 0x502n),
      record: [0x12345000n, 0xc000000300000018n],
    },
    {
      code: 0x03,
      what: 'TT is 01b without device-TLBs',
      arrange: context(0x100005n, 0x502n),
      record: [0x12345000n, 0xc000000300000018n],
    },
    {
      code: 0x03,
      what: 'AW is 0',
      arrange: context(0x100001n, 0x500n),
      record: [0x12345000n, 0xc000000300000018n],
    },
    {
      code: 0x03,
      what: 'AW is 57-bit on a 48-bit unit',
      arrange: context(0x100001n, 0x503n),
      record: [0x12345000n, 0xc000000300000018n],
    },
    {
      code: 0x04,
      what: 'address beyond AW',
      arrange: mapWith(0x8003n),
      iova: [0x1000, 0x10000],
      record: [0x1000000001000n, 0xc000000400000018n],
    },
    {
      code: 0x05,
      what: 'write to a read-only page',
      arrange: mapWith(0x8001n),
      access: WRITE,
      record: [0x12345000n, 0x8000000500000018n],
    },
    {
      code: 0x05,
      what: 'write to an unmapped page',
      arrange: mapWith(0n),
      access: WRITE,
      record: [0x12345000n, 0x8000000500000018n],
    },
    {
      code: 0x05,
      what: 'AtomicOp on a read-only page',
      arrange: mapWith(0x8001n),
      access: ATOMIC,
      record: [0x12345000n, 0xc000000510000018n],
    },
    {
      code: 0x06,
      what: 'read of a write-only page',
      arrange: mapWith(0x8002n),
      record: [0x12345000n, 0xc000000600000018n],
    },
    {
      code: 0x06,
      what: 'read where only an upper entry denies it',
      arrange: (m) => {
        mapWith(0x8003n)(m);
        const top = Number(m.load(CONTEXTS + DEV * 16) & 0xfffff000n);
        m.store(top, (m.load(top) & ~1n) as bigint);
      },
      record: [0x12345000n, 0xc000000600000018n],
    },
    {
      code: 0x07,
      what: 'a table outside memory',
      arrange: (m) => m.context(DEV, { P: 1, AW: 2, DID: 5, SSPTPTR: 0x7000_0000 }),
      record: [0x12345000n, 0xc000000700000018n],
    },
    {
      code: 0x08,
      what: 'the root table outside memory',
      arrange: (m) => {
        m.write({ offset: 0x20, bytes: 8 }, 0x7000_0000);
        m.command(0x40000000);
      },
      record: [0x12345000n, 0xc000000800000018n],
    },
    {
      code: 0x09,
      what: 'the context table outside memory',
      arrange: (m) => m.store(ROOT, 0x7000_0001),
      record: [0x12345000n, 0xc000000900000018n],
    },
    {
      code: 0x0a,
      what: 'a reserved bit of the root entry',
      arrange: (m) => {
        m.context(DEV, { P: 1, TT: 2, AW: 2 });
        m.store(ROOT, CONTEXTS | 3);
      },
      record: [0x12345000n, 0xc000000a00000018n],
    },
    {
      code: 0x0a,
      what: 'the upper half of the root entry',
      arrange: (m) => {
        m.context(DEV, { P: 1, TT: 2, AW: 2 });
        m.store(ROOT + 8, 1n << 63n);
      },
      record: [0x12345000n, 0xc000000a00000018n],
    },
    {
      code: 0x0b,
      what: 'reserved bit 4 of the context entry',
      arrange: context(0x100011n, 0x502n),
      record: [0x12345000n, 0xc000000b00000018n],
    },
    {
      code: 0x0b,
      what: 'reserved bit 71 of the context entry',
      arrange: context(0x100001n, 0x582n),
      record: [0x12345000n, 0xc000000b00000018n],
    },
    {
      code: 0x0b,
      what: 'reserved bit 88 of the context entry',
      arrange: context(0x100001n, 0x1000502n),
      record: [0x12345000n, 0xc000000b00000018n],
    },
    {
      code: 0x0b,
      what: 'a table pointer beyond the host width',
      arrange: context(0x1_0000_0010_0001n, 0x502n),
      record: [0x12345000n, 0xc000000b00000018n],
    },
    {
      code: 0x0c,
      what: 'a leaf address beyond the host width',
      arrange: mapWith(0x1_0000_0000_8003n),
      record: [0x12345000n, 0xc000000c00000018n],
    },
    {
      code: 0x0c,
      what: 'SNP without snoop control',
      arrange: mapWith(0x8803n),
      record: [0x12345000n, 0xc000000c00000018n],
    },
    {
      code: 0x0c,
      what: 'a misaligned 2 MiB leaf',
      arrange: mapWith(0x201083n, 2),
      record: [0x12345000n, 0xc000000c00000018n],
    },
    {
      code: 0x0c,
      what: 'PS at level 4',
      arrange: mapWith(0x83n, 4),
      record: [0x12345000n, 0xc000000c00000018n],
    },
    {
      code: 0x0d,
      what: 'a translation request with TT 00b',
      arrange: (m, port) => {
        mapWith(0x8003n)(m);
        port.at = AT_TRANSLATION;
      },
      record: [0x12345000n, 0xd000000d00000018n],
    },
    {
      code: 0x0d,
      what: 'a translated request with TT 00b',
      arrange: (m, port) => {
        mapWith(0x8003n)(m);
        port.at = AT_TRANSLATED;
      },
      access: WRITE,
      record: [0x12345000n, 0xa000000d00000018n],
    },
    {
      code: 0x0e,
      what: 'a read of the interrupt range',
      arrange: mapWith(0x8003n),
      iova: [0xfee01000, 0],
      record: [0xfee01000n, 0xc000000e00000018n],
    },
    {
      code: 0x0e,
      what: 'a page that leads to the interrupt range',
      arrange: mapWith(0xfee00003n),
      access: WRITE,
      record: [0x12345000n, 0x8000000e00000018n],
    },
    {
      code: 0x30,
      what: 'a reserved table mode',
      arrange: (m) => {
        m.write({ offset: 0x20, bytes: 8 }, ROOT | 0x800);
        m.command(0x40000000);
      },
      record: [0x12345000n, 0xc000003000000018n],
    },
    {
      code: 0x31,
      what: 'a request with PASID',
      arrange: (m, port) => {
        mapWith(0x8003n)(m);
        port.pasid = 0x12345;
        port.privileged = true;
      },
      record: [0x12345000n, 0xc1234531a0000018n],
    },
  ];

  test.each(cases)('fault $code: $what', (c) => {
    const m = new VtdMachine();
    m.start();
    const port = m.port(DEV);
    c.arrange(m, port);
    const [lo, hi] = c.iova ?? [0x12345678, 0];

    const status = port.translate(lo, hi, c.access ?? READ);

    expect(status).toBe(c.status ?? DMA_UR);
    expect(m.record().map((q) => q.toString(16))).toEqual(c.record.map((q) => q.toString(16)));
    expect(m.read(FSTS)).toBe(2n);
    expect(m.faults.at(-1)).toMatchObject({
      recorded: true,
      code: `${c.code.toString(16).toUpperCase().padStart(2, '0')}h`,
    });
  });

  test.each([
    [0x02, 0x2n, 0n, true],
    [0x03, 0x100003n, 0x500n, true],
    [0x05, 0x100003n, 0x502n, true],
    [0x0b, 0x100013n, 0x502n, true],
  ])('FPD and fault %ih', (code, q0, q1, suppressed) => {
    const m = new VtdMachine();
    context(q0, q1)(m);
    m.start();

    expect(m.port(DEV).translate(0x12345678, 0, WRITE)).toBe(DMA_UR);

    expect(m.read(FSTS)).toBe(suppressed ? 0n : 2n);
    expect(m.faults.map((f) => [Number.parseInt(f.code, 16), f.recorded])).toEqual([[code, !suppressed]]);
  });

  test('FPD does not keep unqualified faults of the root from being recorded', () => {
    const m = new VtdMachine();
    context(0x3n, 0x502n)(m);
    m.start();

    m.port(0x0118).translate(0x1000, 0, READ);

    expect(m.record()[1]).toBe(0xc000000100000118n);
  });
});

describe('order of checks', () => {
  test('permissions of a level come before its reserved bits', () => {
    const { m, top, port } = paging();
    m.map(top, 4, 0x5000, 0x8801);

    expect([port.translate(0x5000, 0, WRITE), m.record()[1] >> 32n]).toEqual([DMA_UR, 0x80000005n]);
  });

  test('reserved bits of an upper level come before permissions of a lower one', () => {
    const { m, top, port } = paging();
    m.map(top, 4, 0x5000, 0x8001);
    m.store(top, m.load(top) | (1n << 48n));

    expect([port.translate(0x5000, 0, WRITE), m.record()[1] >> 32n]).toEqual([DMA_UR, 0x8000000cn]);
  });

  test('reserved fields of a context entry come before unsupported values', () => {
    const m = new VtdMachine();
    m.store(ROOT, CONTEXTS | 1);
    m.store(CONTEXTS + DEV * 16, 0x1dn);
    m.start();

    m.port(DEV).translate(0, 0, READ);

    expect(m.record()[1] >> 32n).toBe(0xc000000bn);
  });
});

describe('device-TLB requests (device-iotlb=on)', () => {
  function ats() {
    const m = new VtdMachine({ config: { 'device-iotlb': true } });
    const top = m.page();
    m.context(DEV, { P: 1, TT: 1, AW: 2, DID: 5, SSPTPTR: top });
    m.start();
    const port = m.port(DEV);
    return { m, top, port };
  }

  test('untranslated requests with TT 01b are paged', () => {
    const { m, top, port } = ats();
    m.map(top, 4, 0x5000, 0x8003);

    expect([port.translate(0x5678, 0, READ), port.outLo]).toEqual([DMA_OK, 0x8678]);
  });

  test('a translation request is granted what the tables allow and the request asks for', () => {
    const { m, top, port } = ats();
    m.map(top, 4, 0x5000, 0x8001);
    m.map(top, 4, 0x200000, 0x40_0083, 2);
    port.at = AT_TRANSLATION;

    const one = [port.translate(0x5000, 0, ATOMIC), port.outLo, port.outAccess, port.outSize];
    const two = [port.translate(0x201000, 0, READ), port.outLo, port.outAccess, port.outSize];

    expect(one).toEqual([DMA_OK, 0x8000, READ, 4096]);
    expect(two).toEqual([DMA_OK, 0x401000, READ, 0x200000]);
  });

  test.each([
    ['unmapped', 0x7000, 0],
    ['beyond the width', 0, 0x10000],
    ['reserved bit', 0x6000, 0],
  ])('a recoverable fault (%s) answers with no access and is not logged', (_what, lo, hi) => {
    const { m, top, port } = ats();
    m.map(top, 4, 0x6000, 0x8803);
    port.at = AT_TRANSLATION;

    expect([port.translate(lo, hi, READ), port.outAccess, m.read(FSTS)]).toEqual([DMA_OK, 0, 0n]);
    expect(m.faults).toEqual([]);
  });

  test('a table that cannot be read is a completer abort, and logged', () => {
    const { m, top, port } = ats();
    m.store(top, 0x7000_0003);
    port.at = AT_TRANSLATION;

    expect([port.translate(0x5000, 0, READ), m.record()[1]]).toEqual([DMA_CA, 0xd000000700000018n]);
  });

  test('the interrupt range is answered with "untranslated only"', () => {
    const { port } = ats();
    port.at = AT_TRANSLATION;

    expect([port.translate(0xfee00000, 0, READ), port.outAccess]).toEqual([DMA_OK, UNTRANSLATED_ONLY]);
  });

  test('translated requests pass, but not into the interrupt range nor beyond the host width', () => {
    const { m, port } = ats();
    port.at = AT_TRANSLATED;

    expect([port.translate(0x5678, 0, WRITE), ...out(port)]).toEqual([DMA_OK, 0x5678, 0, 0x988]);
    expect([port.translate(0xfee00000, 0, WRITE), m.record()[1]]).toEqual([DMA_UR, 0xa000000e00000018n]);
    m.clearFaults();
    expect([port.translate(0, 0x10000, WRITE), m.record()[1]]).toEqual([DMA_UR, 0xa000000400000018n]);
  });

  test('translation requests are refused without a record while translation is off', () => {
    const { m, port } = ats();
    m.disable(TE);
    port.at = AT_TRANSLATION;

    expect([port.translate(0x5000, 0, READ), m.read(FSTS)]).toEqual([DMA_UR, 0n]);
    expect(port.pasid).toBe(NO_PASID);
  });
});

describe('the last page of memory', () => {
  test.each([
    [0xfff000, DMA_OK],
    [0x1000000, DMA_UR],
  ])('a last table at %i, known to the paging-structure cache', (table, want) => {
    const { m, top, port } = paging();
    const pde = m.map(top, 4, 0x5000, table | 3, 2);
    m.map(top, 4, 0x20_5000, 0x8003);
    if (want === DMA_OK) {
      m.store(0xfff000 + 5 * 8, 0x9003);
      m.store(0xfff000 + 6 * 8, 0xa003);
    }

    const seen = [0x20_5000, 0x5000, 0x6000].map((iova) => port.translate(iova, 0, READ));

    expect(seen).toEqual([DMA_OK, want, want]);
    expect(m.load(pde)).toBe(BigInt(table) | 3n);
  });
});
