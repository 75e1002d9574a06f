import { describe, expect, test } from 'vitest';
import {
  APPLY_DELTA,
  BATCH,
  CACHE_FLUSH,
  COMPARE,
  COMPARE_PATTERN,
  COPY_CRC,
  CR,
  CRC,
  CREATE_DELTA,
  DsaRig,
  DUALCAST,
  FILL,
  MEMMOVE,
  NOOP,
  started,
  WITH_RECORD,
} from '../../kit/dsa-rig.ts';

describe('operations', () => {
  test('NOOP completes', () => {
    const rig = started();

    rig.submit({ op: NOOP });

    expect(rig.record()).toEqual({ status: 1, result: 0, bytes: 0, fault: 0, specific: 0 });
  });

  test('MEMMOVE across pages, with the PASID of the queue', () => {
    const rig = started();
    rig.fill(0x1ffe, [1, 2, 3, 4]);

    rig.submit({ op: MEMMOVE, src: 0x1ffe, dst: 0x3fff, size: 4 });

    expect([rig.bytes(0x3fff, 4), rig.record()]).toEqual([
      [1, 2, 3, 4],
      { status: 1, result: 0, bytes: 4, fault: 0, specific: 0 },
    ]);
    expect(rig.iommu.seen[0]).toBe('translation 1ffe 1 pasid 5');
  });

  test.each([
    ['up', 0x1000, 0x1003, 1],
    ['down', 0x1003, 0x1000, 0],
  ])('an overlapping MEMMOVE %s keeps the bytes', (_way, src, dst, result) => {
    const rig = started();
    rig.fill(src, [1, 2, 3, 4, 5, 6, 7, 8]);

    rig.submit({ op: MEMMOVE, src, dst, size: 8 });

    expect([rig.bytes(dst, 8), rig.record().result]).toEqual([[1, 2, 3, 4, 5, 6, 7, 8], result]);
  });

  test('FILL repeats its 8 bytes', () => {
    const rig = started();

    const words = { op: FILL, src: 0x04030201, dst: 0x2ffd, size: 11 };
    rig.submit(words);

    expect(rig.bytes(0x2ffd, 12)).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 3, 0]);
  });

  test('COMPARE tells where the first difference is', () => {
    const rig = started();
    rig.fill(0x1000, [1, 2, 3, 4]);
    rig.fill(0x2000, [1, 2, 9, 4]);

    rig.submit({ op: COMPARE, src: 0x1000, dst: 0x2000, size: 4 });

    expect(rig.record()).toMatchObject({ status: 1, result: 1, bytes: 2 });
  });

  test.each([
    [0, 2],
    [1, 1],
  ])(
    'COMPARE with Check Result and expected result %i on different data ends with status %i',
    (want, status) => {
      const rig = started();
      rig.fill(0x1000, [1]);

      rig.submit({
        op: COMPARE,
        flags: WITH_RECORD | 0x80,
        src: 0x1000,
        dst: 0x2000,
        size: 8,
        rest: [want],
      });

      expect(rig.record().status).toBe(status);
    },
  );

  test('COMPARE_PATTERN finds the byte that departs from the pattern', () => {
    const rig = started();
    rig.fill(0x1000, [7, 0, 0, 0, 0, 0, 0, 0, 7, 0, 5]);

    rig.submit({ op: COMPARE_PATTERN, src: 0x1000, dst: 7, size: 11 });

    expect(rig.record()).toMatchObject({ status: 1, result: 1, bytes: 10 });
  });

  test('CREATE_DELTA and APPLY_DELTA carry a difference over', () => {
    const rig = started();
    rig.fill(0x2008, [9]);
    rig.fill(0x2010, [8]);

    rig.submit({
      op: CREATE_DELTA,
      src: 0x1000,
      dst: 0x2000,
      size: 32,
      rest: [0x3000, 0, 80],
    });
    expect(rig.record()).toMatchObject({ status: 1, result: 1, specific: 20 });
    expect(rig.bytes(0x3000, 13)).toEqual([1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 8]);

    rig.submit({ op: APPLY_DELTA, src: 0x3000, dst: 0x1000, size: 32, rest: [20] });
    expect([rig.record().status, rig.bytes(0x1008, 1), rig.bytes(0x1010, 1)]).toEqual([1, [9], [8]]);
  });

  test('a delta that outgrows its record is result 2', () => {
    const rig = started();
    for (let i = 0; i < 9; i++) rig.fill(0x2000 + i * 8, [1]);

    rig.submit({ op: CREATE_DELTA, src: 0x1000, dst: 0x2000, size: 72, rest: [0x3000, 0, 80] });

    expect(rig.record()).toMatchObject({ status: 1, result: 2, specific: 80, bytes: 64 });
  });

  test.each([
    ['going back', [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 7],
    ['beyond the data', [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8],
  ])('a delta record %s ends with status %i', (_what, record, status) => {
    const rig = started();
    rig.fill(0x3000, record);

    rig.submit({ op: APPLY_DELTA, src: 0x3000, dst: 0x1000, size: 32, rest: [20] });

    expect(rig.record().status).toBe(status);
  });

  test('DUALCAST writes both destinations', () => {
    const rig = started();
    rig.fill(0x1000, [1, 2, 3]);

    rig.submit({ op: DUALCAST, src: 0x1000, dst: 0x2010, size: 3, rest: [0x3010] });

    expect([rig.bytes(0x2010, 3), rig.bytes(0x3010, 3)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  // RFC 3720, appendix B.4: CRC-32C of "123456789" is E3069283h.
  const CHECK = [...'123456789'].map((c) => c.charCodeAt(0));

  test('CRC is CRC-32C', () => {
    const rig = started();
    rig.fill(0x1ffd, CHECK);

    rig.submit({ op: CRC, src: 0x1ffd, size: 9 });

    expect(rig.record()).toMatchObject({ status: 1, bytes: 9, specific: 0xe3069283 });
  });

  test('a CRC goes on from the seed of an earlier one, given or in memory', () => {
    const rig = started();
    rig.fill(0x1000, CHECK);
    rig.submit({ op: CRC, src: 0x1000, size: 4 });
    const seed = rig.record().specific;

    rig.submit({ op: CRC, src: 0x1004, size: 5, rest: [seed] });
    expect(rig.record().specific).toBe(0xe3069283);

    rig.fill(0x5000, [seed & 255, (seed >>> 8) & 255, (seed >>> 16) & 255, seed >>> 24]);
    rig.submit({ op: CRC, flags: WITH_RECORD | 0x10000, src: 0x1004, size: 5, rest: [0, 0, 0x5000] });
    expect(rig.record().specific).toBe(0xe3069283);
  });

  test('COPY_CRC also copies', () => {
    const rig = started();
    rig.fill(0x1000, CHECK);

    rig.submit({ op: COPY_CRC, src: 0x1000, dst: 0x4000, size: 9 });

    expect([rig.bytes(0x4000, 9), rig.record().specific]).toEqual([CHECK, 0xe3069283]);
  });

  test('CACHE_FLUSH needs good addresses and moves nothing', () => {
    const rig = new DsaRig();
    rig.map(0x8000);
    rig.map(0x1000);
    rig.start({});

    rig.submit({ op: CACHE_FLUSH, dst: 0x1800, size: 0x800 });
    expect(rig.record().status).toBe(1);
    rig.submit({ op: CACHE_FLUSH, dst: 0x1800, size: 0x801 });
    expect(rig.record()).toMatchObject({ status: 3, bytes: 0x800, fault: 0x2000 });
  });
});

describe('descriptors that are wrong', () => {
  test.each([
    ['an unknown operation', { op: 0x12 }, 0x10, 0],
    ['a flag that is not allowed', { op: NOOP, flags: WITH_RECORD | 2 }, 0x11, 2],
    ['bits 30:20 of the first word', { op: NOOP, pasid: 0x100000 }, 0x12, 0],
    ['an unused field', { op: MEMMOVE, src: 0x1000, dst: 0x2000, size: 4, rest: [1] }, 0x12, 0],
    ['size 0', { op: MEMMOVE, src: 0x1000, dst: 0x2000 }, 0x13, 0],
    ['more than the queue moves', { op: FILL, dst: 0x2000, size: 0x100001 }, 0x13, 0],
    ['a batch of one', { op: BATCH, src: 0x1000, size: 1 }, 0x14, 0],
    ['too large a batch', { op: BATCH, src: 0x1000, size: 65 }, 0x14, 0],
    [
      'a delta record of 75',
      { op: CREATE_DELTA, src: 0x1000, dst: 0x2000, size: 8, rest: [0x3000, 0, 75] },
      0x15,
      0,
    ],
    ['overlapping COPY_CRC', { op: COPY_CRC, src: 0x1000, dst: 0x1003, size: 4 }, 0x16, 0],
    [
      'DUALCAST with different offsets',
      { op: DUALCAST, src: 0x1000, dst: 0x2000, size: 4, rest: [0x3004] },
      0x17,
      0,
    ],
    ['a batch list at 32', { op: BATCH, src: 0x1020, size: 2 }, 0x18, 0],
    ['a handle nobody asked for', { op: NOOP, flags: WITH_RECORD | 0x10, handle: 1 }, 0x19, 0],
    [
      'a misaligned delta',
      { op: CREATE_DELTA, src: 0x1004, dst: 0x2000, size: 8, rest: [0x3000, 0, 80] },
      0x1c,
      0,
    ],
  ])('%s', (_what, parts, status, flags) => {
    const rig = started();

    rig.submit(parts);

    expect(rig.record()).toMatchObject({ status, specific: flags });
  });

  test('without a record address the error is in SWERROR, and another one sets its overflow bit', () => {
    const rig = started();
    rig.submit({ op: 0x12, flags: 0 });

    // Valid, descriptor, queue valid; error 10h; queue 0; operation 12h, PASID 5.
    expect([rig.read(0xc0), rig.read(0xc4), rig.read(0x98)]).toEqual([0x0000100d, 0x00000512, 1]);

    rig.submit({ op: 0x13, flags: 0 });
    expect(rig.read(0xc0)).toBe(0x0000100f);
    rig.write(0xc0, 3);
    expect(rig.read(0xc0) & 3).toBe(0);
  });

  test('a misaligned record address goes to SWERROR', () => {
    const rig = started();

    rig.submit({ op: NOOP, cr: CR + 16 });

    expect([rig.read(0xc0) >>> 8, rig.record().status]).toEqual([0x1b, 0]);
  });

  test('a privileged descriptor needs a queue that allows it', () => {
    const rig = new DsaRig();
    rig.mapAll();
    rig.start({ shared: true });

    rig.enqueue({ op: NOOP, pasid: 5, privileged: true });

    expect(rig.record().status).toBe(0x1d);
  });
});
