import { expect, test } from 'vitest';
import { RESET } from '../../oracle/vtd/types.ts';
import { QIE, REG, VtdBench } from './vtd-bench.ts';

const RAM = 0x100_0000n;

test('the very last entry of memory can be a paging entry', () => {
  const bench = new VtdBench({ 'aw-bits': 39, cache: 'none' }, Number(RAM));
  const last = RAM - 0x1000n;
  bench.store(0x1000n, 0x2001n);
  bench.store(0x2088n, 0x101n);
  bench.store(0x2080n, 0x3001n);
  bench.store(0x3000n, 0x4003n);
  bench.store(0x4000n, last | 3n);
  bench.store(RAM - 8n, 0x5003n);
  bench.program({ ...RESET, te: true, rootTable: 0x1000n });
  const seen = bench.request({ sid: 8, at: 0, access: 'write', iova: 0x1f_f010n, length: 4 });
  expect(seen).toMatchObject({ kind: 'ok', gpa: 0x5010n });
});

test('an index-selective invalidation drops 2^IM interrupt entries and no other', () => {
  const bench = new VtdBench({}, Number(RAM));
  const vectorOf = (index: number) => {
    bench.message(8, 0xfee0_0010n | BigInt(index << 5), 0, 4);
    return bench.interrupts.splice(0)[0]?.vector;
  };
  for (let i = 0; i < 16; i++) bench.store(0x1_0000n + BigInt(i * 16), 0x30_0001n);
  bench.program({ ...RESET, ire: true, irTable: 0x1_0000n, irSize: 7 });
  bench.write64(REG.IQA, 0x8000n);
  bench.command(QIE);
  for (let i = 0; i < 16; i++) vectorOf(i);
  for (let i = 0; i < 16; i++) bench.store(0x1_0000n + BigInt(i * 16), 0x40_0001n);
  // Type 4, G = index, IM = 2, IIDX = 8.
  bench.store(0x8000n, 0x8_1000_0014n);
  bench.write64(REG.IQT, 0x10n);
  expect(Array.from({ length: 16 }, (_, i) => vectorOf(i))).toEqual([
    ...new Array<number>(8).fill(0x30),
    ...new Array<number>(4).fill(0x40),
    ...new Array<number>(4).fill(0x30),
  ]);
});

/** A queue at 8000h with one descriptor. */
function queued(lo: bigint, hi: bigint): VtdBench {
  const bench = new VtdBench({}, Number(RAM));
  bench.write64(REG.IQA, 0x8000n);
  bench.command(QIE);
  bench.store(0x8000n, lo);
  bench.store(0x8008n, hi);
  bench.write64(REG.IQT, 0x10n);
  return bench;
}

test.each([
  ['bit 64', 1n],
  ['bit 96', 1n << 32n],
  ['bit 127', 1n << 63n],
])('a context-cache descriptor with %s set stops the queue with a reserved-field error', (_, hi) => {
  const bench = queued(0x11n, hi);
  expect(bench.read32(REG.FSTS) & 0x10).toBe(0x10);
  expect(bench.read64(0xb0)).toBe(4n);
  expect(bench.read64(REG.IQH)).toBe(0n);
});

test('a queue in error stays stopped until software clears the error, then goes on from its head', () => {
  const bench = queued(0xfn, 0n);
  // The bad descriptor becomes a wait that writes 77h to 9000h.
  bench.store(0x8000n, (0x77n << 32n) | 0x25n);
  bench.store(0x8008n, 0x9000n);
  bench.write64(REG.IQT, 0x10n);
  const before = bench.load(0x9000n);
  bench.write32(REG.FSTS, 0x10);
  expect([before, bench.load(0x9000n)]).toEqual([0n, 0x77n]);
});
