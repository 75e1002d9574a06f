import { describe, expect, test } from 'vitest';
import { Gic } from '../../../devices/chipset/gic.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import type { Rng } from '../../../vmm/core/rng.ts';
import { Tracer } from '../../../vmm/trace/tracer.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';

const ISENABLER = 0x100;
const ISPENDR = 0x200;
const ICPENDR = 0x280;
const ISACTIVER = 0x300;
const PRIORITY = 0x400;
const ICFGR = 0xc00;
const SPURIOUS = 1023;

function rig({ enabledAtReset = true } = {}) {
  const gic = new Gic({ tracer: new Tracer(() => 0), messages: { base: 80, count: 64 }, enabledAtReset });
  const bus = new MmioBus();
  const d = gic.distributor;
  const c = gic.cpuInterface;
  const frame = gic.messageFrame;
  const dw = (offset: number, value: number, size = 4) => d.write(offset, size, value, 0, bus);
  const dr = (offset: number, size = 4) => d.read(offset, size, bus);
  return {
    gic,
    dw,
    dr,
    cw: (offset: number, value: number) => c.write(offset, 4, value, 0, bus),
    cr: (offset: number) => c.read(offset, 4, bus),
    mw: (offset: number, value: number) => frame.write(offset, 4, value, 0, bus),
    mr: (offset: number) => frame.read(offset, 4, bus),
    enable: (irq: number) => dw(ISENABLER + (irq >>> 5) * 4, 1 << (irq & 31)),
    edge: (irq: number) => dw(ICFGR + (irq >>> 4) * 4, 2 << ((irq & 15) * 2)),
    priority: (irq: number, value: number) => dw(PRIORITY + irq, value, 1),
  };
}

describe('registers', () => {
  test('what hardware resets to', () => {
    const { dr, cr } = rig({ enabledAtReset: false });

    expect([0x000, 0x004, 0x008, 0x100, 0xc00, 0xc04, 0xfe8].map((o) => dr(o))).toEqual([
      0, 7, 0x0200043b, 0xffff, 0xaaaaaaaa, 0, 0x2b,
    ]);
    expect([0x00, 0x04, 0x08, 0x0c, 0x14, 0x18, 0xfc].map(cr)).toEqual([
      0,
      0,
      2,
      SPURIOUS,
      0xff,
      SPURIOUS,
      0x0202043b,
    ]);
  });

  test('a priority has five bits and is reached by bytes and words', () => {
    const { dw, dr } = rig();

    dw(PRIORITY + 33, 0xff, 1);
    dw(PRIORITY + 36, 0x01a8b0ff);

    expect([dr(PRIORITY + 32), dr(PRIORITY + 33, 1), dr(PRIORITY + 36)]).toEqual([0xf800, 0xf8, 0x00a8b0f8]);
  });

  test('targets read as zero with one processor, and groups too', () => {
    const { dw, dr } = rig();

    dw(0x820, 0xffffffff);
    dw(0x080, 0xffffffff);

    expect([dr(0x820), dr(0x080)]).toEqual([0, 0]);
  });

  test('a clear register clears what the set register shows', () => {
    const { dw, dr } = rig();

    dw(ISENABLER + 4, 0xff);
    dw(0x184, 0x0f);

    expect([dr(ISENABLER + 4), dr(0x184)]).toEqual([0xf0, 0xf0]);
  });
});

describe('signalling', () => {
  test('a level line pends while it is high, and again after its end', () => {
    const { gic, enable } = rig();
    enable(35);

    gic.setLine(35, true);
    expect(gic.pending()).toBe(35);
    gic.accept(35);
    expect(gic.pending()).toBe(-1);
    gic.eoi();
    expect(gic.pending()).toBe(35);
    gic.setLine(35, false);
    expect(gic.pending()).toBe(-1);
  });

  test('an edge is kept until it is taken, and one that comes meanwhile too', () => {
    const { gic, enable, edge } = rig();
    enable(100);
    edge(100);

    gic.pulse(100);
    gic.accept(100);
    gic.pulse(100);
    expect(gic.pending()).toBe(-1);
    gic.eoi();

    expect(gic.pending()).toBe(100);
  });

  test('a pulse on a level-sensitive interrupt is lost', () => {
    const { gic, enable } = rig();
    enable(100);

    gic.pulse(100);

    expect(gic.pending()).toBe(-1);
  });

  test('a disabled interrupt stays pending, and is signalled when it is enabled', () => {
    const { gic, enable, edge, dr } = rig();
    edge(100);
    gic.pulse(100);
    expect([gic.pending(), dr(ISPENDR + 12)]).toEqual([-1, 0x10]);

    enable(100);

    expect(gic.pending()).toBe(100);
  });

  test('software makes pending and no longer pending', () => {
    const { gic, enable, dw } = rig();
    enable(40);

    dw(ISPENDR + 4, 1 << 8);
    expect(gic.pending()).toBe(40);
    dw(ICPENDR + 4, 1 << 8);
    expect(gic.pending()).toBe(-1);
  });

  test('neither distributor nor CPU interface disabled lets anything through', () => {
    const { gic, enable, dw, cw } = rig();
    enable(35);
    gic.setLine(35, true);

    dw(0x000, 0);
    expect(gic.pending()).toBe(-1);
    dw(0x000, 1);
    cw(0x00, 0);
    expect(gic.pending()).toBe(-1);
    cw(0x00, 1);
    expect(gic.pending()).toBe(35);
  });
});

describe('priorities', () => {
  test('the highest priority goes first, of equal ones the lowest id', () => {
    const { gic, enable, priority } = rig();
    for (const irq of [40, 41, 42]) {
      enable(irq);
      priority(irq, 0x80);
      gic.setLine(irq, true);
    }
    priority(42, 0x40);

    expect(gic.pending()).toBe(42);
    gic.accept(42);
    gic.setLine(42, false);
    gic.eoi();
    expect(gic.pending()).toBe(40);
  });

  test('only priorities above the mask are signalled; the highest pending register shows the others', () => {
    const { gic, enable, priority, cw, cr } = rig();
    enable(40);
    priority(40, 0x80);
    gic.setLine(40, true);

    cw(0x04, 0x80);
    expect([gic.pending(), cr(0x18), cr(0x0c)]).toEqual([-1, 40, SPURIOUS]);
    cw(0x04, 0x88);
    expect(gic.pending()).toBe(40);
  });

  test('a higher priority interrupts a lower one, and ends return in order', () => {
    const { gic, enable, priority, cr } = rig();
    for (const [irq, p] of [
      [40, 0x80],
      [41, 0x40],
    ] as const) {
      enable(irq);
      priority(irq, p);
    }
    gic.setLine(40, true);
    gic.accept(40);
    gic.setLine(41, true);
    expect([gic.pending(), cr(0x14)]).toEqual([41, 0x80]);
    gic.accept(41);
    expect(cr(0x14)).toBe(0x40);

    gic.eoi();
    expect(cr(0x14)).toBe(0x80);
    gic.eoi();

    expect(cr(0x14)).toBe(0xff);
  });

  test('below the binary point a higher priority does not interrupt', () => {
    const { gic, enable, priority, cw } = rig();
    cw(0x08, 5);
    for (const [irq, p] of [
      [40, 0x58],
      [41, 0x40],
    ] as const) {
      enable(irq);
      priority(irq, p);
    }
    gic.setLine(40, true);
    gic.accept(40);

    gic.setLine(41, true);
    expect(gic.pending()).toBe(-1);
    gic.eoi();
    expect(gic.pending()).toBe(41);
  });
});

describe('the CPU interface registers', () => {
  test('an acknowledge is what accepting is, and EOIR its end', () => {
    const { gic, enable, cr, cw, dr } = rig();
    enable(40);
    gic.setLine(40, true);

    expect(cr(0x0c)).toBe(40);
    expect(dr(ISACTIVER + 4)).toBe(1 << 8);
    expect(cr(0x0c)).toBe(SPURIOUS);
    gic.setLine(40, false);
    cw(0x10, 40);

    expect([dr(ISACTIVER + 4), cr(0x14)]).toEqual([0, 0xff]);
  });

  test('with EOImode the priority drops first and DIR deactivates', () => {
    const { gic, enable, cr, cw, dr } = rig();
    cw(0x00, 0x201);
    enable(40);
    gic.setLine(40, true);

    cr(0x0c);
    cw(0x10, 40);
    expect([cr(0x14), dr(ISACTIVER + 4), gic.pending()]).toEqual([0xff, 1 << 8, -1]);
    cw(0x1000, 40);

    expect([dr(ISACTIVER + 4), gic.pending()]).toEqual([0, 40]);
  });

  test('the end of an id that does not exist is ignored', () => {
    const { gic, enable, cw, cr } = rig();
    enable(40);
    gic.setLine(40, true);
    gic.accept(40);

    cw(0x10, SPURIOUS);

    expect(cr(0x14)).toBe(0);
  });
});

describe('software-generated interrupts', () => {
  test.each([
    ['to the list', 0x00010005, 5],
    ['to itself', 0x02000005, 5],
    ['to all but itself', 0x01000005, -1],
    ['to another', 0x00020005, -1],
  ])('%s', (_, command, expected) => {
    const { gic, dw } = rig();

    dw(0xf00, command);

    expect(gic.pending()).toBe(expected);
  });

  test('they pend by bytes of registers of their own', () => {
    const { gic, dw, dr } = rig();

    dw(0xf20 + 3, 1, 1);
    dw(ISPENDR, 0x10);

    expect([dr(0xf20), dr(0xf10), dr(ISPENDR)]).toEqual([0x01000000, 0x01000000, 8]);
    dw(0xf10, 0x01000000);
    expect(gic.pending()).toBe(-1);
  });
});

describe('messages', () => {
  test('the frame says which interrupts it raises', () => {
    const { mr } = rig();

    expect([mr(0x008), mr(0xfcc), mr(0x040)]).toEqual([0x00500040, 0x43b, 0]);
  });

  test.each([
    [80, 80],
    [143, 143],
    [79, -1],
    [144, -1],
    [0x10050, -1],
  ])('a message %i raises %i', (data, expected) => {
    const { gic, mw, dw } = rig();
    for (let i = 1; i < 8; i++) dw(ISENABLER + i * 4, 0xffffffff);
    for (let i = 2; i < 16; i++) dw(ICFGR + i * 4, 0xaaaaaaaa);

    mw(0x040, data);

    expect(gic.pending()).toBe(expected);
  });
});

describeDeviceRules('gic', () => {
  const { gic, dw, dr, cw, cr, mw } = rig();
  for (let i = 1; i < 8; i++) dw(ISENABLER + i * 4, 0xffffffff);
  const actions: ((rng: Rng) => unknown)[] = [
    (rng) => dr(rng.below(0x1000)),
    (rng) => dw(rng.below(0x1000), rng.below(2 ** 32), [1, 2, 4][rng.below(3)]),
    (rng) => cr(rng.below(0x40) * 4),
    (rng) => cw(rng.below(8) * 4, rng.below(2 ** 32)),
    (rng) => mw(0x40, rng.below(160)),
    (rng) => gic.setLine(32 + rng.below(224), rng.below(2) === 1),
    () => gic.eoi(),
    () => {
      const next = gic.pending();
      if (next >= 0) gic.accept(next);
      return next;
    },
    (rng) => dw(PRIORITY + rng.below(256), rng.below(256), 1),
    () => dw(0, 1),
    () => cw(0, 1),
    () => cw(4, 0xf0),
  ];
  return { device: gic, access: (rng) => actions[rng.below(actions.length)]!(rng) };
});
