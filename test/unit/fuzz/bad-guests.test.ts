import { expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { BadGuest } from '../../kit/bad-guest.ts';
import { guardedRam } from '../../kit/guarded-ram.ts';

// TSVMM_FUZZ: how many operations in all; TSVMM_SEED: where to start.
const OPERATIONS = Number(process.env['TSVMM_FUZZ'] ?? 500_000);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
const RAM = 16 << 20;
/** Turned-over tables stay so: now and then everything is made anew. */
const LIFE = 10_000;

const UNITS: readonly Partial<VtdConfig>[] = [
  {},
  { 'caching-mode': true, invalidation: 'async' },
  { cache: 'none', 'aw-bits': 57, 'pasid-bits': 8 },
];

/** Runs guests one after the other; faults, descriptors, page requests, and bytes written where no RAM is. */
function torment(options: Partial<VtdConfig>, operations: number, seed: number, ram: () => GuestRam) {
  const seen = { faults: 0, submitted: 0, requested: 0, stray: 0, left: 0 };
  for (let done = 0; done < operations; done += LIFE) {
    const memory = ram();
    const guest = new BadGuest(seed + done, options, memory);
    for (let n = 0; n < LIFE; n++) {
      guest.step();
      seen.faults += guest.vtd.faults.length;
      guest.vtd.faults.length = 0;
    }
    seen.submitted += guest.submitted;
    seen.requested += guest.requested;
    seen.left += guest.stop();
    seen.stray += guest.strayMemory(new Uint8Array(memory.memory.buffer));
  }
  return seen;
}

test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
  'bad tables, descriptors and registers of an accelerator and an SVM engine end in faults and errors: $name',
  ({ options, i }) => {
    const operations = Math.ceil(OPERATIONS / UNITS.length);
    const seed = SEED + i * 0x1000000;
    const seen = torment(options, operations, seed, () => new GuestRam(0, RAM));
    console.log(
      `${JSON.stringify(options)}: ${operations} operations from seed ${seed}: ${JSON.stringify(seen)}`,
    );
    expect(seen).toMatchObject({ stray: 0, left: 0 });
    // Otherwise the devices slept through it.
    expect(seen.faults).toBeGreaterThan(operations / 100);
    expect(seen.submitted).toBeGreaterThan(operations / 10);
    expect(seen.requested).toBeGreaterThan(operations / 1000);
  },
  3_600_000,
);

test('no index of guest memory is ever outside RAM', () => {
  const operations = Math.max(LIFE, OPERATIONS / 60);
  const seen = torment({}, operations, SEED + 0x7000000, () => guardedRam(RAM));
  expect(seen).toMatchObject({ left: 0 });
}, 3_600_000);
