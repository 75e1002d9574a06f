import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { enumeratePci } from '../../../firmware/boot/enumerate.ts';
import type { BootOptions, BootResult } from '../../../firmware/boot/types.ts';
import {
  type DecodedBar,
  type FakeBar,
  FakeConfigSpace,
  type FakeFunction,
} from '../../kit/fake-config-space.ts';
import { runs } from '../../kit/runs.ts';

const MiB = 0x100000;
const OPTIONS: BootOptions = {
  firstBus: 0,
  lastBus: 255,
  windows: {
    io: [{ base: 0xc000, length: 0x4000 }],
    memory: [{ base: 0xc000_0000, length: 0x3ec0_0000 }],
    prefetchable: [{ base: 0x8_0000_0000, length: 0x8_0000_0000 }],
  },
  command: { memory: true, io: true, bridgeMaster: true },
};

const withMemory = (length: number): BootOptions => ({
  ...OPTIONS,
  windows: { ...OPTIONS.windows, memory: [{ base: 0xc000_0000, length }] },
});

function functionsOf(result: BootResult) {
  if (!result.ok) throw new Error(result.failure.text);
  return result.functions;
}

describe('a root port with one endpoint, an endpoint on the root bus and an empty root port', () => {
  const edu: FakeFunction = { device: 0, pin: 1, bars: [{ index: 0, kind: 'mem32', size: MiB }] };
  const port: FakeFunction = { device: 1, behind: [edu] };
  const nic: FakeFunction = {
    device: 2,
    pin: 1,
    bars: [
      { index: 0, kind: 'mem32', size: 0x1000 },
      { index: 2, kind: 'io', size: 0x20 },
    ],
  };
  const emptyPort: FakeFunction = { device: 3, behind: [] };
  const boot = (options: BootOptions = OPTIONS) => {
    const space = new FakeConfigSpace([port, nic, emptyPort]);
    return { space, result: enumeratePci(space, options) };
  };

  test('buses are numbered depth first', () => {
    const { space, result } = boot();
    // Subordinate, secondary, primary.
    expect(space.registerOf(port, 0x18, 3)).toBe(0x010100);
    expect(space.registerOf(emptyPort, 0x18, 3)).toBe(0x020200);
    expect(functionsOf(result).map(({ bdf }) => bdf)).toEqual([0x08, 0x100, 0x10, 0x18]);
    expect(result).toMatchObject({ ok: true, lastBus: 2 });
  });

  test('the larger request comes first and BARs keep their flag bits', () => {
    const { space } = boot();
    expect(space.registerOf(edu, 0x10, 4)).toBe(0xc000_0000);
    expect(space.registerOf(nic, 0x10, 4)).toBe(0xc010_0000);
    expect(space.registerOf(nic, 0x18, 4)).toBe(0xc001);
  });

  test('the memory window covers the endpoint and the unused windows are closed', () => {
    const { space } = boot();
    expect(space.registerOf(port, 0x20, 4)).toBe(0xc000_c000);
    expect(space.registerOf(port, 0x1c, 2)).toBe(0x00f0);
    expect(space.registerOf(port, 0x24, 4)).toBe(0x0001_fff1);
    expect(space.registerOf(port, 0x28, 4)).toBe(0);
    expect(space.registerOf(port, 0x2c, 4)).toBe(0);
    expect(space.registerOf(emptyPort, 0x20, 4)).toBe(0x0000_fff0);
  });

  test('decoding is on everywhere and bus mastering on bridges only', () => {
    const { space } = boot();
    expect([port, edu, nic, emptyPort].map((fn) => space.registerOf(fn, 0x04, 2))).toEqual([7, 3, 3, 7]);
  });

  test('COMMAND stays clear when nothing is asked', () => {
    const { space } = boot({ ...OPTIONS, command: { memory: false, io: false, bridgeMaster: false } });
    expect([port, edu, nic, emptyPort].map((fn) => space.registerOf(fn, 0x04, 2))).toEqual([0, 0, 0, 0]);
  });

  test('the result names what was found, for the log', () => {
    expect(functionsOf(boot().result)[1]).toEqual({
      bdf: 0x100,
      vendor: 0x1b36,
      device: 0x1234,
      classCode: 0xff0000,
      interruptPin: 1,
      interruptLine: undefined,
      bridge: undefined,
      bars: [{ index: 0, kind: 'memory', is64: false, size: MiB, address: 0xc000_0000 }],
    });
    expect(functionsOf(boot().result)[0]!.bridge).toEqual({
      primary: 0,
      secondary: 1,
      subordinate: 1,
      windows: { io: undefined, memory: { base: 0xc000_0000, length: MiB }, prefetchable: undefined },
    });
  });

  test('a second enumeration of the same hierarchy gives the same result', () => {
    const { space, result } = boot();
    expect(enumeratePci(space, OPTIONS)).toEqual(result);
  });
});

describe('bridges behind bridges', () => {
  const deep: FakeFunction = { device: 0, pin: 1, bars: [{ index: 0, kind: 'io', size: 0x100 }] };
  const left: FakeFunction = { device: 0, behind: [] };
  const right: FakeFunction = { device: 1, behind: [deep] };
  const top: FakeFunction = { device: 1, behind: [left, right] };
  const last: FakeFunction = { device: 1, fn: 1, behind: [] };

  test('the upper bridge spans the buses of the lower ones', () => {
    const space = new FakeConfigSpace([top, last]);
    enumeratePci(space, OPTIONS);
    expect([top, left, right, last].map((fn) => space.registerOf(fn, 0x18, 3))).toEqual([
      0x030100, 0x020201, 0x030301, 0x040400,
    ]);
  });

  test('an I/O BAR opens the I/O window of each bridge above it', () => {
    const space = new FakeConfigSpace([top, last]);
    enumeratePci(space, OPTIONS);
    expect([top, right, left].map((fn) => space.registerOf(fn, 0x1c, 2))).toEqual([0xc0c0, 0xc0c0, 0x00f0]);
    expect(space.registerOf(deep, 0x10, 4)).toBe(0xc001);
  });

  test('the pin is swizzled once for each bridge', () => {
    const space = new FakeConfigSpace([top, last]);
    enumeratePci(space, { ...OPTIONS, interruptLine: (device, pin) => device * 16 + pin });
    // INTA of device 0 is INTA of the right bridge, which is device 1 and so INTB of the top one.
    expect(space.registerOf(deep, 0x3c, 1)).toBe(0x12);
    expect(space.registerOf(top, 0x3c, 1)).toBe(0);
  });

  test('a bus range that starts above 0 is numbered from there', () => {
    const space = new FakeConfigSpace([top], 0x40);
    enumeratePci(space, { ...OPTIONS, firstBus: 0x40, lastBus: 0x7f });
    expect(space.registerOf(right, 0x18, 3)).toBe(0x434341);
  });
});

describe('what earlier code left behind', () => {
  const endpoint: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'mem32', size: 0x1000 }] };
  const first: FakeFunction = { device: 1, behind: [endpoint] };
  const second: FakeFunction = { device: 2, behind: [] };
  const dirty = () => {
    const space = new FakeConfigSpace([first, second]);
    // The second bridge decodes and claims the bus that the first one is going to get.
    space.write(0x10, 0x18, 4, 0x00030100);
    space.write(0x10, 0x38, 4, 0xfeb0_0001);
    space.write(0x10, 0x04, 2, 0x0007);
    return space;
  };

  test('old bus numbers do not shadow the new ones', () => {
    const space = dirty();
    enumeratePci(space, OPTIONS);
    expect([first, second].map((fn) => space.registerOf(fn, 0x18, 3))).toEqual([0x010100, 0x020200]);
    expect(space.registerOf(endpoint, 0x10, 4)).toBe(0xc000_0000);
  });

  test('bus mastering and the expansion ROM are switched off', () => {
    const space = dirty();
    enumeratePci(space, { ...OPTIONS, command: { memory: false, io: false, bridgeMaster: false } });
    expect(space.registerOf(second, 0x04, 2)).toBe(0);
    expect(space.registerOf(second, 0x38, 4)).toBe(0);
  });
});

describe('memory windows on both sides of 4 GiB', () => {
  const high = { base: 0x10_0000_0000, length: 0x1000_0000 };
  const low = { base: 0xe000_0000, length: 0x100_0000 };
  const options = { ...OPTIONS, windows: { io: [], memory: [high, low], prefetchable: [] } };

  test('a bridge window and a 32-bit BAR go below, a 64-bit BAR on the root bus above', () => {
    const behind: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'mem64', size: MiB }] };
    const wide: FakeFunction = { device: 2, bars: [{ index: 0, kind: 'mem64', size: MiB }] };
    const narrow: FakeFunction = { device: 3, bars: [{ index: 0, kind: 'mem32', size: MiB }] };
    const space = new FakeConfigSpace([{ device: 1, behind: [behind] }, wide, narrow]);
    enumeratePci(space, options);
    expect(space.decodedBars().map(({ base }) => base)).toEqual([0xe000_0000, 0x10_0000_0000, 0xe010_0000]);
  });
});

describe('64-bit BARs', () => {
  const gpu: FakeFunction = { device: 0, bars: [{ index: 2, kind: 'pref64', size: 16 * MiB }] };

  test('a prefetchable one goes above 4 GiB through a 64-bit window', () => {
    const port: FakeFunction = { device: 1, behind: [gpu] };
    const space = new FakeConfigSpace([port]);
    enumeratePci(space, OPTIONS);
    expect([0x18, 0x1c].map((offset) => space.registerOf(gpu, offset, 4))).toEqual([0xc, 8]);
    expect([0x24, 0x28, 0x2c].map((offset) => space.registerOf(port, offset, 4))).toEqual([
      0x00f1_0001, 8, 8,
    ]);
    expect(space.registerOf(port, 0x20, 4)).toBe(0x0000_fff0);
  });

  test.each(['32-bit', 'none'] as const)(
    'a prefetchable one goes to the memory window where the prefetchable window is %s',
    (prefetchWindow) => {
      const port: FakeFunction = { device: 1, behind: [gpu], prefetchWindow };
      const space = new FakeConfigSpace([port]);
      enumeratePci(space, OPTIONS);
      expect([0x18, 0x1c].map((offset) => space.registerOf(gpu, offset, 4))).toEqual([0xc000_000c, 0]);
      expect(space.registerOf(port, 0x20, 4)).toBe(0xc0f0_c000);
    },
  );

  test('a prefetchable one falls back to the memory window when there is no other', () => {
    const space = new FakeConfigSpace([gpu]);
    enumeratePci(space, { ...OPTIONS, windows: { ...OPTIONS.windows, prefetchable: [] } });
    expect([0x18, 0x1c].map((offset) => space.registerOf(gpu, offset, 4))).toEqual([0xc000_000c, 0]);
  });

  test('a size above 4 GiB is read from the upper half', () => {
    const big: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'pref64', size: 0x2_0000_0000 }] };
    const result = enumeratePci(new FakeConfigSpace([big]), OPTIONS);
    expect(functionsOf(result)[0]!.bars).toEqual([
      { index: 0, kind: 'prefetchable', is64: true, size: 0x2_0000_0000, address: 0x8_0000_0000 },
    ]);
  });

  test('one that is not prefetchable uses the memory window behind a bridge', () => {
    const nvme: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'mem64', size: 0x4000 }] };
    const space = new FakeConfigSpace([{ device: 1, behind: [nvme] }]);
    enumeratePci(space, OPTIONS);
    expect([0x10, 0x14].map((offset) => space.registerOf(nvme, offset, 4))).toEqual([0xc000_0004, 0]);
  });
});

describe('a bridge window is aligned and rounded', () => {
  test('to 1 MiB, with the largest BAR first inside', () => {
    const small: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'mem32', size: 0x1000 }] };
    const large: FakeFunction = { device: 1, bars: [{ index: 0, kind: 'mem32', size: 2 * MiB }] };
    const port: FakeFunction = { device: 1, behind: [small, large] };
    const space = new FakeConfigSpace([port]);
    enumeratePci(space, OPTIONS);
    expect([large, small].map((fn) => space.registerOf(fn, 0x10, 4))).toEqual([0xc000_0000, 0xc020_0000]);
    expect(space.registerOf(port, 0x20, 4)).toBe(0xc020_c000);
  });
});

describe('what cannot be assigned is an error value', () => {
  const oneMiB = (device: number): FakeFunction => ({
    device,
    bars: [{ index: 1, kind: 'mem32', size: MiB }],
  });

  test('no memory left names the function and the BAR, and leaves decoding off', () => {
    const [first, second] = [oneMiB(1), oneMiB(2)];
    const space = new FakeConfigSpace([first, second]);
    expect(enumeratePci(space, withMemory(MiB))).toEqual({
      ok: false,
      failure: {
        kind: 'no-space',
        bdf: 0x10,
        bar: 1,
        resource: 'memory',
        size: MiB,
        bridge: undefined,
        text: '00:02.0 BAR 1 (memory, 0x100000 bytes) has no room in the windows of the host bridge',
      },
    });
    expect(space.registerOf(first, 0x14, 4)).toBe(0);
    expect(space.registerOf(first, 0x04, 2)).toBe(0);
  });

  test('a bridge window that does not fit names the bridge and its largest BAR', () => {
    const space = new FakeConfigSpace([{ device: 3, behind: [oneMiB(0), oneMiB(1)] }]);
    expect(enumeratePci(space, withMemory(MiB))).toMatchObject({
      failure: {
        bdf: 0x100,
        bar: 1,
        bridge: 0x18,
        text: '01:00.0 BAR 1 (memory, 0x100000 bytes) has no room in the windows of the host bridge (window of bridge 00:03.0, 0x200000 bytes)',
      },
    });
  });

  test('an I/O BAR behind a bridge without an I/O window', () => {
    const fn: FakeFunction = { device: 0, bars: [{ index: 0, kind: 'io', size: 8 }] };
    const space = new FakeConfigSpace([{ device: 1, noIoWindow: true, behind: [fn] }]);
    expect(enumeratePci(space, OPTIONS)).toMatchObject({
      failure: { kind: 'no-space', bdf: 0x100, bar: 0, resource: 'io', bridge: 8 },
    });
  });

  test('no bus number left names the bridge', () => {
    const space = new FakeConfigSpace([{ device: 4, behind: [] }]);
    expect(enumeratePci(space, { ...OPTIONS, lastBus: 0 })).toEqual({
      ok: false,
      failure: {
        kind: 'no-bus-number',
        bdf: 0x20,
        text: '00:04.0 is a bridge, but no bus number is left below 1',
      },
    });
  });

  test('a 64-bit BAR without an upper half is malformed', () => {
    const space = new FakeConfigSpace([{ device: 1, bars: [{ index: 5, kind: 'mem64', size: 0x1000 }] }]);
    expect(enumeratePci(space, OPTIONS)).toMatchObject({ failure: { kind: 'bad-bar', bdf: 8, bar: 5 } });
  });
});

describe('any hierarchy', () => {
  const size = { io: [2, 8], mem32: [4, 22], mem64: [4, 22], pref32: [4, 22], pref64: [4, 34] } as const;
  const barArbitrary = fc
    .constantFrom('io', 'mem32', 'mem64', 'pref32', 'pref64' as const)
    .chain((kind) =>
      fc
        .integer({ min: size[kind as keyof typeof size][0], max: size[kind as keyof typeof size][1] })
        .map((log2) => ({ kind: kind as FakeBar['kind'], size: 2 ** log2 })),
    );
  const barsArbitrary = (registers: number) =>
    fc.array(barArbitrary, { maxLength: 3 }).map((bars) => layOut(bars, registers));
  const { bus } = fc.letrec<{ bus: FakeFunction[]; fn: FakeFunction }>((tie) => ({
    bus: fc.uniqueArray(tie('fn'), { maxLength: 4, selector: ({ device, fn }) => device * 8 + (fn ?? 0) }),
    fn: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({
        device: fc.integer({ min: 0, max: 31 }),
        pin: fc.integer({ min: 0, max: 4 }),
        bars: barsArbitrary(6),
      }),
      fc.record({
        device: fc.integer({ min: 0, max: 31 }),
        bars: barsArbitrary(2),
        behind: tie('bus'),
        prefetchWindow: fc.constantFrom('32-bit' as const, 'none' as const),
      }),
      fc.record({ device: fc.integer({ min: 0, max: 31 }), bars: barsArbitrary(2), behind: tie('bus') }),
    ) as fc.Arbitrary<FakeFunction>,
  }));

  /** BARs in the next free registers; what does not fit is left out. */
  function layOut(bars: readonly Omit<FakeBar, 'index'>[], registers: number): FakeBar[] {
    let next = 0;
    return bars.flatMap((bar) => {
      const index = next;
      next += bar.kind.endsWith('64') ? 2 : 1;
      return next <= registers ? [{ ...bar, index }] : [];
    });
  }

  const isIo = ({ bar }: DecodedBar) => bar.kind === 'io';
  const within = (inner: { base: number; last: number }, outer: { base: number; last: number }) =>
    inner.base >= outer.base && inner.last <= outer.last;
  const forwards = (window: DecodedBar['above'][number], bar: DecodedBar) =>
    isIo(bar)
      ? within(bar, window.io)
      : within(bar, window.memory) || (bar.bar.kind === 'pref64' && within(bar, window.prefetchable));

  test('assigned BARs are aligned, do not overlap, and lie in all windows above them and in no other', () => {
    let assigned = 0;
    fc.assert(
      fc.property(bus, (functions) => {
        const space = new FakeConfigSpace(functions);
        const result = enumeratePci(space, {
          ...OPTIONS,
          windows: { ...OPTIONS.windows, io: [{ base: 0x1000, length: 0xf000 }] },
        });
        fc.pre(result.ok);
        const bars = space.decodedBars();
        assigned += bars.length;
        const windows = new Set(bars.flatMap(({ above }) => above));
        for (const bar of bars) {
          expect(bar.base).toBeGreaterThan(0);
          expect(bar.base % bar.bar.size).toBe(0);
          const others = bars.filter((other) => other !== bar && isIo(other) === isIo(bar));
          expect(others.filter((other) => other.base <= bar.last && bar.base <= other.last)).toEqual([]);
          for (const window of windows) expect(forwards(window, bar)).toBe(bar.above.includes(window));
        }
      }),
      { numRuns: runs(500) },
    );
    expect(assigned).toBeGreaterThan(runs(500, 20));
  });
});
