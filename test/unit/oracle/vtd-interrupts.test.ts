import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { type InterruptOutcome, type InterruptRequest, remap } from '../../oracle/vtd/interrupt.ts';
import { type Fetcher, RESET, type Registers } from '../../oracle/vtd/types.ts';
import { random64 } from './random-tables.ts';
import { VtdBench } from './vtd-bench.ts';

const CASES = Number(process.env['TSVMM_ORACLE_CASES'] ?? 1200);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
const RAM = 0x100_0000;
const TABLE = 0x10000n;
const SIDS = [0x10, 0x13, 0xf8, 0x108, 0x2f0] as const;
/** FI 63:48, the interrupt index. */
const INDEX = 0xffff_0000_0000_0000n;

const UNITS: readonly Partial<VtdConfig>[] = [
  { cache: 'none' },
  { cache: 'none', eim: true },
  { cache: 'normal', eim: true, 'caching-mode': true },
];

function pick<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.below(list.length)]!;
}

/** An IRTE, mostly good for one of the requesters. */
function irte(rng: Rng, eime: boolean): readonly [bigint, bigint] {
  const destination = eime ? rng.next() : rng.below(256) << 8;
  let lo = 1n | (BigInt(pick(rng, [0, 1, 2, 4, 5, 7])) << 5n) | (BigInt(rng.below(256)) << 16n);
  lo |= (BigInt(rng.below(256)) & 0x1cn) | (BigInt(rng.below(16)) << 8n) | (BigInt(destination >>> 0) << 32n);
  if (rng.below(4) === 0) lo |= 2n;
  if (rng.below(12) === 0) lo &= ~1n;
  const sid = rng.below(4) === 0 ? (pick(rng, SIDS) & 0xff00) | rng.below(8) : pick(rng, SIDS);
  let hi = BigInt(sid) | (BigInt(rng.below(4)) << 16n) | (BigInt(rng.below(3)) << 18n);
  if (rng.below(10) === 0) lo |= 1n << BigInt(pick(rng, [12, 13, 14, 15, 24, 31, 33, 55]));
  if (rng.below(10) === 0) hi |= 1n << BigInt(pick(rng, [19, 20, 40, 63]));
  return [lo, hi];
}

function request(rng: Rng, size: number): InterruptRequest {
  const index = rng.below(8) === 0 ? rng.below(65536) : rng.below(size + 2);
  const subhandle = rng.below(3) === 0 ? rng.below(4) : 0;
  const handle = Math.max(index - subhandle, 0) & 0xffff;
  const remappable = rng.below(5) !== 0;
  let address = 0xfee0_0000n | BigInt((handle & 0x7fff) << 5) | BigInt((handle >> 15) << 2);
  if (remappable) address |= 0x10n;
  if (subhandle > 0 && remappable) address |= 8n;
  let data = subhandle > 0 ? subhandle : rng.below(3) === 0 ? rng.below(65536) : 0;
  if (rng.below(15) === 0) data |= 1 << (16 + rng.below(16));
  return {
    sid: rng.below(6) === 0 ? rng.below(65536) : pick(rng, SIDS),
    at: 0,
    address,
    data: data >>> 0,
    length: 4,
  };
}

function expectedText(o: InterruptOutcome): string {
  if (o.kind === 'deliver') return `${o.vector} ${o.mode} ${o.logical} ${o.destination} ${o.level}`;
  const record = o.indexValid ? o.record : o.record & ~INDEX;
  return `fault ${o.code.toString(16)} ${o.recorded ? record.toString(16) : 'withheld'}`;
}

function observedText(bench: VtdBench, r: InterruptRequest, indexValid: boolean): string {
  bench.message(r.sid, r.address, r.data, r.length);
  const [sent] = bench.interrupts.splice(0);
  const [fault] = bench.faults;
  const record = bench.record(0);
  bench.clearFaults();
  if (sent !== undefined)
    return `${sent.vector} ${sent.mode} ${sent.logical} ${sent.destination} ${sent.level}`;
  if (fault === undefined) return 'nothing';
  const shown = indexValid ? record : record & ~INDEX;
  return `fault ${Number.parseInt(fault.code, 16).toString(16)} ${record >> 127n === 1n ? shown.toString(16) : 'withheld'}`;
}

function runCase(bench: VtdBench, rng: Rng, report: (line: string) => void): void {
  const eime = bench.config.eim && rng.below(2) === 0;
  const irSize = rng.below(4) === 0 ? 15 : rng.below(8);
  const outside = rng.below(20) === 0;
  const regs: Registers = {
    ...RESET,
    ire: rng.below(12) !== 0,
    cfi: rng.below(2) === 0,
    eime,
    irTable: outside ? BigInt(RAM) - 0x1000n : TABLE,
    irSize,
  };
  const memory = new Map<bigint, bigint>();
  const size = Math.min(2 ** (irSize + 1), 64);
  for (let i = 0; i < size; i++) {
    const [lo, hi] = irte(rng, eime);
    memory.set(TABLE + BigInt(i * 16), lo);
    memory.set(TABLE + BigInt(i * 16 + 8), hi);
  }
  for (const [gpa, value] of memory) bench.store(gpa, value);
  bench.program(regs);
  invalidateAll(bench);
  const fetch: Fetcher = ({ gpa }, n) =>
    gpa + BigInt(n * 8) > BigInt(RAM)
      ? undefined
      : Array.from({ length: n }, (_, i) => memory.get(gpa + BigInt(i * 8)) ?? 0n);
  for (let i = 0; i < 16; i++) {
    const r = request(rng, size);
    const expected = remap(bench.unit, regs, fetch, r);
    const got = observedText(bench, r, expected.kind === 'deliver' || expected.indexValid);
    if (got !== expectedText(expected))
      report(
        `${JSON.stringify({ ...r, address: r.address.toString(16) })}: expected ${expectedText(expected)}, got ${got}`,
      );
  }
  for (const gpa of memory.keys()) bench.store(gpa, 0n);
}

/** A global interrupt-entry cache invalidation through a queue of its own. */
function invalidateAll(bench: VtdBench): void {
  bench.store(0x8000n, 4n);
  bench.store(0x8008n, 0n);
  bench.write64(0x90, 0x8000n);
  bench.write64(0x88, 0n);
  bench.command(0x04000000);
  bench.write64(0x88, 0x10n);
  bench.write32(0x18, (bench.read32(0x1c) & 0x96ffffff & ~0x04000000) >>> 0);
}

describe('interrupt remapping against the oracle', () => {
  test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
    'every delivery and fault record is the expected one: $name',
    ({ options, i }) => {
      const bench = new VtdBench(options, RAM);
      const problems: string[] = [];
      for (let n = 0; n < CASES / UNITS.length && problems.length < 5; n++) {
        const seed = SEED + n * 16 + i;
        runCase(bench, new Rng(seed), (line) => problems.push(`seed ${seed}: ${line}`));
      }
      expect(problems).toEqual([]);
    },
    120_000,
  );
});

test('random quadwords are spread over all 64 bits', () => {
  const rng = new Rng(1);
  let all = 0n;
  for (let i = 0; i < 64; i++) all |= random64(rng);
  expect(all).toBe(0xffff_ffff_ffff_ffffn);
});
