import { describe, expect, test } from 'vitest';
import {
  FRAME_DELAY,
  FRAME_DONE,
  FRAME_GRANTED,
  FRAME_MAX_REQUESTS,
  FRAME_PRG,
  FRAME_SIZE,
  FRAME_STATUS,
  FRAME_VECTOR,
  SVM_ATC,
  SVM_BUSY,
  SVM_COMMAND,
  SVM_FRAMES,
  SVM_ID,
  SVM_INVALIDATION,
  SVM_INVALIDATION_DELAY,
  SVM_INVALIDATIONS,
  SVM_RESPONSES,
} from '../../../devices/ep/svm-engine-registers.ts';
import { DMA_STALLED, GRANTED_GLOBAL, NO_PASID, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_PENDING, DEVICE_TLB_UNEXPECTED } from '../../../vmm/bus/iommu.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { SVM_BAR, SvmWorld } from '../../kit/svm-world.ts';

const RW = READ | WRITE;

function mapped(pasid = 5): SvmWorld {
  const world = new SvmWorld();
  world.iommu.pages = [
    { pasid, at: 0x4000, to: 0x10000, access: RW },
    { pasid, at: 0x5000, to: 0x20000, access: RW },
    { pasid, at: 0x6000, to: 0x30000, access: READ },
  ];
  return world;
}

describe('registers', () => {
  test('say what the function is', () => {
    const world = new SvmWorld({ frames: 7 });

    expect(world.register(SVM_ID)).toBe(0x454d5653);
    expect(world.register(SVM_FRAMES)).toBe(0x00800007);
  });

  test('of frames that do not exist read 0 and ignore writes', () => {
    const world = new SvmWorld({ frames: 2 });

    world.set(2, FRAME_SIZE, 5);

    expect(world.get(2, FRAME_SIZE)).toBe(0n);
    expect(world.get(1, FRAME_SIZE)).toBe(0n);
  });

  test('accesses of odd sizes read all ones and write nothing', () => {
    const world = new SvmWorld();

    world.rig.mmio.write(SVM_BAR + 0x1020, 2, 9, 0);

    expect(world.rig.mmio.read(SVM_BAR + 0x1020, 2)).toBe(0xffff);
    expect(world.get(0, FRAME_SIZE)).toBe(0n);
  });
});

describe('operations', () => {
  test('memcpy copies over page boundaries, each page translated once', () => {
    const world = mapped();
    for (let i = 0; i < 0x1800; i++) world.rig.ram.u8[0x10000 + i] = i * 7;
    world.iommu.pages.push({ pasid: 5, at: 0x100000, to: 0x100000, bytes: 0x100000, access: RW });
    world.rig.ram.u8[0x20000] = 0x99;

    const outcome = world.run(0, { op: 'memcpy', pasid: 5, src: 0x4800, dst: 0x100010, size: 0x900 });

    expect(outcome).toBe('done');
    expect(world.get(0, FRAME_DONE)).toBe(0x900n);
    expect(world.rig.ram.u8[0x100010]).toBe((0x800 * 7) & 255);
    expect(world.rig.ram.u8[0x100010 + 0x800]).toBe(0x99);
    expect(world.iommu.seen.filter((s) => s.startsWith('translation'))).toHaveLength(3);
  });

  test('fill repeats its operand, and sum adds 64-bit words', () => {
    const world = mapped();
    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0x4ff8, size: 20, operand: 0x0102030405060708n })).toBe(
      'done',
    );
    expect([...world.rig.ram.u8.subarray(0x20000, 0x2000d)]).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 8, 7, 6, 5, 0]);

    world.run(1, { op: 'sum', pasid: 5, src: 0x4ff8, size: 20 });

    expect(world.result(1)).toBe(2n * 0x0102030405060708n + 0x05060708n);
  });

  test('random numbers are those of drand48', () => {
    const world = mapped();

    world.run(0, { op: 'random', pasid: 5, dst: 0x4000, size: 10, operand: 0x1234abcd330en });

    // The first three of jrand48 from { 330eh, abcdh, 1234h }.
    expect(world.rig.ram.u32[0x10000 / 4]).toBe(0x657eb725);
    expect(world.rig.ram.u32[0x10004 / 4]).toBe(0xd72a0c96);
    expect(world.rig.ram.u32[0x10008 / 4]).toBe(0x3c06);
  });

  test('atomics return what was there', () => {
    const world = mapped();

    world.run(0, { op: 'swap', pasid: 5, dst: 0x4010, size: 8, operand: 0x1_00000005n });
    world.run(0, { op: 'fetchAdd', pasid: 5, dst: 0x4010, size: 8, operand: 0xfffffffen });
    expect(world.result(0)).toBe(0x1_00000005n);
    world.run(0, { op: 'compareSwap', pasid: 5, dst: 0x4010, size: 4, src: 3, operand: 77n });

    expect(world.result(0)).toBe(3n);
    expect(world.rig.ram.u32[0x10010 / 4]).toBe(77);
    expect(world.rig.ram.u32[0x10014 / 4]).toBe(2);
  });

  test('what does not exist is a configuration error and asks nothing of the IOMMU', () => {
    const world = mapped();
    world.set(0, FRAME_VECTOR, 64);

    const outcomes = [
      world.run(0, { op: 'swap', pasid: 5, dst: 0x4004, size: 8 }),
      world.run(0, { op: 'swap', pasid: 5, dst: 0x4004, size: 3 }),
      world.run(0, { op: 'memcpy', pasid: 5, size: 0x4000001 }),
      world.run(0, { op: 'interrupt' }),
    ];

    expect(outcomes).toEqual(Array(4).fill('configuration'));
    expect(world.iommu.seen).toEqual([]);
  });

  test('translate tells what a translation request was granted, and 0 where the ATC had it', () => {
    const world = mapped();
    world.iommu.pages = [
      { pasid: 5, at: 0x200000, to: 0x600000, bytes: 0x200000, access: READ | GRANTED_GLOBAL },
    ];

    const outcome = world.run(0, { op: 'translate', pasid: 5, dst: 0x212345, control: { ACCESS: READ } });

    expect(outcome).toBe('done');
    expect(world.result(0)).toBe(0x612345n);
    expect(world.get(0, FRAME_DONE)).toBe(BigInt(0x200000 - 0x12345));
    expect(world.get(0, FRAME_GRANTED)).toBe(BigInt(READ | GRANTED_GLOBAL));
    world.run(0, { op: 'translate', pasid: 5, dst: 0x212345, control: { ACCESS: READ } });
    expect(world.get(0, FRAME_GRANTED)).toBe(0n);
  });

  test('an operation may end with an interrupt of its frame', () => {
    const world = mapped();
    const { msix } = world.fn.w.layout;
    world.rig.mmio.write(SVM_BAR + 0x100000 + 3 * 16, 4, 0xfee00000, 0);
    world.rig.mmio.write(SVM_BAR + 0x100000 + 3 * 16 + 12, 4, 0, 0);
    world.fn.configWrite(msix + 2, 2, 0x8000);
    world.set(0, FRAME_VECTOR, 3);
    world.iommu.pages.push({ at: 0xfee00000, to: 0x40000, access: WRITE });

    world.run(0, { op: 'fill', pasid: 5, dst: 0x4000, size: 8, control: { IRQ: 1 } });

    expect(world.iommu.seen.at(-1)).toBe('untranslated fee00000 2');
  });

  test('without ATS requests are untranslated and a refusal has no page request', () => {
    const world = mapped();

    const outcome = world.run(0, {
      op: 'fill',
      pasid: 5,
      dst: 0x5ff8,
      size: 16,
      control: { NO_ATS: 1, PRI: 1 },
    });

    expect(outcome).toBe('unsupportedRequest');
    expect(world.get(0, FRAME_DONE)).toBe(8n);
    expect(world.fault(0)).toBe(0x6000n);
    expect(world.iommu.seen).toEqual(['untranslated 5ff8 2 pasid 5', 'untranslated 6000 2 pasid 5']);
  });

  test('requests without a PASID allowed are not sent', () => {
    const world = new SvmWorld({ 'pasid-bits': 4 });

    expect(world.run(0, { op: 'fill', pasid: 16, dst: 0, size: 8 })).toBe('disabled');
    expect(world.iommu.seen).toEqual([]);
  });
});

describe('page requests', () => {
  test('a fault without PRI ends the frame where it happened', () => {
    const world = mapped();

    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0x5ffc, size: 8 })).toBe('fault');

    expect(world.get(0, FRAME_DONE)).toBe(4n);
    expect(world.fault(0)).toBe(0x6000n);
    expect(FRAME_STATUS.get.WRITE([Number(world.get(0, FRAME_STATUS))], 0)).toBe(1);
  });

  test('a fault with PRI waits for the response and goes on where it stopped', () => {
    const world = mapped();
    expect(
      world.run(0, { op: 'fill', pasid: 5, dst: 0x5ffc, size: 8, operand: 0x11n, control: { PRI: 1 } }),
    ).toBe('waiting');
    expect(world.register(SVM_BUSY)).toBe(1);
    world.iommu.pages[2] = { pasid: 5, at: 0x6000, to: 0x30000, access: RW };

    world.fn.ats!.pageResponse(5, 0, 0);
    world.wait();

    expect(world.outcome(0)).toBe('done');
    expect(world.iommu.seen).toContain('page request 6000 2 group 0 last pasid 5');
    expect(world.register(SVM_RESPONSES)).toBe(1);
    expect(FRAME_STATUS.get.REQUESTS([Number(world.get(0, FRAME_STATUS))], 0)).toBe(1);
  });

  test('an answer that comes at once is used within the write that started the operation', () => {
    const world = mapped();
    world.iommu.onPageRequest = (group) => {
      world.iommu.pages[2] = { pasid: 5, at: 0x6000, to: 0x30000, access: RW };
      world.fn.ats!.pageResponse(5, group, 0);
    };

    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } })).toBe('done');
  });

  test.each([
    [1, 'invalidResponse'],
    [15, 'responseFailure'],
  ])('response code %d ends it as %s', (code, outcome) => {
    const world = mapped();
    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } });

    world.fn.ats!.pageResponse(5, 0, code);
    world.wait();

    expect(world.outcome(0)).toBe(outcome);
  });

  test('pages ahead are asked for in the same group, the last one closes it', () => {
    const world = mapped();

    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1, AHEAD: 2 } });

    expect(world.iommu.seen.slice(1)).toEqual([
      'page request 6000 2 group 0 pasid 5',
      'page request 7000 2 group 0 pasid 5',
      'page request 8000 2 group 0 last pasid 5',
    ]);
  });

  test('a frame asks no more than MAX_REQUESTS times', () => {
    const world = mapped();
    world.set(0, FRAME_MAX_REQUESTS, 2);
    world.iommu.onPageRequest = (group) => world.fn.ats!.pageResponse(5, group, 0);

    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } });
    world.wait(10_000);

    expect(world.outcome(0)).toBe('tooManyRequests');
  });

  test('success for a page that never comes is asked for again and again, but takes time', () => {
    const world = mapped();
    world.iommu.onPageRequest = (group) => world.fn.ats!.pageResponse(5, group, 0);

    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } })).toBe(
      'scheduled',
    );
    world.wait(1_000_000);

    expect(world.outcome(0)).toBe('scheduled');
    const words = [Number(world.get(0, FRAME_STATUS))];
    expect(FRAME_STATUS.get.REQUESTS(words, 0)).toBeGreaterThan(500);
  });

  test('frames beyond the allocation wait for a response of others', () => {
    const world = mapped();
    for (let frame = 0; frame < 17; frame++)
      world.start(frame, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } });
    expect([15, 16].map((frame) => world.outcome(frame))).toEqual(['waiting', 'credit']);

    world.fn.ats!.pageResponse(5, 3, 1);
    world.wait(2000);

    expect([3, 16].map((frame) => world.outcome(frame))).toEqual(['invalidResponse', 'waiting']);
  });

  test('the operation page request waits for the answer to the last one of its group', () => {
    const world = mapped();
    const ask = { op: 'pageRequest', pasid: 5, dst: 0x9123 } as const;
    const group = { ACCESS: RW, GROUP_FIXED: 1, GROUP: 300 };
    expect(world.run(0, { ...ask, control: group })).toBe('done');
    expect(world.run(1, { ...ask, control: { ...group, LAST: 1 } })).toBe('waiting');

    world.fn.ats!.pageResponse(5, 300, 1);
    world.wait();

    expect(world.outcome(1)).toBe('invalidResponse');
    expect(FRAME_PRG.get.GROUP([Number(world.get(1, FRAME_PRG))], 0)).toBe(300);
    expect(world.iommu.seen).toEqual([
      'page request 9000 3 group 300 pasid 5',
      'page request 9000 3 group 300 last pasid 5',
    ]);
  });

  test('an aborted frame does not go on when its response comes', () => {
    const world = mapped();
    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } });
    world.start(0, { op: 'abort' });
    expect(world.outcome(0)).toBe('aborted');

    world.fn.ats!.pageResponse(5, 0, 0);
    world.wait();

    expect(world.outcome(0)).toBe('aborted');
    expect(world.engine.agent.outstanding).toBe(0);
  });

  test('aborting a PASID ends its frames only and sends a stop marker', () => {
    const world = mapped();
    const fault = { op: 'fill', dst: 0x6000, size: 8, control: { PRI: 1 } } as const;
    world.run(0, { ...fault, pasid: 5 });
    world.run(1, { ...fault, pasid: 6 });

    world.setRegister(SVM_COMMAND, (5 << 12) | 6);

    expect([world.outcome(0), world.outcome(1)]).toEqual(['aborted', 'waiting']);
    expect(world.iommu.seen.at(-1)).toBe('page request 0 0 group 0 last pasid 5');
  });

  test('a function without page requests ends a fault as refused', () => {
    const world = new SvmWorld({ pri: false });

    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0, size: 8, control: { PRI: 1 } })).toBe(
      'pageRequestRefused',
    );
  });
});

describe('held transactions', () => {
  test('a stalled request is tried again or ended as the IOMMU says', () => {
    const world = mapped();
    const stalled = (frame: number) => {
      world.iommu.next = DMA_STALLED;
      world.fn.w.dma.stallTag = 100 + frame;
      return world.run(frame, {
        op: 'fill',
        pasid: 5,
        dst: 0x4000,
        size: 8,
        control: { NO_ATS: 1, STALL: 1 },
      });
    };
    expect([stalled(0), stalled(1)]).toEqual(['stalled', 'stalled']);

    world.fn.ats!.resume(100, true);
    world.fn.ats!.resume(101, false);
    world.wait();

    expect([world.outcome(0), world.outcome(1)]).toEqual(['done', 'unsupportedRequest']);
  });
});

describe('requests that break the rules', () => {
  test('translated access without a translation', () => {
    const world = mapped();

    world.run(0, { op: 'rawWrite', dst: 0x18000, size: 8, operand: 0xabcdn, control: { RAW_AT: 2 } });

    expect(world.iommu.seen).toEqual(['translated 18000 2']);
    expect(world.rig.ram.u32[0x18000 / 4]).toBe(0xabcd);
  });

  test('a PASID although none is enabled', () => {
    const world = mapped();
    world.fn.configWrite(world.fn.w.layout.ats + 6, 2, 0);
    world.fn.configWrite(world.fn.w.layout.pasid + 6, 2, 0);
    world.rig.ram.u32[0x10000 / 4] = 0x1234;

    world.run(0, { op: 'rawRead', pasid: 5, src: 0x4000, size: 8, control: { PRIVILEGED: 1 } });

    expect(world.result(0)).toBe(0x1234n);
    expect(world.iommu.seen).toEqual(['untranslated 4000 1 pasid 5 priv']);
  });

  test('a translation request although ATS is off', () => {
    const world = mapped();
    world.fn.configWrite(world.fn.w.layout.ats + 6, 2, 0);

    world.run(0, { op: 'rawRead', pasid: 5, dst: 0x6000, control: { RAW_AT: 1, ACCESS: READ } });

    expect(world.result(0)).toBe(0x30000n);
    expect(world.get(0, FRAME_GRANTED)).toBe(BigInt(READ));
  });

  test('a page request although PRI is off, and its response is none of ours', () => {
    const world = mapped();
    const { pri } = world.fn.w.layout;
    world.fn.configWrite(pri + 4, 2, 0);

    const control = { ACCESS: WRITE, LAST: 1, GROUP: 511 };
    expect(world.run(0, { op: 'rawPageRequest', pasid: 5, dst: 0x7fff, control })).toBe('done');

    expect(world.iommu.seen).toEqual(['page request 7000 2 group 511 last pasid 5']);
    world.fn.configWrite(pri + 4, 2, 1);
    world.fn.ats!.pageResponse(5, 511, 0);
    expect(world.fn.configRead(pri + 6, 2)).toBe(0x8002);
  });

  test('a completion that nobody asked for', () => {
    const world = mapped();

    world.run(0, { op: 'rawCompletion', operand: 17n });

    expect(world.iommu.completed).toEqual([17]);
  });
});

describe('invalidations', () => {
  const send = (world: SvmWorld, tag: number) => world.fn.ats!.invalidate(5, 0x4000, 0, 0, tag);

  test('drop entries and are complete at once', () => {
    const world = mapped();
    world.run(0, { op: 'fill', pasid: 5, dst: 0x4000, size: 8 });
    expect(world.register(SVM_ATC)).toBe(1);

    expect(send(world, 1)).toBe(DEVICE_TLB_DONE);

    expect(world.register(SVM_ATC)).toBe(0);
    expect(world.register(SVM_INVALIDATIONS)).toBe(1);
  });

  test('may be complete later, never, or under another tag', () => {
    const world = mapped();
    world.setRegister(SVM_INVALIDATION_DELAY, 500);
    world.setRegister(SVM_INVALIDATION, 1);
    expect(send(world, 7)).toBe(DEVICE_TLB_PENDING);
    world.setRegister(SVM_INVALIDATION, 2);
    expect(send(world, 8)).toBe(DEVICE_TLB_PENDING);
    world.setRegister(SVM_INVALIDATION, 3);
    expect(send(world, 9)).toBe(DEVICE_TLB_UNEXPECTED);

    world.wait(499);
    expect(world.iommu.completed).toEqual([]);
    world.wait(1000000);

    expect(world.iommu.completed).toEqual([7]);
  });
});

describe('time and resets', () => {
  test('with a delay the operation happens on the virtual clock', () => {
    const world = mapped();
    world.set(0, FRAME_DELAY, 1000);
    expect(world.run(0, { op: 'fill', pasid: 5, dst: 0x4000, size: 8, operand: 1n })).toBe('scheduled');
    world.set(0, FRAME_SIZE, 4096);

    world.wait(1000);

    expect(world.outcome(0)).toBe('done');
    expect(world.get(0, FRAME_DONE)).toBe(8n);
  });

  test('a function-level reset ends everything and disables the capabilities', () => {
    const world = mapped();
    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, control: { PRI: 1 } });
    world.set(1, FRAME_DELAY, 10);
    world.run(1, { op: 'fill', pasid: 5, dst: 0x4000, size: 8 });

    world.fn.configWrite(world.fn.w.layout.pcie + 8, 2, 0x8000);
    world.wait(100);

    expect(world.engine.s.frames.every((w) => w === 0)).toBe(true);
    expect(world.engine.agent.entries).toEqual([]);
    expect(world.fn.s.pageRequests).toBe(0);
    expect(world.rig.clock.save().queue).toEqual([]);
  });

  test('a frame that waits for a page response is state, and goes on in another machine', () => {
    const world = mapped();
    world.run(0, { op: 'fill', pasid: 5, dst: 0x6000, size: 8, operand: 0x55n, control: { PRI: 1 } });
    const other = mapped();
    other.iommu.pages[2] = { pasid: 5, at: 0x6000, to: 0x30000, access: RW };
    other.engine.stateDef().load(other.engine.s, world.engine.stateDef().save(world.engine.s), 'engine');
    other.fn.stateDef().load(other.fn.s, world.fn.stateDef().save(world.fn.s), 'engine.pci');
    other.engine.dropCache();

    other.fn.ats!.pageResponse(5, 0, 0);
    other.wait();

    expect(other.outcome(0)).toBe('done');
    expect(other.rig.ram.u8[0x30000]).toBe(0x55);
  });

  test('an operation that writes to its own frames starts none', () => {
    const world = new SvmWorld();
    world.iommu.pages = [{ pasid: 5, at: 0, to: SVM_BAR, bytes: 0x10000, access: RW }];

    world.run(0, { op: 'fill', pasid: 5, dst: 0x1080, size: 4, operand: 0x02n });

    expect(world.outcome(0)).toBe('done');
    expect(world.register(SVM_BUSY)).toBe(0);
    expect(world.iommu.seen.filter((s) => s.startsWith('translation'))).toHaveLength(1);
  });
});

function chaos(world: SvmWorld, rng: Rng): unknown {
  const frame = rng.below(4);
  const offset = 0x1000 + frame * 0x80 + rng.below(0x58 / 4) * 4;
  switch (rng.below(8)) {
    case 0:
      world.wait(rng.below(3000));
      return world.rig.clock.now;
    case 1:
      world.fn.ats!.pageResponse(rng.below(4), rng.below(8), [0, 0, 1, 15][rng.below(4)]!);
      return undefined;
    case 2:
      return world.fn.ats!.invalidate(rng.below(4), rng.below(64) << 12, 0, rng.below(6), rng.below(32));
    case 3:
      world.start(frame, {
        op: (['memcpy', 'fill', 'random', 'sum', 'swap', 'translate', 'pageRequest', 'rawWrite'] as const)[
          rng.below(8)
        ]!,
        pasid: rng.below(4),
        src: rng.below(0x40000),
        dst: rng.below(0x40000) & ~7,
        size: rng.below(3) === 0 ? 8 : rng.below(0x3000),
        control: {
          PRI: rng.below(2),
          ACCESS: rng.below(8),
          LAST: 1,
          AHEAD: rng.below(3),
          PASID_VALID: rng.below(2),
        },
      });
      return world.outcome(frame);
    case 4:
      world.rig.mmio.write(SVM_BAR + rng.below(9) * 4, 4, rng.next(), 0);
      return undefined;
    case 5:
      return world.rig.mmio.read(SVM_BAR + rng.below(9) * 4, 4);
    case 6:
      world.rig.mmio.write(SVM_BAR + offset, 4, rng.below(3) === 0 ? rng.next() : rng.below(16), 0);
      return undefined;
    default:
      return world.rig.mmio.read(SVM_BAR + offset, 4);
  }
}

function chaosWorld(): SvmWorld {
  const world = new SvmWorld({ frames: 4, 'atc-entries': 16 });
  for (let page = 0; page < 64; page++)
    for (const pasid of [0, 1, 2, NO_PASID])
      world.iommu.pages.push({
        pasid,
        at: page << 12,
        to: 0x100000 + (page << 12),
        access: page % 5 === 0 ? 0 : page % 3 === 0 ? READ : RW,
      });
  return world;
}

describeDeviceRules('svm-engine', () => {
  const world = chaosWorld();
  return { device: world.engine, access: (rng) => chaos(world, rng) };
});

test('random use never throws and leaves no request without a frame or an answer', () => {
  const rng = new Rng(99);
  const world = chaosWorld();

  for (let i = 0; i < 20000; i++) chaos(world, rng);
  world.setRegister(SVM_COMMAND, 1);
  world.engine.agent.dropPageRequests();

  expect(world.register(SVM_BUSY)).toBe(0);
  expect(world.engine.agent.outstanding).toBe(0);
  expect(world.fn.s.pageRequests).toBe(0);
});
