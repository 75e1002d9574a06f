import { describe, expect, test } from 'vitest';
import { DMA_OK, DMA_UR, EXEC, READ, WRITE } from '../../../vmm/bus/dma.ts';
import type { MachineOptions } from '../../kit/vtd-machine.ts';
import { type PasidFields, ScalableMachine } from '../../kit/vtd-scalable.ts';

const DEV = 0x18;

/** PASID 5 of 00:03.0 in domain 9 with 4-level first-stage tables, nothing mapped. */
function firstStage(fields: PasidFields = {}, options: MachineOptions = {}) {
  const m = new ScalableMachine(options);
  const top = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT: 1, DID: 9, FSPTPTR: top, ...fields });
  m.startScalable();
  return { m, top, port: m.pasidPort(DEV, 5) };
}

/** The same nested over a 4-level second stage that maps the first stage's top table to itself. */
function nested(fields: PasidFields = {}, options: MachineOptions = {}) {
  const m = new ScalableMachine(options);
  const top = m.page();
  const second = m.page();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT: 3, DID: 9, AW: 2, FSPTPTR: top, SSPTPTR: second, ...fields });
  m.startScalable();
  return { m, top, second, port: m.pasidPort(DEV, 5) };
}

describe('first stage by PASID', () => {
  test('a page is reached, and accessed and dirty bits are set on the way', () => {
    const { m, top, port } = firstStage();
    const leaf = m.mapFirst(top, 4, 0x7fff_1234_5000n, 0x9007);

    expect(port.translate(0x12345678, 0x7fff, READ)).toBe(DMA_OK);

    expect([port.outLo, port.outHi, port.outSpan]).toEqual([0x9678, 0, 0x988]);
    expect(m.load(leaf)).toBe(0x9027n);
    expect(m.load(top + 0xff * 8) & 0xfffn).toBe(0x27n);
    expect(port.translate(0x12345678, 0x7fff, WRITE)).toBe(DMA_OK);
    expect(m.load(leaf)).toBe(0x9067n);
  });

  test('five levels reach addresses beyond 48 bits, and negative ones', () => {
    const { m, top, port } = firstStage({ FSPM: 1 });
    m.mapFirst(top, 5, 0xff12_3456_7890_0000n, 0x9007);

    expect(port.translate(0x78900000, 0xff123456 | 0, READ)).toBe(DMA_OK);
    expect(port.outLo).toBe(0x9000);
  });

  test.each([
    [2, 0x8060_0087n, 0x80712345],
    [2, 0x8060_1087n, 0x80712345],
    [3, 0x4000_0087n, 0x7fd12345],
  ])('a leaf at level %d (%s) maps all of its range, whatever its PAT bit', (level, entry, want) => {
    const { m, top, port } = firstStage();
    m.mapFirst(top, 4, 0x7fd12345, entry, level);

    expect(port.translate(0x7fd12345, 0, READ)).toBe(DMA_OK);
    expect(port.outLo).toBe(want);
    expect(port.translate(0x7fd12345, 0, WRITE)).toBe(DMA_OK);
    expect(port.outLo).toBe(want);
  });

  test('the extended accessed flag is set where it is enabled', () => {
    const { m, top, port } = firstStage({ EAFE: 1 });
    const leaf = m.mapFirst(top, 4, 0x5000, 0x9007);

    port.translate(0x5000, 0, READ);

    expect(m.load(leaf)).toBe(0x9427n);
  });

  test('PASIDs of one device have address spaces of their own', () => {
    const { m, top, port } = firstStage();
    const other = m.page();
    m.pasid(6, { PGTT: 1, DID: 9, FSPTPTR: other });
    m.mapFirst(top, 4, 0x5000, 0x9007);
    m.mapFirst(other, 4, 0x5000, 0xa007);

    for (let i = 0; i < 3; i++) {
      port.pasid = 5;
      expect([port.translate(0x5000, 0, READ), port.outLo]).toEqual([DMA_OK, 0x9000]);
      port.pasid = 6;
      expect([port.translate(0x5000, 0, READ), port.outLo]).toEqual([DMA_OK, 0xa000]);
    }
  });

  test.each([
    [false, 0x9003n, 0, READ, '81h'],
    [false, 0x9005n, 0, WRITE, '85h'],
    [false, 0x8000_0000_0000_9007n, 0, EXEC | READ, '82h'],
    [true, 0x9003n, 0, READ | WRITE | EXEC, undefined],
    [true, 0x9001n, 0, WRITE, undefined],
    [true, 0x9001n, 0x10, WRITE, '85h'],
    [true, 0x8000_0000_0000_9003n, 0, EXEC | READ, '82h'],
    [true, 0x9007n, 0x40, EXEC | READ, '82h'],
    [true, 0x9007n, 0x40, READ | WRITE, undefined],
    [true, 0x9003n, 0x40, EXEC | READ, undefined],
  ])(
    'privileged %s, leaf %s, controls %d, access %d: %s, cached or not',
    (privileged, entry, bits, access, code) => {
      const fields = { SRE: 1, ERE: 1, NXE: 1, WPE: (bits >> 4) & 1, SMEP: (bits >> 6) & 1 };
      const { m, top, port } = firstStage(fields);
      port.privileged = privileged;
      m.mapFirst(top, 4, 0x5000, entry);

      const first = port.translate(0x5000, 0, access);
      m.clearFaults();
      const privilegedPort = m.pasidPort(DEV, 5, true);
      privilegedPort.translate(0x5000, 0, READ);
      const second = port.translate(0x5000, 0, access);

      expect([first, second]).toEqual(code === undefined ? [DMA_OK, DMA_OK] : [DMA_UR, DMA_UR]);
      expect(m.faults.map((f) => f.code)).toEqual(code === undefined ? [] : [code, code]);
    },
  );
});

describe('second stage by PASID', () => {
  test('a page is reached without PASID and without accessed bits', () => {
    const m = new ScalableMachine({ config: { svm: false, 'scalable-mode': true } });
    const top = m.page();
    m.scalableContext(DEV, { DTE: 0, PASIDE: 0, PRE: 0, PDTS: 0 });
    m.pasid(0, { PGTT: 2, AW: 2, DID: 9, SSPTPTR: top });
    m.startScalable();
    const leaf = m.map(top, 4, 0x5000, 0x9003);
    const port = m.port(DEV);

    expect([port.translate(0x5123, 0, WRITE), port.outLo]).toEqual([DMA_OK, 0x9123]);
    expect([port.translate(0x5456, 0, READ), port.outLo]).toEqual([DMA_OK, 0x9456]);
    expect(m.load(leaf)).toBe(0x9003n);
  });

  test('with SSADE a write sets the dirty bit, also where a read has cached the entry', () => {
    const m = new ScalableMachine();
    const top = m.page();
    m.scalableContext(DEV);
    m.pasid(5, { PGTT: 2, AW: 2, DID: 9, SSPTPTR: top, SSADE: 1 });
    m.startScalable();
    const leaf = m.map(top, 4, 0x5000, 0x9003);
    const port = m.pasidPort(DEV, 5);

    expect(port.translate(0x5000, 0, READ)).toBe(DMA_OK);
    expect(m.load(leaf)).toBe(0x9103n);
    expect(port.translate(0x5000, 0, READ)).toBe(DMA_OK);
    expect(port.translate(0x5000, 0, WRITE)).toBe(DMA_OK);
    expect(m.load(leaf)).toBe(0x9303n);
    m.store(leaf, 0x9003);
    expect(port.translate(0x5000, 0, WRITE)).toBe(DMA_OK);
    expect(m.load(leaf)).toBe(0x9003n);
  });

  test.each([
    [0, 0x9003n, undefined],
    [1, 0x9003n, '82h'],
    [1, 0x9007n, undefined],
  ])('SSEE %d, leaf %s, execute: %s', (SSEE, entry, code) => {
    const m = new ScalableMachine();
    const top = m.page();
    m.scalableContext(DEV);
    m.pasid(5, { PGTT: 2, AW: 2, DID: 9, SSPTPTR: top, SSEE });
    m.startScalable();
    m.mapWith(7n, top, 4, 0x5000, entry);
    const port = m.pasidPort(DEV, 5);

    port.translate(0x5000, 0, EXEC | READ);
    port.translate(0x5000, 0, READ);
    port.translate(0x5000, 0, EXEC | READ);

    expect(m.faults.map((f) => f.code)).toEqual(code === undefined ? [] : [code, code]);
  });
});

describe('nested translation', () => {
  test('every first-stage table and the output go through the second stage', () => {
    const { m, top, second, port } = nested();
    const leaf = m.mapFirst(top, 4, 0x5000, 0x9007);
    for (let page = 0x100000; page < 0x110000; page += 4096) m.identity(second, page);
    m.map(second, 4, 0x9000, 0xb003);

    expect([port.translate(0x5123, 0, WRITE), port.outLo]).toEqual([DMA_OK, 0xb123]);
    expect(m.load(leaf)).toBe(0x9067n);
    expect([port.translate(0x5123, 0, READ), port.outLo]).toEqual([DMA_OK, 0xb123]);
    m.mapFirst(top, 4, 0x6000, 0xa067);
    m.map(second, 4, 0xa000, 0xc003);
    expect([port.translate(0x6010, 0, READ), port.outLo]).toEqual([DMA_OK, 0xc010]);
  });

  test('the smaller page of both stages counts, and permissions of both', () => {
    const { m, top, second, port } = nested();
    m.mapFirst(top, 4, 0x200000, 0x400087, 2);
    for (let page = 0x100000; page < 0x110000; page += 4096) m.identity(second, page);
    m.map(second, 4, 0x405000, 0xb001);

    expect([port.translate(0x205123, 0, READ), port.outLo, port.outSpan]).toEqual([DMA_OK, 0xb123, 0xedd]);
    expect(port.translate(0x205123, 0, WRITE)).toBe(DMA_UR);
    expect(m.faults.map((f) => f.code)).toEqual(['85h']);
  });
});

test('pass-through by PASID goes on unchanged', () => {
  const m = new ScalableMachine();
  m.scalableContext(DEV);
  m.pasid(5, { PGTT: 4, DID: 9 });
  m.startScalable();
  const port = m.pasidPort(DEV, 5);

  for (let i = 0; i < 2; i++)
    expect([port.translate(0x12345678, 1, WRITE), port.outLo, port.outHi]).toEqual([DMA_OK, 0x12345678, 1]);
});
