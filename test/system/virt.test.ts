import { describe, expect, test } from 'vitest';
import { runC } from '../kit/run-c.ts';

describe('one source on both machines', () => {
  test.each([
    ['q35', 7],
    ['virt', 11],
  ] as const)('interrupts of edu on %s without IOMMU', async (machine, points) => {
    const ran = await runC('test/guests/interrupts.c', { config: { machine, viommu: null } });

    expect(ran.failed, ran.console).toEqual([]);
    expect(ran.points, ran.console).toHaveLength(points);
  });
});

test('DMA through the SMMU by the SDK driver', async () => {
  const ran = await runC('test/guests/smmu-dma.c', { config: { machine: 'virt' } });

  expect(ran.failed, ran.console).toEqual([]);
  expect(ran.points, ran.console).toHaveLength(18);
});

test('processes have heaps, forks and faults with VMSAv8-64 tables', async () => {
  const ran = await runC('guest/examples/processes/processes.c', {
    config: { machine: 'virt', viommu: null },
  });

  expect(ran.end, ran.console).toMatchObject({ kind: 'exit', status: 0 });
  expect(ran.failed, ran.console).toEqual([]);
});

test('the process kernel of q35 runs, preempted by the generic timer; the access marks of x86 are not there', async () => {
  const ran = await runC('test/system/guests/process-kernel.c', {
    config: { machine: 'virt', viommu: null },
  });

  expect(ran.points, ran.console).toHaveLength(57);
  expect(ran.failed, ran.console).toEqual([
    'not ok 30 - a read marks it accessed',
    'not ok 31 - a write marks it dirty',
  ]);
});

test('processes share their memory with a device: the SVM guest of q35, with page requests', async () => {
  const ran = await runC('guest/examples/svm/svm.c', {
    config: { machine: 'virt' },
    viommu: { svm: true },
    devices: [['dsa', { delay_ns: 20000 }]],
  });

  expect(ran.failed, ran.console).toEqual([]);
  expect(ran.end, ran.console).toMatchObject({ kind: 'exit', status: 0 });
});

test('recursion on virt ends at the end of the stack, not in the statics', async () => {
  const ran = await runC('test/guests/deep-stack.c', { config: { machine: 'virt', viommu: null } });

  expect(ran.end).toMatchObject({ kind: 'crash' });
  expect(JSON.stringify(ran.end)).toContain('stack overflow: the C stack is used up');
});
