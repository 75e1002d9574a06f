import { describe, expect, test } from 'vitest';
import { DMA_UR } from '../../../vmm/bus/dma.ts';
import { DATA, SmmuMachine, TABLE } from '../../kit/smmu-machine.ts';
import { ALL, leaf, PAGE, SECOND, SID, stage1, stage2, to } from '../../kit/smmu-stages.ts';

const CFGI_STE = 0x18_0000_0003n;
const CFGI_CD = 0x18_0000_0005n;
const CFGI_ALL = [4n, 31n] as const;
const TLBI_ALL = 0x30n;
const NOT_GLOBAL = 0x800n;

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

describe('repeat-invalidations', () => {
  const TLBI_VA = [0x1_0000_0000_0012n, 0n] as const;
  const TLBI_ASID = [0x1_0000_0000_0011n, 0n] as const;
  const SYNC = [0x46n, 0n] as const;
  const next = BigInt(DATA + 0x1000) | PAGE | NOT_GLOBAL;

  test.each([
    ['once', [TLBI_VA], '40100000'],
    ['twice', [TLBI_VA, TLBI_VA], '40101000'],
    ['twice with a command in between', [TLBI_VA, SYNC, TLBI_VA], '40100000'],
    ['two that differ', [TLBI_VA, TLBI_ASID], '40100000'],
  ])('a command that is issued %s', (_, commands, expected) => {
    const { m, port } = stage1({}, { config: { 'repeat-invalidations': true } });
    leaf(m, PAGE | NOT_GLOBAL);
    to(port, 0);
    m.store(TABLE + 0x2000, next);

    for (const [q0, q1] of commands) m.submit(q0, q1);

    expect(to(port, 0)).toBe(expected);
  });
});
