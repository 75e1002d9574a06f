import { describe, expect, test } from 'vitest';
import type { SavedUnit } from '../../../vmm/state/define.ts';
import { Process } from '../../../vmm/vcpu/process/process.ts';
import { processesUnit } from '../../../vmm/vcpu/process/state.ts';
import { ROOT, userGuest } from '../../kit/user-guest.ts';

const KERNEL = '(module (memory (export "memory") 2) (func (export "main")))';
const PROGRAM = '(module (memory 1) (global (mut i32) (i32.const 5)) (func (export "_start")))';
const device = { read: () => 0, write: () => {} };

const guest = () => userGuest(KERNEL, PROGRAM, device).processes;

/** A suspended process with a stale translation, as JSON would carry it. */
function saved(): SavedUnit {
  const processes = guest();
  const process = new Process(3, processes.images[0]!, ROOT, 0, 4);
  processes.restore(process);
  process.state = 'suspended';
  process.pasid = 0x80000007;
  process.frames = Uint8Array.of(1, 2, 3, 4);
  process.resume = { kind: 'result', value: -11 };
  process.bulkDone = 99;
  process.tlb.set(0x10, 0x300000 | 7, 0);
  processes.syscallEntry = 1;
  return JSON.parse(JSON.stringify(processesUnit(processes).save())) as SavedUnit;
}

function withField(field: string, value: unknown): SavedUnit {
  const unit = saved();
  const body = unit.body as { list: Record<string, unknown>[] };
  body.list[0]![field] = value;
  return unit;
}

describe('processes in a snapshot', () => {
  test('come back with their call stacks, results to come and stale translations', () => {
    const processes = guest();

    processesUnit(processes).load(saved());

    const [process] = processes.list;
    expect(process).toMatchObject({
      ...{ pid: 3, rootLo: ROOT, levels: 4, state: 'suspended', pasid: 0x80000007, bulkDone: 99 },
      resume: { kind: 'result', value: -11 },
      frames: Uint8Array.of(1, 2, 3, 4),
    });
    expect(process!.tlb.entries()).toEqual([{ page: 0x10, lo: 0x300007, hi: 0 }]);
    expect(processes.syscallEntry).toBe(1);
    expect(processesUnit(processes).save()).toEqual(saved());
  });

  test.each([
    ['program', 'other', "is of a program 'other', which the guest does not carry"],
    ['state', 'running', "has the unknown state 'running'"],
    ['pid', 0, 'has the bad pid 0'],
    ['levels', 3, 'has tables of 3 levels'],
    ['frames', 'zz', 'has a bad call stack'],
    ['frames', '00'.repeat(256 * 1024 + 1), 'has a bad call stack'],
    ['globals', [], 'the saved processor has other globals'],
  ])('are refused with a bad %s', (field, value, why) => {
    expect(() => processesUnit(guest()).load(withField(field, value))).toThrow(why);
  });
});
