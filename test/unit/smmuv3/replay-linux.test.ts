import { describe, expect, test } from 'vitest';
import { READ, WRITE } from '../../../vmm/bus/dma.ts';
import { SmmuRegisterLog } from '../../kit/smmu-register-log.ts';

const RUNS = [
  ['g3a-smmu-s1-strict', 'spec', { reads: 345, dmas: 288, events: 52 }],
  ['g3a-smmu-s1-strict', 'qemu', { reads: 345, dmas: 288, events: 52 }],
  ['g3d-smmu-nested-hw-lazy', 'spec', { reads: 103, dmas: 288, events: 62 }],
  ['g3d-smmu-nested-hw-lazy', 'qemu', { reads: 103, dmas: 288, events: 62 }],
] as const;

describe.each(RUNS)('what the arm-smmu-v3 driver of Linux did: %s, profile %s', (run, profile, counts) => {
  test('every read gives what Linux got, every DMA arrives where Linux had it, or is the same event', () => {
    const log = new SmmuRegisterLog(run, profile);

    log.run();

    expect(log.differences).toEqual([]);
    expect(log).toMatchObject(counts);
  });

  test('every page of its tables is reached, for reading and writing as it is mapped', () => {
    const log = new SmmuRegisterLog(run, profile);
    log.run('vfio-mapped-before-dma');

    const wrong = log.maps.filter(([sid, iova, gpa, r, w]) => {
      const port = log.machine.port(sid);
      const read = log.reached(port, iova, READ);
      const written = log.reached(port, iova, WRITE);
      return read !== (r ? gpa : undefined) || written !== (w ? gpa : undefined);
    });

    expect(log.maps.length).toBeGreaterThan(850);
    expect(wrong).toEqual([]);
  });
});

test('a stream that Linux left to abort reaches nothing, without an event', () => {
  const log = new SmmuRegisterLog('g3a-smmu-s1-strict', 'spec');
  log.run('vfio-mapped-before-dma');

  expect(log.reached(log.machine.port(1), '0x1000', READ)).toBeUndefined();
  expect(log.machine.read32(0x100a8)).toBe(0);
});

test('a table that differs is noticed', () => {
  const log = new SmmuRegisterLog('g3a-smmu-s1-strict', 'spec');
  log.run('vfio-mapped-before-dma');
  const [sid, iova, gpa] = log.maps[0]!;
  // Level 1 of the stream table.
  log.machine.store(0x44bca000, 0n);

  expect(log.reached(log.machine.port(sid), iova, READ)).not.toBe(gpa);
});
