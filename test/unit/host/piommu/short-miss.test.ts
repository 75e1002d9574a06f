import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { VtdIommu } from '../../../../viommu/vtd/device.ts';
import { DMA_OK } from '../../../../vmm/bus/dma.ts';
import { HWPT_DATA, HWPT_FLAGS, IOMMU_HWPT_ALLOC, NR } from '../../../../vmm/host/iommufd/abi.ts';
import { HWPT_VTD_S1 } from '../../../../vmm/host/piommu/abi.ts';
import { vtdHost } from '../../../kit/physical-host.ts';
import { runs } from '../../../kit/runs.ts';

const DEV = 0x100;
const MIB2 = 0x20_0000;
/** Guest-physical: tables of the guest, in a large page of their own. */
const TOP = 0x20_0000;
const LAST = TOP + 0x3000;
const ADDRESS = 0x7000_0000;
const PAGES = 6;

interface World {
  /** Of each page: where it leads in the guest, and its bits. */
  readonly leaves: readonly (readonly [frame: number, bits: number])[];
  /** How the VMM maps the guest's RAM beyond its tables: whole, in pages, with holes, read-only. */
  readonly ram: 'large' | 'small' | 'hole' | 'read-only';
  readonly accesses: readonly (readonly [page: number, access: number])[];
  readonly pasid: number;
}

const worlds: fc.Arbitrary<World> = fc.record({
  leaves: fc.array(
    // P, R/W and U/S more often than not; A, D, and a reserved bit (PAT is none).
    fc.tuple(fc.nat(0xfff), fc.constantFrom(7, 0x67, 0x67, 0x27, 0x65, 0x63, 0x66, 0)),
    { minLength: PAGES, maxLength: PAGES },
  ),
  ram: fc.constantFrom('large', 'large', 'small', 'hole', 'read-only'),
  accesses: fc.array(fc.tuple(fc.nat(PAGES - 1), fc.constantFrom(1, 2, 3, 4)), {
    minLength: 1,
    maxLength: 12,
  }),
  pasid: fc.constantFrom(-1, 5),
});

/** Everything that can be seen of the accesses of a function behind a nested table. */
function accessed(w: World, short: boolean) {
  const host = vtdHost({}, {}, 16 * 1024 * 1024);
  if (!short) host.tracer.select('vtd_iotlb_page_update');
  const map = (at: number, bytes: number, writable = true) =>
    host.caller.map(host.ioas, BigInt(at), bytes, BigInt(at), writable);
  map(TOP, MIB2);
  if (w.ram === 'large') map(2 * MIB2, 6 * MIB2);
  if (w.ram === 'small') for (let at = 2 * MIB2; at < 8 * MIB2; at += 0x10_0000) map(at, 0x10_0000);
  if (w.ram === 'hole') map(2 * MIB2, MIB2);
  if (w.ram === 'read-only') map(2 * MIB2, 6 * MIB2, false);
  const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
  const call = host.nestedCall(
    device,
    host.hwpt(device, HWPT_FLAGS.NEST_PARENT),
    HWPT_DATA.VTD_S1,
    HWPT_VTD_S1,
    {
      pgtbl_addr: BigInt(TOP),
      addr_width: 48,
    },
  );
  const nested = host.caller.ok(NR.HWPT_ALLOC, IOMMU_HWPT_ALLOC, { ...call, flags: HWPT_FLAGS.PASID });
  device.attach(0, nested.out_hwpt_id);
  if (w.pasid >= 0) device.attach(w.pasid, nested.out_hwpt_id);
  host.store(TOP, (TOP + 0x1000) | 0x27);
  host.store(TOP + 0x1000 + 8, (TOP + 0x2000) | 0x27);
  host.store(TOP + 0x2000 + ((ADDRESS >>> 21) & 511) * 8, LAST | 0x27);
  w.leaves.forEach(([frame, bits], n) => {
    host.store(LAST + n * 8, (frame << 12) | bits);
  });
  const port = host.port(DEV, w.pasid);
  const answers = w.accesses.map(([page, access]) => {
    const status = port.translate(ADDRESS + page * 4096, 0, access);
    return status === DMA_OK ? [port.outLo, port.outHi, port.outSpan] : status;
  });
  const { s } = host.unit.iommu.device as VtdIommu;
  const live = (rows: Uint32Array) => {
    const found: number[][] = [];
    for (let r = 0; r < rows.length; r += 8) if (rows[r + 2] !== 0) found.push([...rows.subarray(r, r + 8)]);
    return found;
  };
  return {
    answers,
    faults: host.faults.map(({ code }) => code),
    leaves: w.leaves.map((_, n) => host.load(LAST + n * 8)),
    iotlb: live(s.iotlb),
    paging: live(s.pagingCache),
    watched: s.watched,
  };
}

test('nested under pages of 2 MiB and 4 KiB, with the tables of a guest: a miss in few steps ends as a walk does', () => {
  let served = 0;
  fc.assert(
    fc.property(worlds, (w) => {
      const quick = accessed(w, true);
      expect(quick).toEqual(accessed(w, false));
      if (quick.answers.filter((answer) => typeof answer !== 'number').length > 2) served++;
    }),
    { numRuns: runs(60, 20) },
  );
  expect(served).toBeGreaterThan(runs(3, 0));
}, 60_000);
