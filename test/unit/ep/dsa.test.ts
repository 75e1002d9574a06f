import { describe, expect, test } from 'vitest';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { BATCH, BLOCK, CR, DsaRig, FILL, MEMMOVE, NOOP, started, WITH_RECORD } from '../../kit/dsa-rig.ts';

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
    ['a queue of the third group of 16', (r: DsaRig) => last(r.command(1), r.command(7, 0x20001)), 0x02],
    ['a queue of the fifth', (r: DsaRig) => last(r.command(1), r.command(10, 0x40001)), 0x02],
    ['the last queue of the second', (r: DsaRig) => last(r.command(1), r.command(8, 0x18000)), 0x02],
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
