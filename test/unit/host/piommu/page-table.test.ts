import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HostKernel } from '../../../../vmm/host/iommufd/host-kernel.ts';
import { PageTable, shapeOf } from '../../../../vmm/host/piommu/page-table.ts';
import { PhysicalMemory } from '../../../../vmm/host/piommu/physical-memory.ts';
import { blockOf } from '../../../../vmm/host/piommu/ranges.ts';
import { VMSA_SECOND, VTD_FIRST, VTD_SECOND, vmsaFirst } from '../../../../vmm/host/piommu/table-formats.ts';
import { TagIds } from '../../../../vmm/host/piommu/tag-ids.ts';
import { GuestRam } from '../../../../vmm/mem/ram.ts';
import { runs } from '../../../kit/runs.ts';

const RW = { read: true, write: true };
const FORMATS = [VTD_SECOND, VTD_FIRST, vmsaFirst(true), VMSA_SECOND];

function world(format = VTD_SECOND, shape = { levels: 4, top: 1 }, largest = 2) {
  const kernel = new HostKernel();
  const memory = new PhysicalMemory(new GuestRam(0, 65536, 0, false, 8 << 20), kernel);
  return { kernel, memory, table: new PageTable(memory, format, shape, largest) };
}

describe('page tables of the host', () => {
  test('pages are as large as both addresses and the length allow', () => {
    const { table } = world();
    table.map(0x40000, 0x80000, 0x40000 + 0x200 + 1, RW);

    expect(table.lookup(0x40000 + 5)).toMatchObject({ frame: 0x80005, pages: 0x40000 });
    expect(table.lookup(0x80000 + 5)).toMatchObject({ frame: 0xc0005, pages: 0x200 });
    expect(table.lookup(0x80200)).toMatchObject({ frame: 0xc0200, pages: 1 });
    expect(table.lookup(0x80201)).toBeUndefined();
  });

  test('frames above 4 GiB, and inputs of 57 bits', () => {
    const { table } = world(VTD_SECOND, { levels: 5, top: 1 });
    table.map(2 ** 44 + 3, 2 ** 24 + 7, 1, RW);

    expect(table.lookup(2 ** 44 + 3)).toMatchObject({ frame: 2 ** 24 + 7, pages: 1 });
    expect(table.lookup(3)).toBeUndefined();
  });

  test('whatever is mapped and unmapped, look-ups agree with a list, and in the end nothing is left', () => {
    const place = fc.record({
      format: fc.constantFrom(...FORMATS),
      concatenated: fc.boolean(),
      maps: fc.array(
        fc.record({
          slot: fc.nat(15),
          pages: fc.constantFrom(1, 3, 511, 512, 513, 1024, 1537),
          skew: fc.constantFrom(0, 1, 512),
        }),
        { maxLength: 12 },
      ),
    });
    fc.assert(
      fc.property(place, ({ format, concatenated, maps }) => {
        const shape = concatenated ? shapeOf(42, true) : { levels: 4, top: 1 };
        const { kernel, memory, table } = world(format, shape);
        const mapped = new Map<number, { pages: number; frame: number }>();
        for (const { slot, pages, skew } of maps) {
          const at = slot * 2048;
          const present = mapped.get(at);
          if (present === undefined) {
            const frame = 0x100000 + slot * 4096 + skew;
            table.map(at, frame, pages, RW);
            mapped.set(at, { pages, frame });
          } else {
            table.unmap(at, present.pages);
            table.collect();
            mapped.delete(at);
          }
        }
        for (let slot = 0; slot < 16; slot++) {
          const present = mapped.get(slot * 2048);
          for (const offset of [0, 1, 511, 512, 1536, 2047]) {
            const found = table.lookup(slot * 2048 + offset)?.frame;
            const inside = present !== undefined && offset < present.pages;
            expect(found).toBe(inside ? present.frame + offset : undefined);
          }
        }
        for (const [at, { pages }] of mapped) table.unmap(at, pages);
        table.collect();
        expect(memory.pages.live).toBe(shape.top);
        table.free();
        expect(kernel.allocations.census()).toEqual({});
      }),
      { numRuns: runs(60) },
    );
  });

  test('without memory for a table nothing is mapped', () => {
    const { kernel, memory, table } = world();
    kernel.allocations.failNth(5);

    expect(() => table.map(0x200 - 1, 1, 600, RW)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));

    table.collect();
    expect(memory.pages.live).toBe(1);
    expect(table.lookup(0x1ff)).toBeUndefined();
  });

  test.each([
    [48, false, { levels: 4, top: 1 }],
    [39, false, { levels: 3, top: 1 }],
    [44, true, { levels: 4, top: 1 }],
    [42, true, { levels: 3, top: 8 }],
    [40, true, { levels: 3, top: 2 }],
    [36, true, { levels: 3, top: 1 }],
    [32, true, { levels: 2, top: 4 }],
  ])('%d bits, concatenated tables %s', (bits, concatenates, shape) => {
    expect(shapeOf(bits, concatenates)).toEqual(shape);
  });
});

test.each([
  [0x1000, 1, { lo: 0x100_0000, hi: 0, order: 0 }],
  [0x1000, 512, { lo: 0x100_0000, hi: 0, order: 9 }],
  [0x1ff, 2, { lo: 0, hi: 0, order: 10 }],
  [0x100_0007, 1, { lo: 0x7000, hi: 0x10, order: 0 }],
])('the block that holds %d and %d pages', (page, pages, block) => {
  const { lo, hi, order } = blockOf(page, pages);

  expect({ lo: lo >>> 0, hi, order }).toEqual(block);
});

test('tags: the lowest free one, and ENOSPC when there is none', () => {
  const tags = new TagIds('ASID', 1, 4);
  const taken = [tags.take(), tags.take(), tags.take()];
  expect(() => tags.take()).toThrow(expect.objectContaining({ errno: 'ENOSPC' }));
  tags.give(2);

  expect(taken).toEqual([1, 2, 3]);
  expect(tags.take()).toBe(2);
  expect(tags.live).toBe(3);
});
