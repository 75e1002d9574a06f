import { describe, expect, test } from 'vitest';
import { LINE_RETRY, type MmioHandler } from '../../../vmm/bus/mmio.ts';
import { bareGuest } from '../../kit/guest.ts';

const IMPORTS = `
  (import "tsvmm" "movdir64b" (func $movdir64b (param i64 i32)))
  (import "tsvmm" "enqcmds" (func $enqcmds (param i64 i32) (result i32)))`;

function withPortal(body: string, line?: MmioHandler['line']) {
  const g = bareGuest(
    `(module ${IMPORTS} (memory (export "memory") 2)
      (data (i32.const 1024) "\\05\\00\\00\\00\\06\\00\\00\\00")
      (func (export "main") (result i32) ${body}))`,
  );
  const writes: number[][] = [];
  const handler: MmioHandler = {
    read: () => 0,
    write: (offset, size, lo, hi) => void writes.push([offset, size, lo, hi]),
    ...(line === undefined ? {} : { line }),
  };
  g.mmio.add({ name: 'portal', base: 0xfe000000, size: 0x1000, handler });
  return { run: () => g.vcpu.run('main'), writes };
}

const MOVE = '(call $movdir64b (i64.const 0xfe000040) (i32.const 1024)) (i32.const 9)';
const ENQUEUE = '(call $enqcmds (i64.const 0xfe000080) (i32.const 1024))';

describe('a 64-byte store', () => {
  test('reaches a device that takes lines as one posted write', () => {
    const seen: unknown[] = [];
    const g = withPortal(MOVE, (offset, words, deferrable) => {
      seen.push([offset, words[0], words[1], words[15], deferrable]);
      return LINE_RETRY;
    });

    expect(g.run()).toEqual({ kind: 'exit', status: 9 });
    expect(seen).toEqual([[0x40, 5, 6, 0, false]]);
  });

  test('reaches other devices as eight 8-byte writes', () => {
    const g = withPortal(MOVE);

    g.run();

    expect(g.writes.slice(0, 2)).toEqual([
      [0x40, 8, 5, 6],
      [0x48, 8, 0, 0],
    ]);
    expect(g.writes.length).toBe(8);
  });

  test('to an address that is no multiple of 64 ends the guest', () => {
    const g = withPortal('(call $movdir64b (i64.const 0xfe000041) (i32.const 1024)) (i32.const 9)');

    expect(g.run()).toMatchObject({ kind: 'crash', reason: expect.stringContaining('multiple of 64') });
  });
});

describe('an enqueue command', () => {
  test.each([
    ['taken', 0, 0],
    ['to be tried again', 1, 1],
    ['refused', 2, 1],
  ])('that is %s', (_what, answer, status) => {
    const g = withPortal(ENQUEUE, () => answer);

    expect(g.run()).toEqual({ kind: 'exit', status });
  });

  test('to a device without enqueue registers is not taken and writes nothing', () => {
    const g = withPortal(ENQUEUE);

    expect([g.run(), g.writes]).toEqual([{ kind: 'exit', status: 1 }, []]);
  });

  test('with a reserved bit of its command ends the guest, as a general-protection fault', () => {
    const g = withPortal(`(i32.store (i32.const 1024) (i32.const 0x100000)) ${ENQUEUE}`);

    expect(g.run()).toMatchObject({ kind: 'crash', reason: expect.stringContaining('bits 30:20') });
  });
});
