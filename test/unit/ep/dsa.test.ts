import { describe, expect, test } from 'vitest';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { CR, DsaRig, WITH_RECORD } from '../../kit/dsa-rig.ts';

const NOOP = 0;
const BATCH = 1;
const DRAIN = 2;
const MEMMOVE = 3;
const FILL = 4;
const COMPARE = 5;
const COMPARE_PATTERN = 6;
const CREATE_DELTA = 7;
const APPLY_DELTA = 8;
const DUALCAST = 9;
const CRC = 0x10;
const COPY_CRC = 0x11;
const CACHE_FLUSH = 0x20;
const BLOCK = WITH_RECORD | 2;

function started() {
  const rig = new DsaRig();
  rig.mapAll();
  rig.start({ blockOnFault: true });
  return rig;
}

describe('identity', () => {
  test('a root complex endpoint 8086:0b25 of class 0880 with PASID, ATS and PRI', () => {
    const { fn } = new DsaRig().plugged;

    expect([fn.configRead(0, 4), fn.configRead(8, 4)]).toEqual([0x0b258086, 0x08800000]);
    expect([0x100, 0x108, 0x110].map((at) => fn.configRead(at, 2))).toEqual([0x1b, 0x0f, 0x13]);
  });

  test('the capability registers', () => {
    const rig = new DsaRig();

    expect(rig.read(0x00)).toBe(0x100);
    // Block on fault, overlap, cache control, commands, readbacks, 2^31 bytes, 2^10 descriptors, configurable.
    expect(rig.read(0x10)).toBe(0x815f031f);
    expect([rig.read(0x20), rig.read(0x24)]).toEqual([0x00080080, 0x001b0000]);
    expect([rig.read(0x30), rig.read(0x38), rig.read(0x40), rig.read(0x44)]).toEqual([4, 4, 0x000303ff, 1]);
    expect([rig.read(0x60), rig.read(0x64), rig.read(0xb0)]).toEqual([0x00040002, 5, 0x7ffe]);
  });
});

/** What the last of several accesses gave. */
function last(...values: readonly unknown[]): unknown {
  return values.at(-1);
}

describe('commands', () => {
  test('enable and disable of the device and a queue', () => {
    const rig = new DsaRig();
    rig.configure({});

    expect([rig.command(1), rig.read(0x90) & 3]).toEqual([0, 1]);
    expect([rig.command(6, 0), rig.read(0x418) >>> 30]).toEqual([0, 1]);
    expect([rig.command(7, 1), rig.read(0x418) >>> 30]).toEqual([0, 0]);
    expect([rig.command(2), rig.read(0x90) & 3]).toEqual([0, 0]);
  });

  test.each([
    ['an unknown command', (r: DsaRig) => r.command(15), 0x01],
    ['a queue that does not exist', (r: DsaRig) => last(r.command(1), r.command(6, 8)), 0x02],
    ['a second enable', (r: DsaRig) => last(r.command(1), r.command(1)), 0x10],
    ['no bus master', (r: DsaRig) => last(r.plugged.fn.configWrite(4, 2, 2), r.command(1)), 0x12],
    ['queues of too many entries', (r: DsaRig) => last(r.write(0x400, 129), r.command(1)), 0x14],
    ['a queue in two groups', (r: DsaRig) => last(r.write(0x240, 1), r.command(1)), 0x15],
    ['an engine in two groups', (r: DsaRig) => last(r.write(0x260, 1), r.command(1)), 0x16],
    ['a group without engine', (r: DsaRig) => last(r.write(0x220, 0), r.command(1)), 0x17],
    ['a queue of a disabled device', (r: DsaRig) => r.command(6, 0), 0x20],
    ['a queue without entries', (r: DsaRig) => last(r.write(0x400, 0), r.command(1), r.command(6, 0)), 0x22],
    ['a queue without priority', (r: DsaRig) => last(r.write(0x408, 1), r.command(1), r.command(6, 0)), 0x23],
    [
      'a shared queue without PASID',
      (r: DsaRig) => last(r.write(0x408, 0xa0), r.command(1), r.command(6, 0)),
      0x26,
    ],
    ['too large a batch', (r: DsaRig) => last(r.write(0x40c, 11 << 5), r.command(1), r.command(6, 0)), 0x27],
    ['disabling a disabled device', (r: DsaRig) => r.command(2), 0x31],
    ['draining a disabled device', (r: DsaRig) => r.command(3), 0x32],
    ['a handle that is no vector', (r: DsaRig) => r.command(13, 9), 0x41],
    ['releasing a handle nobody has', (r: DsaRig) => r.command(14, 3), 0x42],
  ])('%s is refused', (_what, act, error) => {
    const rig = new DsaRig();
    rig.configure({});

    expect(act(rig)).toBe(error);
  });

  test('without page requests nothing blocks on faults: GENCAP says so, and queues that would are refused', () => {
    const rig = new DsaRig({ pri: false });
    rig.configure({ blockOnFault: true });

    expect(rig.read(0x10)).toBe(0x815f031e);
    expect([rig.command(1), rig.command(6, 0)]).toEqual([0, 0x25]);
    rig.command(5);
    expect(rig.read(0x10)).toBe(0x815f031e);
  });

  test('the configuration of an enabled queue cannot be written', () => {
    const rig = started();

    rig.write(0x400, 99);
    rig.write(0x220, 0);

    expect([rig.read(0x400), rig.read(0x220)]).toEqual([16, 0xf]);
  });

  test('a handle is granted with its number as result', () => {
    expect(new DsaRig().command(13, 3)).toBe(3 << 8);
  });
});

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

describe('a page that is not there', () => {
  function withHole(blockOnFault: boolean) {
    const rig = new DsaRig();
    for (const page of [0x1000, 0x2000, 0x4000, 0x8000]) rig.map(page);
    rig.start({ blockOnFault });
    return rig;
  }
  const MOVE = { op: MEMMOVE, src: 0x1f00, dst: 0x4e00, size: 0x400 };

  test('without Block On Fault ends the descriptor with what was done and the address', () => {
    const rig = withHole(true);

    rig.submit(MOVE);

    // 83h: of a write.
    expect([rig.record(), rig.pageRequests]).toEqual([
      { status: 0x83, result: 0, bytes: 0x200, fault: 0x5000, specific: 0 },
      [],
    ]);
  });

  test('with the flag, but not for the queue, does the same', () => {
    const rig = withHole(false);

    rig.submit({ ...MOVE, flags: BLOCK });

    expect([rig.record().status, rig.pageRequests]).toEqual([0x83, []]);
  });

  test('with Block On Fault is requested, and the descriptor goes on when it is there', () => {
    const rig = withHole(true);
    rig.fill(0x2000, [7]);

    rig.submit({ ...MOVE, flags: BLOCK });
    expect([rig.record().status, rig.pageRequests]).toEqual([
      0,
      ['page request 5000 2 group 0 last pasid 5'],
    ]);
    rig.map(0x5000);
    rig.respond(0);

    expect([rig.record(), rig.bytes(0x4f00, 1)]).toEqual([
      { status: 1, result: 0, bytes: 0x400, fault: 0, specific: 0 },
      [7],
    ]);
  });

  test('that stays away is asked for again', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0);

    expect([rig.record().status, rig.pageRequests.length]).toEqual([0, 2]);
  });

  test.each([
    [1, 'invalid'],
    [15, 'failure'],
  ])('answered with %i (%s) ends with status 4 and the address', (code) => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0, code);

    expect(rig.record()).toMatchObject({ status: 0x84, bytes: 0x200, fault: 0x5000 });
  });

  test('answered within the request goes on', () => {
    const rig = withHole(true);
    rig.iommu.onPageRequest = (group) => {
      rig.map(0x5000);
      rig.respond(group);
    };

    rig.submit({ ...MOVE, flags: BLOCK });
    rig.settle();

    expect(rig.record().status).toBe(1);
  });

  test('that is answered for and never comes is asked for once a microsecond, not without end', () => {
    const rig = withHole(true);
    rig.iommu.onPageRequest = (group) => rig.dsa.agent.pageResponse(5, group, 0);

    rig.submit({ ...MOVE, flags: BLOCK });
    for (let i = 0; i < 9; i++) rig.settle();

    expect([rig.pageRequests.length, rig.record().status]).toEqual([10, 0]);
  });

  test('under the completion record is asked for, and the record comes when it is there', () => {
    const rig = withHole(true);

    rig.submit({ op: NOOP, flags: WITH_RECORD, cr: 0x9000 });
    expect(rig.read(0xc0) & 0xff00).toBe(0x1a00);
    rig.write(0xc0, 3);
    rig.submit({ ...MOVE, size: 4, flags: BLOCK, cr: 0x9000 });
    expect(rig.pageRequests).toEqual(['page request 9000 2 group 0 last pasid 5']);
    rig.map(0x9000);
    rig.respond(0);

    expect(rig.record(0x9000).status).toBe(1);
  });

  test('refused by the IOMMU for good is a translation error', () => {
    const rig = withHole(true);
    rig.iommu.next = 1;

    rig.submit(MOVE);

    expect(rig.record()).toMatchObject({ status: 0x22, fault: 0x1f00 });
  });

  test('blocks one engine; the other three go on, and a drain waits for it', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.submit({ op: DRAIN, cr: CR + 0x40 });
    rig.submit({ op: NOOP, cr: CR + 0x80 });
    expect([rig.record(CR + 0x40).status, rig.record(CR + 0x80).status]).toEqual([0, 1]);
    rig.map(0x5000);
    rig.respond(0);

    expect([rig.record().status, rig.record(CR + 0x40).status]).toEqual([1, 1]);
  });

  test('lets Disable WQ wait, and Abort WQ end it without a record', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    expect([rig.command(7, 1), rig.read(0x418) >>> 30]).toEqual([0x80000000, 2]);
    rig.map(0x5000);
    rig.respond(0);
    expect([rig.read(0xa8), rig.read(0x418) >>> 30, rig.record().status]).toEqual([0, 0, 1]);
  });

  test('aborted with its queue leaves no record', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });

    expect(rig.command(9, 1)).toBe(0);
    rig.map(0x5000);
    rig.respond(0);

    expect(rig.record().status).toBe(0);
  });

  test('of an aborted descriptor: its answer means nothing to the one that the engine does next', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });
    rig.command(9, 1);
    rig.submit({ ...MOVE, flags: BLOCK });

    rig.respond(0, 1);
    expect([rig.record().status, rig.pageRequests.length]).toEqual([0, 2]);
    rig.map(0x5000);
    rig.respond(1);

    expect(rig.record()).toMatchObject({ status: 1, bytes: 0x400 });
  });

  test('on every engine: descriptors of another queue go on when those are aborted', () => {
    const rig = new DsaRig();
    for (const page of [0x1000, 0x2000, 0x4000, 0x8000]) rig.map(page);
    rig.start({ blockOnFault: true }, {});
    for (let i = 0; i < 4; i++) rig.submit({ ...MOVE, flags: BLOCK });
    rig.submit({ op: NOOP, cr: CR + 0x40 }, 1);
    expect(rig.record(CR + 0x40).status).toBe(0);

    rig.command(9, 1);

    expect(rig.record(CR + 0x40).status).toBe(1);
  });

  test('survives a snapshot: the engine goes on in the loaded device', () => {
    const rig = withHole(true);
    rig.submit({ ...MOVE, flags: BLOCK });
    const def = rig.dsa.stateDef();
    const saved = JSON.parse(JSON.stringify(def.save(rig.dsa.s)));
    rig.command(4);

    def.load(rig.dsa.s, saved, 'dsa');
    rig.dsa.dropCache();
    rig.map(0x5000);
    rig.respond(0);

    expect(rig.record()).toMatchObject({ status: 1, bytes: 0x400 });
  });
});

describe('shared queues', () => {
  test('take the PASID of the descriptor', () => {
    const rig = new DsaRig();
    rig.mapAll(9);
    rig.start({ shared: true });

    expect(rig.enqueue({ op: FILL, pasid: 9, dst: 0x1000, size: 1, src: 3 })).toBe(0);

    expect([rig.record().status, rig.bytes(0x1000, 1)]).toEqual([1, [3]]);
  });

  test('say retry when full: at the threshold by the limited portal', () => {
    const rig = new DsaRig();
    rig.start({ shared: true, size: 2, threshold: 1, blockOnFault: true });
    // Four engines wait for pages.
    for (let i = 0; i < 4; i++) rig.enqueue({ op: FILL, pasid: 5, flags: BLOCK, dst: 0x1000, size: 1 });

    const limited = [0, 1].map(() => rig.enqueue({ op: NOOP, pasid: 5 }, { limited: true }));
    const unlimited = [0, 1].map(() => rig.enqueue({ op: NOOP, pasid: 5 }));

    expect([limited, unlimited, rig.read(0x418) & 0xffff]).toEqual([[0, 1], [0, 1], 2]);
  });

  test('that are disabled, and dedicated ones, answer an ENQCMD with retry; a posted write to a shared one is lost', () => {
    const rig = started();

    expect(rig.enqueue({ op: NOOP })).toBe(1);
    expect(rig.enqueue({ op: NOOP }, { wq: 3 })).toBe(1);
    rig.command(7, 1);
    rig.submit({ op: NOOP });

    expect(rig.record().status).toBe(0);
  });
});

describe('batches', () => {
  test('do their descriptors in order and complete once', () => {
    const rig = started();
    rig.put(0x6000, { op: FILL, src: 1, dst: 0x1000, size: 8, flags: 0 });
    rig.put(0x6040, { op: MEMMOVE, src: 0x1000, dst: 0x2000, size: 8, flags: 1, cr: 0 });

    rig.submit({ op: BATCH, src: 0x6000, size: 2 });

    expect([rig.bytes(0x2000, 1), rig.record()]).toEqual([
      [1],
      { status: 1, result: 0, bytes: 2, fault: 0, specific: 0 },
    ]);
  });

  test('with a failure are status 5; each descriptor has its own record', () => {
    const rig = started();
    rig.put(0x6000, { op: 0x33, cr: CR + 0x40 });
    rig.put(0x6040, { op: NOOP, cr: CR + 0x80 });

    rig.submit({ op: BATCH, src: 0x6000, size: 2 });

    expect([rig.record(), rig.record(CR + 0x40).status, rig.record(CR + 0x80).status]).toMatchObject([
      { status: 5, bytes: 2 },
      0x10,
      1,
    ]);
  });

  test('in a batch are no operation', () => {
    const rig = started();
    rig.put(0x6000, { op: BATCH, src: 0x6000, size: 2, cr: CR + 0x40 });
    rig.put(0x6040, { op: NOOP, flags: 0, cr: 0 });

    rig.submit({ op: BATCH, src: 0x6000, size: 2 });

    expect(rig.record(CR + 0x40).status).toBe(0x10);
  });

  test('whose list has no page stop with status 6', () => {
    const rig = new DsaRig();
    rig.map(0x8000);
    rig.map(0x1000);
    rig.start({});
    rig.put(0x1fc0, { op: NOOP, flags: 0, cr: 0 });

    rig.submit({ op: BATCH, src: 0x1fc0, size: 2 });

    expect(rig.record()).toMatchObject({ status: 6, bytes: 1, fault: 0x2000 });
  });
});

describe('interrupts', () => {
  /** MSI-X entry `vector` sends vector 40h + vector; MSI-X is on. */
  function withMsix(rig: DsaRig) {
    const { fn } = rig.plugged;
    for (let v = 0; v < 9; v++) {
      fn.writeTable(v * 4, 0xfee00000);
      fn.writeTable(v * 4 + 2, 0x40 + v);
      fn.writeTable(v * 4 + 3, 0);
    }
    fn.configWrite(fn.w.layout.msix + 2, 2, 0x8000);
    const sent: number[] = [];
    rig.iommu.message = (_port?: unknown, _lo?: unknown, _hi?: unknown, data?: number) => {
      sent.push(data!);
      return 0;
    };
    const plain = rig.iommu.translate.bind(rig.iommu);
    rig.iommu.translate = (port, lo, hi, access) => (lo >>> 20 === 0xfee ? 4 : plain(port, lo, hi, access));
    return sent;
  }

  test('a descriptor raises the handle it was given, when MSIXPERM lets its PASID', () => {
    const rig = started();
    const sent = withMsix(rig);
    rig.command(13, 2);
    rig.write(0x510, (5 << 12) | 8);

    rig.submit({ op: NOOP, flags: WITH_RECORD | 0x10, handle: 2 });
    expect([sent, rig.record().status]).toEqual([[0x42], 1]);
    rig.write(0x510, (6 << 12) | 8);
    rig.submit({ op: NOOP, flags: WITH_RECORD | 0x10, handle: 2 });

    expect([sent, rig.record().status]).toEqual([[0x42], 0x19]);
  });

  test('a command raises vector 0 when it asks to, a software error when GENCTRL does', () => {
    const rig = started();
    const sent = withMsix(rig);

    rig.write(0xa0, 0x80000000 | (3 << 20));
    expect([sent, rig.read(0x98)]).toEqual([[0x40], 2]);
    rig.write(0x88, 1);
    rig.submit({ op: 0x12, flags: 0 });

    expect([sent, rig.read(0x98)]).toEqual([[0x40, 0x40], 3]);
  });
});

describe('delay_ns', () => {
  test('a descriptor completes on the virtual clock', () => {
    const rig = new DsaRig({ delay_ns: 1000 });
    rig.mapAll();
    rig.start({});

    rig.submit({ op: NOOP });
    rig.rig.clock.advanceTo(999);
    expect(rig.record().status).toBe(0);
    rig.rig.clock.advanceTo(1000);

    expect(rig.record().status).toBe(1);
  });
});

describe('a descriptor whose DMA reaches the device itself', () => {
  test('that resets the device ends without a record', () => {
    const rig = started();
    rig.iommu.pages.unshift({ pasid: 5, at: 0x9000, to: 0xe0000000, access: 3 });
    // Reset Device, written to CMD by a FILL.
    rig.submit({ op: FILL, src: 5 << 20, dst: 0x90a0, size: 4 });

    expect([rig.read(0x90) & 3, rig.record().status]).toEqual([0, 0]);
  });
});

describeDeviceRules('dsa', () => {
  const rig = new DsaRig({ delay_ns: 10 });
  rig.mapAll();
  rig.start({ shared: true, blockOnFault: true });
  return {
    device: rig.dsa,
    access: (rng) => {
      switch (rng.below(6)) {
        case 0:
          return rig.command(rng.below(16), rng.below(20));
        case 1:
          rig.write(rng.below(0x180) * 4, rng.next() >>> 0);
          return 0;
        case 2:
          rig.rig.clock.advanceTo(rig.rig.clock.now + rng.below(30));
          return rig.record();
        case 3:
          return rig.read(rng.below(0x180) * 4);
        case 4:
          rig.respond(rng.below(4), rng.below(2) * 15);
          return 0;
        default:
          return rig.enqueue({
            op: rng.below(0x22),
            pasid: 5,
            flags: rng.below(0x100),
            src: 0x1000 + rng.below(64) * 8,
            dst: 0x3000 + rng.below(64) * 8,
            size: rng.below(100),
          });
      }
    },
  };
});
