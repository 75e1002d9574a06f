import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { compareDma, type Verdict } from '../../oracle/vtd/compare.ts';
import {
  RAM_END,
  type RecordedCase,
  type RecordedDma,
  type ReplayedDma,
  type Segment,
} from '../../oracle/vtd/replay.ts';
import type { Outcome, Request } from '../../oracle/vtd/types.ts';
import { REG, VtdBench } from './vtd-bench.ts';

// TSVMM_RECORDINGS: another file of cases in the same form.
const FILE =
  process.env['TSVMM_RECORDINGS'] ?? new URL('../../fixtures/vtd/legacy-cases.jsonl', import.meta.url);
const CASES = readFileSync(FILE, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as RecordedCase);

/** The options of a recorded unit as options of ours; the names are the same. */
function configOf(iommu: string): Partial<VtdConfig> {
  const given = new Map(iommu.split(',').map((o) => o.split('=') as [string, string]));
  return {
    'aw-bits': Number(given.get('aw-bits')) as 39 | 48,
    'caching-mode': given.get('caching-mode') === 'on',
    'device-iotlb': given.get('device-iotlb') === 'on',
    'snoop-control': given.get('snoop-control') === 'on',
    intremap: given.get('intremap') === 'on',
  };
}

/** Guest memory of the size the recordings had; one for all cases, because it is large. */
const benches = new Map<string, VtdBench>();
function benchFor(recorded: RecordedCase): VtdBench {
  let bench = benches.get(recorded.qemu.iommu);
  if (bench === undefined) {
    bench = new VtdBench(configOf(recorded.qemu.iommu), Number(RAM_END));
    benches.set(recorded.qemu.iommu, bench);
  }
  bench.iommu.device.reset('cold');
  return bench;
}

function replayDma(bench: VtdBench, step: RecordedDma): ReplayedDma {
  const segments: Segment[] = [];
  let iova = BigInt(step.iova);
  let left = step.len;
  while (left > 0) {
    const bytes = Math.min(left, 4096 - Number(iova & 0xfffn));
    const request: Request = { sid: Number(step.sid), at: 0, access: step.access, iova, length: bytes };
    const seen = bench.request(request);
    if (seen.kind !== 'ok') return { segments, end: endOf(bench) };
    segments.push({ iova, bytes, gpa: seen.gpa });
    iova += BigInt(bytes);
    left -= bytes;
  }
  return { segments, end: undefined };
}

function endOf(bench: VtdBench): Outcome {
  const fault = bench.faults.at(-1);
  if (fault === undefined) return { kind: 'blocked' };
  return {
    kind: 'fault',
    code: Number.parseInt(fault.code, 16),
    // Merged with a pending record is recorded all the same.
    recorded: fault.note !== 'fault processing disabled',
    record: bench.record(0),
    at: 'request',
    present: true,
  };
}

/** The recorded unit invalidates more than asked and says so in CAIG and IAIG; ours does what it is asked. */
function sameRegister(offset: number, ours: bigint, theirs: bigint): boolean {
  const granularity = offset === REG.CCMD ? 3n << 59n : offset === REG.IOTLB ? 3n << 57n : 0n;
  if (granularity !== 0n && ((ours & granularity) === 0n) !== ((theirs & granularity) === 0n)) return false;
  return (ours & ~granularity) === (theirs & ~granularity);
}

/** Runs a case on the model; returns what happened and where registers or memory differ from the recording. */
function run(recorded: RecordedCase, tell: (verdict: Verdict, step: RecordedDma) => void): string[] {
  const bench = benchFor(recorded);
  const touched = new Set<bigint>();
  const store = (writes: readonly (readonly [string, string])[]) => {
    for (const [gpa, value] of writes) {
      bench.store(BigInt(gpa), BigInt(value));
      touched.add(BigInt(gpa));
    }
  };
  const differences: string[] = [];
  // Where faults are left pending on purpose, one that only we reported changes every later FSTS.
  let pendingDiffers = false;
  store(recorded.mem);
  for (const step of recorded.steps) {
    const at = `case ${recorded.id}: ${JSON.stringify(step)}`;
    if (step.op === 'mem') store(step.w);
    else if (step.op === 'w') {
      if (step.size === 8) bench.write64(Number(step.off), BigInt(step.val));
      else bench.write32(Number(step.off), Number(step.val));
    } else if (step.op === 'r') {
      const offset = Number(step.off);
      const got = step.size === 8 ? bench.read64(offset) : BigInt(bench.read32(offset));
      const known = pendingDiffers && offset === REG.FSTS;
      if (!known && !sameRegister(offset, got, BigInt(step.val)))
        differences.push(`${at}: we read 0x${got.toString(16)}`);
    } else if (step.op === 'memread') {
      const got = bench.load(BigInt(step.gpa));
      touched.add(BigInt(step.gpa));
      if (got !== BigInt(step.val)) differences.push(`${at}: memory holds 0x${got.toString(16)}`);
    } else {
      const verdict = compareDma(recorded, step, replayDma(bench, step));
      tell(verdict, step);
      bench.faults.length = 0;
      pendingDiffers ||= verdict !== 'agree' && recorded.category.includes('fault-overflow');
      // A fault that only we reported must not stand in the way of the next one.
      if (step.cleared || verdict !== 'agree') bench.clearFaults();
    }
  }
  for (const gpa of touched) bench.store(gpa, 0n);
  return differences;
}

describe('the unit against recordings of QEMU, by its registers and memory', () => {
  test('capabilities are the recorded ones', () => {
    for (const recorded of CASES) {
      const bench = benchFor(recorded);
      expect(bench.read64(REG.CAP)).toBe(BigInt(recorded.qemu.regs['CAP']!));
      expect(bench.read64(REG.ECAP)).toBe(BigInt(recorded.qemu.regs['ECAP']!));
    }
  });

  test('data, faults, records, registers and status writes differ only for the listed reasons', () => {
    const counts: Partial<Record<Verdict, number>> = {};
    const differences: string[] = [];
    for (const recorded of CASES) {
      const found = run(recorded, (verdict, step) => {
        counts[verdict] = (counts[verdict] ?? 0) + 1;
        if (verdict === 'unexplained') differences.push(`case ${recorded.id}: ${JSON.stringify(step)}`);
      });
      differences.push(...found);
    }
    console.log(`recorded DMA requests: ${JSON.stringify(counts)}`);
    expect(differences).toEqual([]);
  });
});
