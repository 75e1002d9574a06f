import { describe, expect, test } from 'vitest';
import { STE } from '../../../viommu/spec/smmuv3/structures.ts';
import { DMA_UR, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { CMDQEN, CONTEXT, EVENTQEN, SmmuMachine, STREAMS } from '../../kit/smmu-machine.ts';
import { ALL, SID, to } from '../../kit/smmu-stages.ts';

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
