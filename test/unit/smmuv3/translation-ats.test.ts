import { describe, expect, test } from 'vitest';
import { STE } from '../../../viommu/spec/smmuv3/structures.ts';
import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_OK,
  DMA_UR,
  EXEC,
  READ,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import { CONTEXT, DATA, SmmuMachine, STREAMS, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, leaf, PAGE, SECOND, SID, to } from '../../kit/smmu-stages.ts';

const ATSCHK = 16;
const TLBI_NSNH_ALL = 0x30n;
/** Of address 0, all pages. */
const ATC_INV = [0x18_0000_0040n, 52n] as const;

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

  test('split-stage: a request gets the intermediate address although the TLB knows the final one', () => {
    const { m, port } = ats(7, 2);
    elsewhere(m, 0x7fdn);
    m.store(TABLE + 0x2000, 0x80009000n | PAGE);
    const final = to(port, 0);
    port.at = AT_TRANSLATION;

    expect([final, to(port, 0)]).toEqual(['40009000', '80009000']);
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

  test('split-stage without ATSCHK acts as no ATS: other transactions are translated', () => {
    const { m, port } = ats(7, 2, ALL);
    m.store(TABLE + 0x2000, 0x40009000n | PAGE);
    const untranslated = to(port, 0);
    port.at = AT_TRANSLATION;

    expect([untranslated, to(port, 0), m.event(0)[0], m.event(1)[0]]).toEqual([
      '40009000',
      DMA_UR,
      0x18_0000_0005n,
      0n,
    ]);
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
    m.submit(TLBI_NSNH_ALL);

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

  test('a translation request finds in the TLB what a transaction brought there, until TLBI: ATC_INV alone is not enough', () => {
    const { m, port } = ats(5, 1);
    to(port, 0);
    m.store(TABLE + 0x2000, BigInt(DATA + 0x1000) | PAGE);
    port.at = AT_TRANSLATION;
    m.submit(...ATC_INV);
    const stale = [to(port, 0), port.outAccess, port.outSize];
    m.submit(TLBI_NSNH_ALL);

    expect([...stale, to(port, 0)]).toEqual(['40100000', READ, 4096, '40101000']);
  });

  test('a transaction finds in the TLB what a translation request brought there', () => {
    const { m, port } = ats(5, 1);
    port.at = AT_TRANSLATION;
    to(port, 0);
    m.store(TABLE + 0x2000, BigInt(DATA + 0x1000) | PAGE);
    port.at = AT_UNTRANSLATED;
    const stale = to(port, 0);
    m.submit(TLBI_NSNH_ALL);

    expect([stale, to(port, 0)]).toEqual(['40100000', '40101000']);
  });

  test('a translation request for more than the TLB knows to be permitted asks the tables', () => {
    const { m, port } = ats(5, 1);
    leaf(m, 0x7c3n);
    to(port, 0);
    m.store(TABLE + 0x2000, BigInt(DATA + 0x1000) | PAGE);
    port.at = AT_TRANSLATION;
    const writes = [to(port, 0, READ | WRITE), port.outAccess];

    expect([...writes, to(port, 0)]).toEqual(['40101000', READ | WRITE, '40100000']);
  });

  test('a translation request that is granted nothing leaves nothing in the TLB', () => {
    const { m, port } = ats(5, 1);
    // EL1 only.
    leaf(m, 0x703n);
    port.at = AT_TRANSLATION;
    port.translate(0, 0, READ);
    const { outAccess } = port;
    leaf(m, PAGE);
    port.at = AT_UNTRANSLATED;

    expect([outAccess, to(port, 0), m.event(0)[0]]).toEqual([0, '40100000', 0n]);
  });

  test('both stages: a block of stage 1 that stage 2 maps in pages is told of by page, from the TLB as from the tables', () => {
    const { m, port } = ats(7, 1);
    // Stage 1: the block of 2 MiB at 0 leads to 40000000h; stage 2 has that as pages.
    m.store(TABLE + 0x1000, 0x40000000n | 0x741n);
    m.store(SECOND + 8, BigInt(SECOND + 0x1000) | 3n);
    m.store(SECOND + 0x1000, BigInt(SECOND + 0x2000) | 3n);
    m.store(SECOND + 0x2000, BigInt(DATA + 0x3000) | 0x7ffn);
    for (const page of [TABLE, TABLE + 0x1000, TABLE + 0x2000, CONTEXT])
      m.store(SECOND + 0x2000 + ((page - 0x40000000) / 4096) * 8, BigInt(page) | 0x7ffn);
    port.at = AT_TRANSLATION;
    const walked = [to(port, 0x10), port.outSize];

    expect([...walked, to(port, 0x20), port.outSize]).toEqual(['40103010', 4096, '40103020', 4096]);
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
