import { describe, expect, test } from 'vitest';
import { NestedSmmu } from '../../kit/nested-smmu.ts';
import { CMDQEN, DATA, EVENTQEN, REG } from '../../kit/smmu-machine.ts';

const EVENTQ_PROD = 0x100a8;
/** A store of 8 bytes to page `n`, which waits where it is held. */
const store = (n: number, operand = 5n) =>
  ({ op: 'fill', dst: n * 4096 + 8, size: 8, operand, control: { STALL: 1 } }) as const;

function start(n: NestedSmmu, frame: number, page: number): string {
  n.frames.start(frame, store(page));
  n.settle();
  return n.frames.outcome(frame);
}

/** Frames after everything that waits for its turn has had it. */
function outcomes(n: NestedSmmu, ...frames: number[]): string[] {
  n.settle();
  return frames.map((frame) => n.frames.outcome(frame));
}

const refusals = (n: NestedSmmu) =>
  n.machine.host === undefined ? [] : n.passthrough.log.lines.filter((line) => line.includes('fault queue'));

describe.each([
  ['an emulated device', { host: false }],
  ['an assigned device, nested', {}],
  ['an assigned device, by software', { mode: 'software' }],
] as const)('a transaction of %s that is held', (_, options) => {
  const world = (config = {}) => new NestedSmmu(config, options);

  test('is told with the StreamID, address and access that the guest knows, and goes on when it is resumed', () => {
    const n = world();

    expect(start(n, 0, 1)).toBe('stalled');
    // F_TRANSLATION; Stall with tag 0, CLASS IN, a write; the address.
    expect(n.smmu.event(0)).toEqual([0x0000_0100_0000_0010n, 0x0000_0200_8000_0000n, 0x1008n, 0n]);
    n.map(1, DATA);
    n.resume(0, true);
    expect(outcomes(n, 0)).toEqual(['done']);
    expect(n.smmu.load(DATA + 8)).toBe(5n);
  });

  test('for a page that may not be written says so', () => {
    const n = world();
    // AP[2]: read only.
    n.map(1, DATA + 0x80);

    start(n, 0, 1);

    expect(n.smmu.event(0)[0]! & 0xffn).toBe(0x13n);
  });

  test.each([
    ['terminated', 0n],
    ['aborted', 1n << 13n],
  ])('is refused when it is %s', (_, action) => {
    const n = world();
    start(n, 0, 1);
    n.map(1, DATA);

    n.smmu.submit(0x44n | action | (0x100n << 32n), 0);

    expect(outcomes(n, 0)).toEqual(['unsupportedRequest']);
  });

  test('is held again, under another tag, when nothing has changed', () => {
    const n = world();
    start(n, 0, 1);

    n.resume(0, true);

    expect(outcomes(n, 0)).toEqual(['stalled']);
    expect(n.smmu.event(1)).toEqual([0x0000_0100_0000_0010n, 0x0000_0200_8000_0001n, 0x1008n, 0n]);
  });

  test('is not let go by the tag of another, an unknown tag, another StreamID, or a second answer', () => {
    const n = world();
    start(n, 0, 1);
    start(n, 1, 2);
    n.map(2, DATA);

    n.resume(1, true);
    n.resume(1, true);
    n.resume(9, true);
    n.resume(0, true, 0x101);

    expect(outcomes(n, 0, 1)).toEqual(['stalled', 'done']);
    expect(refusals(n)).toEqual([]);
  });

  test('ends with all of its stream by CMD_STALL_TERM', () => {
    const n = world();
    start(n, 0, 1);
    start(n, 1, 2);

    n.smmu.submit(0x45n | (0x100n << 32n));

    expect(outcomes(n, 0, 1)).toEqual(['unsupportedRequest', 'unsupportedRequest']);
  });

  test('ends when the unit is switched off', () => {
    const n = world();
    start(n, 0, 1);

    n.smmu.write32(REG.cr0, CMDQEN | EVENTQEN);

    expect(outcomes(n, 0)).toEqual(['unsupportedRequest']);
  });

  test('is a fault where no place for it is left', () => {
    const n = world({ 'stall-max': 2 });

    expect([start(n, 0, 1), start(n, 1, 2), start(n, 2, 3)]).toEqual([
      'stalled',
      'stalled',
      'unsupportedRequest',
    ]);
    expect(n.smmu.event(2)).toEqual([0x0000_0100_0000_0010n, 0x0000_0200_0000_0000n, 0x3008n, 0n]);
  });

  test('leaves room when it has gone', () => {
    const n = world({ 'stall-max': 1 });
    start(n, 0, 1);
    n.resume(0, false);
    n.settle();

    expect(start(n, 1, 2)).toBe('stalled');
  });

  test('has ended when its stream is aborted and terminated, and its tag is not that of the next one', () => {
    const n = world();
    start(n, 0, 1);
    n.unbind();
    n.smmu.submit(0x45n | (0x100n << 32n));
    const first = outcomes(n, 0);
    n.stream();
    start(n, 1, 2);

    n.resume(0, true);

    expect([first, outcomes(n, 1)]).toEqual([['unsupportedRequest'], ['stalled']]);
    expect(refusals(n)).toEqual([]);
  });

  test('goes with its device; an answer that comes later is nobody’s', () => {
    const n = world();
    start(n, 0, 1);

    n.machine.unplug('svm');
    n.settle();
    n.smmu.submit(0x44n | (1n << 12n) | (0x100n << 32n), 0);

    expect(n.smmu.stopped[0]).toBe(0);
    expect(refusals(n)).toEqual([]);
  });

  test('without the function’s consent is a fault, as ever', () => {
    const n = world();

    n.frames.start(0, { ...store(1), control: {} });

    expect(outcomes(n, 0)).toEqual(['unsupportedRequest']);
    expect(n.smmu.event(0)[1]! & 0x8000_0000n).toBe(0n);
  });
});

describe('an assigned device whose bus is numbered anew', () => {
  test('loses what was held for it: the guest ends it under the old StreamID, and the next one has the new', () => {
    const n = new NestedSmmu();
    start(n, 0, 1);

    n.renumber(2);
    n.stream();
    const first = outcomes(n, 0);
    // Nobody has this tag any more at the host.
    n.resume(0, true, 0x100);
    start(n, 1, 2);

    expect(first).toEqual(['unsupportedRequest']);
    expect(n.smmu.event(1).slice(0, 3)).toEqual([0x0000_0200_0000_0010n, 0x0000_0200_8000_0001n, 0x2008n]);
    n.map(2, DATA);
    n.resume(1, true, 0x200);
    expect(outcomes(n, 1)).toEqual(['done']);
    expect(refusals(n)).toEqual([]);
  });

  test('is told of faults under the new StreamID from the first one on', () => {
    const n = new NestedSmmu();
    n.renumber(3);
    n.stream();

    n.frames.start(0, { ...store(1), control: {} });
    n.settle();

    expect(n.smmu.read32(EVENTQ_PROD)).toBe(1);
    expect(n.smmu.event(0)[0]).toBe(0x0000_0300_0000_0010n);
  });
});
