import { describe, expect, test } from 'vitest';
import { IQEI_TEXT } from '../../viommu/spec/vtd/descriptors.ts';
import { FAULT_REASONS, faultCodeText } from '../../viommu/spec/vtd/faults.ts';
import { PROBE } from '../kit/probe-device.ts';
import { type RanC, type RunC, runC } from '../kit/run-c.ts';

const plugin = { name: 'test', devices: [PROBE] };
const devices = [
  ['iommu-testdev'],
  ['edu', { dma_mask: '0xffffffffffffffff', dma_delay_ns: 100 }],
  ['probe'],
] as const;

const GUESTS: Readonly<Record<string, RunC>> = {
  'vtd-faults': { plugin, devices, viommu: { 'device-iotlb': true } },
  'vtd-faults-ir': { plugin, devices, viommu: { eim: true } },
  'vtd-scalable-faults': { devices: [['svm-engine']], viommu: { svm: true, 'abort-dma': true } },
  'vtd-scalable-absent': {
    devices: [['svm-engine']],
    viommu: {
      'scalable-mode': true,
      nested: true,
      'pasid-bits': 20,
      'device-iotlb': true,
      'page-requests': true,
    },
  },
  'vtd-scalable-queue': { devices: [['svm-engine']], viommu: { svm: true } },
  'vtd-reporting': {
    devices: [['iommu-testdev'], ['iommu-testdev'], ['iommu-testdev'], ['iommu-testdev']],
    viommu: { 'device-iotlb': true, 'fault-records': 3 },
  },
};

/** Guests whose test points begin with the code that they assert. */
const CODES = ['vtd-faults', 'vtd-faults-ir', 'vtd-scalable-faults', 'vtd-scalable-absent'];

const runs = new Map<string, Promise<RanC>>();

function ran(name: string): Promise<RanC> {
  const run = runs.get(name) ?? runC(`test/guests/${name}.c`, GUESTS[name]);
  runs.set(name, run);
  return run;
}

/** What test points are about: their names start with it, `05h ...` or `IQEI 3 ...`. */
function covered(points: readonly string[], pattern: RegExp): string[] {
  const found = points.map((point) => pattern.exec(point)?.[1]).filter((code) => code !== undefined);
  return [...new Set(found)].sort();
}

describe.each(Object.keys(GUESTS))('%s.c', (name) => {
  test('passes every point', async () => {
    const { failed, end, points, report } = await ran(name);

    expect({ failed, end, report }).toEqual({
      failed: [],
      end: { kind: 'exit', status: 0 },
      report: undefined,
    });
    expect(points.length).toBeGreaterThan(12);
  });
});

/** Codes that have a place in the specification, that no guest can cause here and that are not in the table of faults. */
const NEVER: Readonly<Record<string, string>> = {
  '7Dh': 'an atomic update of second-stage bits fails: RAM takes every one',
  '88h': 'no public source says when',
  '89h': 'no public source says when',
  '91h': 'an atomic update of first-stage bits fails: RAM takes every one',
};

test('every fault code the model can report is asserted by a guest with its record', async () => {
  const guests = await Promise.all(CODES.map(ran));
  const codes = FAULT_REASONS.map((r) => faultCodeText(r.code));

  expect(
    covered(
      guests.flatMap((guest) => guest.points),
      /^ok \d+ - ([0-9A-F]{2}h) /,
    ),
  ).toEqual(codes.sort());
  expect(codes.filter((code) => NEVER[code] !== undefined)).toEqual([]);
});

test('every error code of the invalidation queue is asserted by a guest', async () => {
  const guests = await Promise.all(['vtd-reporting', 'vtd-scalable-queue'].map(ran));
  const points = guests.flatMap((guest) => guest.points);

  expect(covered(points, /^ok \d+ - IQEI (\d) /)).toEqual(Object.keys(IQEI_TEXT));
});

test('what FPD hides is what the table calls qualified', async () => {
  const guests = await Promise.all(CODES.map(ran));

  expect(
    covered(
      guests.flatMap((guest) => guest.points),
      /^ok \d+ - FPD hides ([0-9A-F]{2}h)/,
    ),
  ).toEqual(
    FAULT_REASONS.filter((r) => r.qualified)
      .map((r) => faultCodeText(r.code))
      .sort(),
  );
});

test('each fault is explained, with what was read on the way', async () => {
  const { faults } = await ran('vtd-faults');

  const unread = faults.filter((fault) => fault.steps.length === 0).map((fault) => fault.code);
  expect(faults.length).toBeGreaterThan(60);
  expect([...new Set(unread)].sort()).toEqual(['08h', '0Eh', '30h', '31h']);
});
