import { describe, expect, test } from 'vitest';
import {
  FRAME_DONE,
  FRAME_GRANTED,
  SVM_ATC,
  SVM_INVALIDATION,
  SVM_INVALIDATION_DELAY,
} from '../../../devices/ep/svm-engine-registers.ts';
import { FSTS } from '../../../viommu/spec/vtd/registers.ts';
import { READ, WRITE } from '../../../vmm/bus/dma.ts';
import { ENGINE, SvmVtd } from '../../kit/svm-vtd.ts';

const RW = READ | WRITE;
/** FSTS: invalidation completion error, invalidation time-out error. */
const ICE = 0x20n;
const ITE = 0x40n;

describe('translation by ATS', () => {
  test('a page of a process is copied, and asked for once', () => {
    const world = new SvmVtd();
    const { vtd, frames } = world;
    world.map(5, 0x7000_0000, 0x200000);
    world.map(5, 0x7000_1000, 0x201000);
    vtd.ram.u8.fill(0x5a, 0x200000, 0x201000);

    const outcome = frames.run(0, {
      op: 'memcpy',
      pasid: 5,
      src: 0x7000_0010,
      dst: 0x7000_1020,
      size: 0x100,
    });

    expect(outcome).toBe('done');
    expect([...vtd.ram.u8.subarray(0x20101f, 0x201022)]).toEqual([0, 0x5a, 0x5a]);
    expect(frames.register(SVM_ATC)).toBe(2);
  });

  test('permissions are those of the tables', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000, 5);

    const translate = (ACCESS: number) => {
      const outcome = world.frames.run(0, { op: 'translate', pasid: 5, dst: 0x10123, control: { ACCESS } });
      return [outcome, world.frames.get(0, FRAME_GRANTED)];
    };

    expect(translate(READ)).toEqual(['done', BigInt(READ)]);
    expect(world.frames.result(0)).toBe(0x200123n);
    expect(translate(WRITE)[0]).toBe('fault');
  });

  test('PASIDs do not see each other’s pages', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000);
    world.map(6, 0x10000, 0x201000);

    world.frames.run(0, { op: 'fill', pasid: 5, dst: 0x10000, size: 8, operand: 5n });
    world.frames.run(1, { op: 'fill', pasid: 6, dst: 0x10000, size: 8, operand: 6n });

    expect([world.vtd.load(0x200000), world.vtd.load(0x201000)]).toEqual([5n, 6n]);
  });

  test('untranslated requests with PASID give the same, and a fault is recorded', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000);
    const untranslated = { NO_ATS: 1 };
    const fill = { op: 'fill', pasid: 5, size: 8, operand: 9n, control: untranslated } as const;

    expect(world.frames.run(0, { ...fill, dst: 0x10000 })).toBe('done');
    expect(world.frames.run(1, { ...fill, dst: 0x11000 })).toBe('unsupportedRequest');

    expect(world.vtd.load(0x200000)).toBe(9n);
    expect(world.vtd.faults.map((f) => [f.requester, f.pasid, f.address, f.access])).toEqual([
      [ENGINE, 5, '0x11000', 'write'],
    ]);
  });

  test('an atomic needs a writable page, cached or not', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000);
    world.map(5, 0x11000, 0x201000, 5);
    world.vtd.store(0x200000, 41n);

    const add = { op: 'fetchAdd', pasid: 5, size: 8, operand: 1n } as const;

    expect(world.frames.run(0, { ...add, dst: 0x10000 })).toBe('done');
    expect([world.frames.result(0), world.vtd.load(0x200000)]).toEqual([41n, 42n]);
    expect(world.frames.run(0, { ...add, dst: 0x11000 })).toBe('fault');
  });
});

describe('invalidation', () => {
  test('an unmapped page is used until the ATC is invalidated, whatever the IOTLB holds', () => {
    const world = new SvmVtd();
    const entry = world.map(5, 0x10000, 0x200000);
    const fill = { op: 'fill', pasid: 5, dst: 0x10000, size: 8 } as const;
    world.frames.run(0, { ...fill, operand: 1n });
    world.vtd.store(entry, 0n);
    world.vtd.submit(0x5_0005_0026n);

    expect(world.frames.run(0, { ...fill, operand: 2n })).toBe('done');
    expect(world.vtd.load(0x200000)).toBe(2n);

    expect(world.flush(5, 0x10000)).toBe(true);
    expect(world.frames.run(0, { ...fill, operand: 3n })).toBe('fault');
    expect(world.vtd.load(0x200000)).toBe(2n);
  });

  test('of one PASID leaves the same page of another', () => {
    const world = new SvmVtd();
    for (const pasid of [5, 6]) {
      world.map(pasid, 0x10000, 0x200000);
      world.frames.run(0, { op: 'fill', pasid, dst: 0x10000, size: 8 });
    }

    world.flush(5, 0x10000);

    expect(world.engine.agent.entries.map((e) => e.pasid)).toEqual([6]);
  });

  test('a wait is complete only after the completion came', () => {
    const world = new SvmVtd();
    world.frames.setRegister(SVM_INVALIDATION, 1);
    world.frames.setRegister(SVM_INVALIDATION_DELAY, 5000);

    expect(world.flush(5, 0x10000)).toBe(false);
    world.wait(4999);
    expect(world.waited).toBe(false);
    world.wait(2);

    expect(world.waited).toBe(true);
    expect(world.vtd.read(FSTS)).toBe(0n);
  });

  test('one that is never completed times out', () => {
    const world = new SvmVtd();
    world.frames.setRegister(SVM_INVALIDATION, 2);

    world.flush(5, 0x10000);
    world.wait(100_000_000);

    expect(world.vtd.read(FSTS) & ITE).toBe(ITE);
    expect(world.waited).toBe(false);
  });

  test('a completion that fits no invalidation is an error', () => {
    const world = new SvmVtd();

    world.frames.run(0, { op: 'rawCompletion', operand: 3n });

    expect(world.vtd.read(FSTS) & ICE).toBe(ICE);
  });
});

describe('page requests', () => {
  test('a page that comes with the response is used, and the operation ends well', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000);
    const control = { PRI: 1 };
    const fill = { op: 'fill', pasid: 5, dst: 0x10ff8, size: 16, operand: 7n, control } as const;
    expect(world.frames.run(0, fill)).toBe('waiting');

    const requests = world.pageRequests();
    expect(requests).toMatchObject([
      { TYPE: 1, PP: 1, RID: ENGINE, PASID: 5, R: 0, W: 1, LPIG: 1, PRGI: 0, ADDR: 0x11, EXE: 0, PRIV: 0 },
    ]);
    world.map(5, 0x11000, 0x201000);
    world.respond(requests[0]!, 0);

    expect(world.frames.outcome(0)).toBe('done');
    expect([world.vtd.load(0x200ff8), world.vtd.load(0x201000)]).toEqual([7n, 7n]);
  });

  test('many frames wait at once, and each gets its own answer', () => {
    const world = new SvmVtd();
    for (let frame = 0; frame < 8; frame++)
      world.frames.start(frame, {
        op: 'fill',
        pasid: 5 + (frame & 1),
        dst: 0x20000 + frame * 0x1000,
        size: 8,
        operand: BigInt(frame + 1),
        control: { PRI: 1 },
      });
    const requests = world.pageRequests();
    expect(requests.map((r) => r['PRGI'])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);

    for (const [i, request] of requests.toReversed().entries()) {
      const good = i % 3 !== 0;
      if (good) world.map(request['PASID']!, request['ADDR']! * 4096, 0x300000 + request['PRGI']! * 4096);
      world.respond(request, good ? 0 : 1);
    }

    const outcomes = requests.map((_, frame) => world.frames.outcome(frame));
    expect(outcomes).toEqual([
      'done',
      'invalidResponse',
      'done',
      'done',
      'invalidResponse',
      'done',
      'done',
      'invalidResponse',
    ]);
    expect(world.vtd.load(0x306000)).toBe(7n);
  });

  test('a failure response disables page requests of the function', () => {
    const world = new SvmVtd();
    world.frames.run(0, { op: 'fill', pasid: 5, dst: 0x10000, size: 8, control: { PRI: 1 } });

    world.respond(world.pageRequests()[0]!, 15);

    expect(world.frames.outcome(0)).toBe('responseFailure');
    expect(world.fn.configRead(world.fn.w.layout.pri + 4, 2)).toBe(0);
    expect(world.frames.run(0, { op: 'fill', pasid: 5, dst: 0x10000, size: 8, control: { PRI: 1 } })).toBe(
      'pageRequestRefused',
    );
  });

  test('a stop marker is recorded and needs no response', () => {
    const world = new SvmVtd();

    expect(world.frames.run(0, { op: 'stopMarker', pasid: 5 })).toBe('done');

    expect(world.pageRequests()).toMatchObject([{ PASID: 5, R: 0, W: 0, LPIG: 1 }]);
    expect(world.engine.agent.outstanding).toBe(0);
  });

  test('a response to a group that nobody asked about sets UPRGI', () => {
    const world = new SvmVtd();

    world.respond({ RID: ENGINE, PASID: 5, PP: 1, PRGI: 77 }, 0);

    expect(world.fn.configRead(world.fn.w.layout.pri + 6, 2) & 2).toBe(2);
  });

  test('a device and a guest that both wait survive in another machine', () => {
    const world = new SvmVtd();
    world.frames.run(0, { op: 'fill', pasid: 5, dst: 0x10000, size: 8, operand: 0x77n, control: { PRI: 1 } });
    const other = new SvmVtd();
    other.vtd.ram.u8.set(world.vtd.ram.u8);
    for (const part of [(w: SvmVtd) => w.engine, (w: SvmVtd) => w.fn, (w: SvmVtd) => w.vtd.device]) {
      const [from, to] = [part(world), part(other)];
      to.stateDef().load(to.s as never, from.stateDef().save(from.s as never), 'part');
    }
    for (const device of [other.engine, other.fn, other.root, other.vtd.device]) device.dropCache();

    const requests = other.pageRequests();
    other.map(5, 0x10000, 0x200000);
    other.respond(requests[0]!, 0);

    expect(other.frames.outcome(0)).toBe('done');
    expect(other.vtd.load(0x200000)).toBe(0x77n);
  });
});

describe('requests that break the rules', () => {
  test('a translated request of a function that may use ATS goes through; without DTE it is refused and recorded', () => {
    const world = new SvmVtd();
    const raw = { op: 'rawWrite', dst: 0x200000, size: 8, operand: 3n, control: { RAW_AT: 2 } } as const;
    expect(world.frames.run(0, raw)).toBe('done');
    expect(world.vtd.load(0x200000)).toBe(3n);

    world.vtd.scalableContext(ENGINE, { DTE: 0 });
    world.vtd.submit(0x11n);
    world.vtd.submit(0x37n);

    expect(world.frames.run(0, { ...raw, operand: 4n })).toBe('unsupportedRequest');
    expect(world.vtd.load(0x200000)).toBe(3n);
    expect(world.vtd.faults.length).toBe(1);
  });

  test('a cached translation is refused once the context entry takes ATS away', () => {
    const world = new SvmVtd();
    world.map(5, 0x10000, 0x200000);
    const fill = { op: 'fill', pasid: 5, dst: 0x10000, size: 8, operand: 1n } as const;
    world.frames.run(0, fill);
    world.frames.run(0, fill);

    world.vtd.scalableContext(ENGINE, { DTE: 0 });
    world.vtd.submit(0x11n);
    world.vtd.submit(0x37n);

    expect(world.frames.run(0, { ...fill, operand: 2n })).toBe('unsupportedRequest');
    expect(world.vtd.load(0x200000)).toBe(1n);
  });

  test('a page request of a function that may not make any is answered with failure', () => {
    const world = new SvmVtd();
    world.vtd.scalableContext(ENGINE, { PRE: 0 });
    world.vtd.submit(0x11n);
    world.vtd.submit(0x37n);

    const outcome = world.frames.run(0, {
      op: 'pageRequest',
      pasid: 5,
      dst: 0x10000,
      control: { ACCESS: RW, LAST: 1 },
    });

    expect(outcome).toBe('responseFailure');
    expect(world.vtd.faults.length).toBe(1);
  });
});

describe('virtual functions', () => {
  test('use the PASIDs of their own context entry, and their ATC is invalidated by their id', () => {
    const world = new SvmVtd({ vfs: 2, frames: 4, 'atc-entries': 64 });
    const { sriov } = world.fn.w.layout;
    world.fn.configWrite(sriov + 0x10, 2, 2);
    world.fn.configWrite(sriov + 8, 2, 1);
    const vf = world.device.virtual![0]!;
    vf.fn.configWrite(4, 2, 4);
    vf.fn.configWrite(vf.fn.w.layout.ats + 6, 2, 0x8000);
    const agent = (vf.device as typeof world.engine).agent;
    world.map(5, 0x10000, 0x200000);

    const status = agent.write(5, false, 0x10000, 0, Uint8Array.of(9), 0, 1);

    expect([status, world.vtd.ram.u8[0x200000], agent.entries.length]).toEqual([0, 9, 1]);
    expect(world.flush(5, 0x10000, ENGINE)).toBe(true);
    expect(agent.entries.length).toBe(1);
    expect(world.flush(5, 0x10000, ENGINE + 1)).toBe(true);
    expect(agent.entries.length).toBe(0);
  });
});

test('bytes done count up to the fault', () => {
  const world = new SvmVtd();
  world.map(5, 0x10000, 0x200000);

  world.frames.run(0, { op: 'fill', pasid: 5, dst: 0x10f00, size: 0x200 });

  expect(world.frames.get(0, FRAME_DONE)).toBe(0x100n);
});
