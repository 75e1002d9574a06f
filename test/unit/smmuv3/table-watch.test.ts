import { describe, expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { DMA_OK, type DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { recordText } from '../../../vmm/trace/tracer.ts';
import {
  CMDQEN,
  CONTEXT,
  DATA,
  EVENTQEN,
  REG,
  SMMUEN,
  SmmuMachine,
  STREAMS,
  TABLE,
} from '../../kit/smmu-machine.ts';

const DEV = 0x18;
const STE = STREAMS + DEV * 64;
/** A page for L1 descriptors, and one for what they point to. */
const FIRST = 0x4007_0000;
const SECOND = 0x4007_4000;
const ON = CMDQEN | EVENTQEN | SMMUEN;

const CFGI_STE = (sid: number, leaf = true) => [(BigInt(sid) << 32n) | 0x03n, leaf ? 1n : 0n] as const;
const CFGI_CD = (sid: number, ssid: number, leaf = true) =>
  [(BigInt(sid) << 32n) | (BigInt(ssid) << 12n) | 0x05n, leaf ? 1n : 0n] as const;
const CFGI_CD_ALL = (sid: number) => [(BigInt(sid) << 32n) | 0x06n, 0n] as const;
const CFGI_ALL = [0x04n, 31n] as const;

function traced(config: Partial<SmmuConfig> = {}, events = 'smmuv3_*') {
  const m = new SmmuMachine({ config: { svm: true, ...config } });
  const lines: string[] = [];
  m.tracer.select(events);
  m.tracer.addSink((r) => {
    const text = recordText(r).trim().slice(2);
    if (/^smmuv3_(table|entry|descriptor)/.test(text)) lines.push(text);
  });
  return { m, lines, port: m.port(DEV) };
}

/** A stream with 2^6 CDs at CONTEXT, enabled, nothing in the CDs. */
function withSubstreams(config: Partial<SmmuConfig> = {}) {
  const t = traced(config);
  t.m.store(STE + 8, (1n << 27n) | 2n);
  t.m.store(STE, (6n << 59n) | BigInt(CONTEXT) | 0xbn);
  t.m.start(ON);
  return t;
}

function translate(m: SmmuMachine, port: DmaPort, address: number, access = READ): boolean {
  return m.device.translate(port, address, 0, access) === DMA_OK;
}

/** A CD with empty tables at TABLE: its V, AA64, A, R and sizes last. */
function setCd(m: SmmuMachine, ssid: number, asid: number) {
  m.store(CONTEXT + ssid * 64 + 8, BigInt(TABLE));
  m.store(CONTEXT + ssid * 64, (BigInt(asid) << 48n) | 0x0000_6204_c000_0019n);
}

describe('stores to stream tables and CD tables', () => {
  test('are told with stream, substream and the fields that changed', () => {
    const { m, lines } = withSubstreams();

    m.store(STE + 8, (1n << 27n) | 2n | (1n << 19n));
    setCd(m, 5, 9);

    expect(lines).toEqual([
      'smmuv3_table_write structure=stream table entry requesters=00:03.0 pasid=none address=0x40010600 changes=MEV=0->1 by=guest',
      'smmuv3_table_write structure=context descriptor requesters=00:03.0 pasid=5 address=0x40020140 changes=TTB0=0->0x4006000 by=guest',
      'smmuv3_table_write structure=context descriptor requesters=00:03.0 pasid=5 address=0x40020140 changes=T0SZ=0->0x19 EPD1=0->1 V=0->1 IPS=0 (32-bit)->4 (44-bit) AA64=0 (AArch32 LPAE)->1 (AArch64) R=0->1 A=0->1 ASID=0->9 by=guest',
    ]);
  });

  test('of a stream without substreams have no PASID', () => {
    const { m, lines } = traced();
    m.stage1(DEV);
    m.start(ON);

    m.store(CONTEXT, 0n);

    expect(lines[0]).toMatch(
      /^smmuv3_table_write structure=context descriptor requesters=00:03\.0 pasid=none/,
    );
  });

  test('reach two-level tables of streams and of CDs', () => {
    const { m, lines } = traced();
    m.start(CMDQEN | EVENTQEN);
    m.write64(0x80, FIRST);
    m.write32(0x88, 0x1_0190);
    m.write32(REG.cr0, ON);

    m.store(FIRST, BigInt(SECOND) | 7n);
    m.store(SECOND + DEV * 64, (20n << 59n) | BigInt(CONTEXT) | 0x1bn);
    m.store(CONTEXT + 8, BigInt(SECOND + 0x1000) | 1n);
    m.store(SECOND + 0x1000 + 3 * 64, 0x8000_0000n);

    expect(lines.map((l) => l.replace(/ changes.*/, ''))).toEqual([
      'smmuv3_table_write structure=L1 stream table descriptor requesters=00:00.0 - 00:07.7 pasid=none address=0x40070000',
      'smmuv3_table_write structure=stream table entry requesters=00:03.0 pasid=none address=0x40074600',
      'smmuv3_table_write structure=L1 context descriptor requesters=00:03.0 pasid=64 address=0x40020008',
      'smmuv3_table_write structure=context descriptor requesters=00:03.0 pasid=67 address=0x400750c0',
    ]);
  });

  test('are told where stage 2 puts the CD table', () => {
    const { m, lines } = traced();
    const tables = 0x4008_0000;
    // One 1 GiB block: IPA 0 is 40000000h.
    m.store(tables, 0x4000_07fdn);
    const at = STREAMS + DEV * 64;
    m.store(at + 8, 1n << 27n);
    m.store(at + 16, (1n << 51n) | (4n << 48n) | (1n << 38n) | (25n << 32n) | 7n);
    m.store(at + 24, BigInt(tables));
    m.store(at, 0x2_0000n | 0xfn);
    m.start(ON);

    m.store(CONTEXT, 0x8000_0000n);

    expect(lines[0]).toMatch(/context descriptor requesters=00:03\.0 .* changes=V=0->1/);
  });

  test('by DMA, and those that change nothing, are told', () => {
    const { m, lines } = withSubstreams();

    m.memory.write32(CONTEXT + 64 + 4, 0, 4);
    m.memory.write32(CONTEXT + 64 + 4, 0, 4);

    expect(lines.map((l) => /changes=(.*)/.exec(l)?.[1])).toEqual([
      'IPS=0 (32-bit)->4 (44-bit) by=dma',
      'none of its fields by=dma',
    ]);
  });

  test('while the unit is off are ordinary stores', () => {
    const { m, lines } = withSubstreams();
    m.write32(REG.cr0, CMDQEN | EVENTQEN);
    setCd(m, 1, 1);
    const off = lines.length;
    m.write32(REG.cr0, ON);
    setCd(m, 2, 1);

    expect([off, lines.length]).toEqual([0, 2]);
  });

  test('to a CD table that was taken out are told until the next CFGI', () => {
    const { m, lines } = withSubstreams();
    m.store(STE, 0n);
    setCd(m, 1, 1);
    m.submit(...CFGI_STE(DEV));
    const before = lines.filter((l) => l.includes('context descriptor')).length;

    setCd(m, 2, 1);

    expect([before, lines.filter((l) => l.includes('context descriptor')).length]).toEqual([2, 2]);
  });

  test('name every stream that shares the CD table', () => {
    const { m, lines } = withSubstreams();
    m.store(STREAMS + 0x20 * 64, (6n << 59n) | BigInt(CONTEXT) | 0xbn);
    lines.length = 0;

    setCd(m, 1, 1);

    expect(lines[0]).toMatch(/requesters=00:03\.0 00:04\.0 pasid=1/);
  });

  test('to CDs that lie together in a page, each of another stream, name the right one', () => {
    const { m, lines } = traced();
    for (const sid of [1, 2]) m.store(STREAMS + sid * 64, BigInt(CONTEXT + sid * 64) | 0xbn);
    m.start(ON);

    m.store(CONTEXT + 128, 0x8000_0000n);
    m.store(CONTEXT + 64, 0x8000_0000n);
    m.store(CONTEXT, 0x8000_0000n);

    expect(lines.map((l) => /requesters=(\S+)/.exec(l)?.[1])).toEqual(['00:00.2', '00:00.1']);
  });
});

describe('announced', () => {
  test('is an entry once, by the command that covers it', () => {
    const { m, lines } = withSubstreams();
    setCd(m, 5, 9);
    m.submit(...CFGI_CD(DEV, 4));
    m.submit(...CFGI_CD(DEV, 5));
    m.submit(...CFGI_CD(DEV, 5));

    expect(lines.filter((l) => l.includes('table_announced'))).toEqual([
      'smmuv3_table_announced invalidation=CMD_CFGI_CD covers=00:03.0 pasid 5 entries=1',
    ]);
  });

  test('are an STE and its CDs by CFGI_STE, CDs alone by CFGI_CD_ALL, and all by CFGI_ALL', () => {
    const { m, lines } = withSubstreams();
    const change = () => {
      m.store(STE + 8, (1n << 27n) | 2n | (1n << 19n));
      m.store(STE + 8, (1n << 27n) | 2n);
      setCd(m, 1, 1);
      setCd(m, 2, 2);
      setCd(m, 1, 0);
      setCd(m, 2, 0);
    };
    for (const [q0, q1] of [CFGI_CD_ALL(DEV), CFGI_STE(DEV), CFGI_ALL]) {
      change();
      m.submit(q0!, q1);
    }

    expect(lines.filter((l) => l.includes('table_announced')).map((l) => l.slice(36))).toEqual([
      'CMD_CFGI_CD_ALL covers=00:03.0 all PASIDs entries=2',
      'CMD_CFGI_STE covers=00:03.0 entries=3',
      'CMD_CFGI_STE_RANGE covers=all entries=3',
    ]);
  });

  test('are level 1 descriptors only without Leaf', () => {
    const { m, lines } = traced();
    m.start(CMDQEN | EVENTQEN);
    m.write64(0x80, FIRST);
    m.write32(0x88, 0x1_0190);
    m.write32(REG.cr0, ON);
    m.store(FIRST, BigInt(SECOND) | 7n);

    m.submit(...CFGI_STE(DEV));
    m.submit(...CFGI_STE(DEV, false));

    expect(lines.filter((l) => l.includes('table_announced'))).toEqual([
      'smmuv3_table_announced invalidation=CMD_CFGI_STE covers=00:03.0 entries=1',
    ]);
  });

  test('is a CD of two streams when both were told', () => {
    const { m, lines, port } = withSubstreams();
    m.store(STREAMS + 0x20 * 64, (6n << 59n) | BigInt(CONTEXT) | 0xbn);
    m.submit(...CFGI_STE(0x20));
    lines.length = 0;
    setCd(m, 1, 1);

    m.submit(...CFGI_CD(DEV, 1));
    port.pasid = 1;
    translate(m, port, 0x1000);
    const other = m.port(0x20);
    other.pasid = 1;
    translate(m, other, 0x1000);
    m.submit(...CFGI_CD(0x20, 1));

    expect(lines.slice(2)).toEqual([
      'smmuv3_entry_used_unannounced structure=context descriptor requesters=00:03.0 00:04.0 pasid=1 address=0x40020040 stores=2',
      'smmuv3_table_announced invalidation=CMD_CFGI_CD covers=00:04.0 pasid 1 entries=1',
    ]);
  });
});

describe('mistakes', () => {
  test('an entry is used before it is announced, though it was not valid before', () => {
    const { m, lines, port } = withSubstreams();
    setCd(m, 5, 9);
    port.pasid = 5;

    translate(m, port, 0x1000);

    expect(lines.slice(2)).toEqual([
      'smmuv3_entry_used_unannounced structure=context descriptor requesters=00:03.0 pasid=5 address=0x40020140 stores=2',
    ]);
  });

  test('a valid STE is changed by two stores', () => {
    const { m, lines } = withSubstreams();

    m.store(STE + 8, (1n << 27n) | 1n);
    m.store(STE, (5n << 59n) | BigInt(CONTEXT) | 0xbn);
    m.submit(...CFGI_STE(DEV));

    expect(lines.slice(2)).toEqual([
      'smmuv3_entry_torn structure=stream table entry requesters=00:03.0 pasid=none address=0x40010600 stores=2 when=announced',
      'smmuv3_table_announced invalidation=CMD_CFGI_STE covers=00:03.0 entries=1',
    ]);
  });

  test('a valid CD is changed by two stores and used in between', () => {
    const { m, lines, port } = withSubstreams();
    setCd(m, 5, 9);
    m.submit(...CFGI_CD(DEV, 5));
    lines.length = 0;
    port.pasid = 5;

    m.store(CONTEXT + 5 * 64 + 8, BigInt(TABLE + 0x1000));
    translate(m, port, 0x1000);
    m.store(CONTEXT + 5 * 64, (8n << 48n) | 0x0000_6204_c000_0019n);

    expect(lines.filter((l) => !l.includes('write'))).toEqual([
      'smmuv3_entry_used_unannounced structure=context descriptor requesters=00:03.0 pasid=5 address=0x40020140 stores=1',
      'smmuv3_entry_torn structure=context descriptor requesters=00:03.0 pasid=5 address=0x40020140 stores=2 when=changed again after use',
    ]);
  });

  test('the order of the architecture is none: not valid, the rest, valid', () => {
    const { m, lines } = withSubstreams();

    m.store(STE, 0n);
    m.submit(...CFGI_STE(DEV));
    m.store(STE + 8, (1n << 27n) | 1n);
    m.store(STE, (5n << 59n) | BigInt(CONTEXT) | 0xbn);
    m.submit(...CFGI_STE(DEV));

    expect(lines.filter((l) => !/write|announced/.test(l))).toEqual([]);
  });

  test('a change from bypass to stage 1 by one store, after fields that bypass does not look at, is none', () => {
    const { m, lines } = traced();
    m.store(STE, 0x9n);
    m.start(ON);

    m.store(STE + 8, (1n << 27n) | 2n);
    m.store(STE + 16, 5n);
    m.store(STE, (6n << 59n) | BigInt(CONTEXT) | 0xbn);
    m.submit(...CFGI_STE(DEV));

    expect(lines.filter((l) => l.includes('torn'))).toEqual([]);
  });
});

describe('page tables', () => {
  function mapped() {
    const t = traced({ httu: 'dirty' });
    t.m.stage1(DEV, { HA: 1, HD: 1 });
    t.m.map();
    t.m.start(ON);
    translate(t.m, t.port, 0);
    t.lines.length = 0;
    return t;
  }

  test('that were read are watched: stores, and the TLBI that announces them', () => {
    const { m, lines } = mapped();

    m.store(TABLE + 0x2000, 0n);
    m.store(TABLE + 0x2008, BigInt(DATA) | 0x743n);
    m.submit(0x30n);

    expect(lines.map((l) => l.replace(/(?<=Type=\d).*?(?= new| by)/g, ''))).toEqual([
      'smmuv3_descriptor_write structure=stage 1 level 3 address=0x40062000 old=Type=3 new=Type=0 by=guest',
      'smmuv3_descriptor_write structure=stage 1 level 3 address=0x40062008 old=Type=0 new=Type=3 by=guest',
      'smmuv3_descriptors_announced invalidation=CMD_TLBI_NSNH_ALL stores=2',
    ]);
  });

  test('that hardware updates are no news', () => {
    const { m, lines, port } = mapped();
    m.store(TABLE + 0x2008, BigInt(DATA) | (1n << 51n) | 0x3c3n);
    lines.length = 0;

    expect(translate(m, port, 0x1000, WRITE)).toBe(true);

    expect(m.load(TABLE + 0x2008) & 0x480n).toBe(0x400n);
    expect(lines).toEqual([]);
  });

  test('that nothing points to any more are memory again after the next TLBI', () => {
    const { m, lines } = mapped();
    m.store(TABLE + 0x1000, 0n);
    m.submit(0x30n);
    lines.length = 0;

    m.store(TABLE + 0x2000, 0n);

    expect(lines).toEqual([]);
  });

  test('of a CD that was taken out likewise', () => {
    const { m, lines } = mapped();
    m.store(CONTEXT, 0n);
    m.submit(...CFGI_CD(DEV, 0));
    m.submit(0x30n);
    lines.length = 0;

    m.store(TABLE, 0n);
    m.store(TABLE + 0x1000, 0n);
    m.store(TABLE + 0x2000, 0n);

    expect(lines).toEqual([]);
  });
});

test('page tables of a stream that was taken out are memory again after CFGI and TLBI', () => {
  const { m, lines, port } = traced();
  m.stage1(DEV);
  m.map();
  m.start(ON);
  translate(m, port, 0);
  m.store(STE, 0n);
  m.submit(...CFGI_STE(DEV));
  m.submit(0x30n);
  lines.length = 0;

  for (const table of [CONTEXT, TABLE, TABLE + 0x1000, TABLE + 0x2000]) m.store(table, 0n);

  expect(lines).toEqual([]);
});

test('dropping what can be rebuilt is not noticed', () => {
  const { m, lines } = withSubstreams();
  setCd(m, 5, 9);
  m.device.dropCache();

  setCd(m, 6, 9);
  m.submit(...CFGI_CD_ALL(DEV));

  expect(lines.slice(2)).toEqual([
    'smmuv3_table_write structure=context descriptor requesters=00:03.0 pasid=6 address=0x40020180 changes=TTB0=0->0x4006000 by=guest',
    'smmuv3_table_write structure=context descriptor requesters=00:03.0 pasid=6 address=0x40020180 changes=T0SZ=0->0x19 EPD1=0->1 V=0->1 IPS=0 (32-bit)->4 (44-bit) AA64=0 (AArch32 LPAE)->1 (AArch64) R=0->1 A=0->1 ASID=0->9 by=guest',
    'smmuv3_table_announced invalidation=CMD_CFGI_CD_ALL covers=00:03.0 all PASIDs entries=2',
  ]);
});
