/**
 * A physical VT-d of the host and its driver: nested translations from the assigned function, PASIDs attached, replaced and
 * detached, invalidations by the uAPI, mapping, memory of a nested page table.
 */
import * as abi from '../../vmm/host/iommufd/abi.ts';
import { encode, type UapiStruct } from '../../vmm/host/kernel/struct.ts';
import { HWPT_VTD_S1, VTD_S1_INVALIDATE } from '../../vmm/host/piommu/abi.ts';
import { ATTACH, ATTACH_PASID, DETACH, VFIO } from '../../vmm/host/vfio/abi.ts';
import { type PhysicalHost, vtdHost } from '../kit/physical-host.ts';
import { AT, contendersOf, figuresOf, guestTables, heapOf, RAM, TOP, warmUp, world } from './kit/piommu.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const PASIDS = 256;
/** What the VMM passes to VFIO. */
const STEPS = 0x4_0000n;

function vtd() {
  const { host, device, parent } = world(vtdHost({}, {}, RAM));
  // Accessed and dirty are set, as they are after the first round.
  guestTables(host, 0x27, 0x67);
  const call = host.nestedCall(device, parent, abi.HWPT_DATA.VTD_S1, HWPT_VTD_S1, {
    pgtbl_addr: BigInt(TOP),
    addr_width: 48,
  });
  const nested = () =>
    host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { ...call, flags: abi.HWPT_FLAGS.PASID })
      .out_hwpt_id;
  return { host, device, nested };
}

/** Every step of PASIDS triples, prepared: attach, replace, detach. What is measured is the calls. */
function pasidSteps(host: PhysicalHost, one: number, other: number): () => void {
  const { fd } = host.open(host.plug({ requester: 0x200, pasidWidth: 20 }));
  const { calls } = host.caller;
  const step = (word: number, struct: UapiStruct, values: object, at: bigint) => {
    host.caller.put(encode(struct, { argsz: struct.bytes, ...values }), at);
    return () => {
      if (calls.ioctl(fd, word, at) < 0) throw new Error(calls.lastRefusal?.refusal.why);
    };
  };
  step(VFIO.ATTACH_IOMMUFD_PT, ATTACH, { pt_id: one }, STEPS)();
  const steps = Array.from({ length: PASIDS }, (_, i) => {
    const at = STEPS + BigInt(i * 64);
    const named = { flags: ATTACH_PASID, pasid: i + 1 };
    return [
      step(VFIO.ATTACH_IOMMUFD_PT, ATTACH, { ...named, pt_id: one }, at),
      step(VFIO.ATTACH_IOMMUFD_PT, ATTACH, { ...named, pt_id: other }, at + 16n),
      step(VFIO.DETACH_IOMMUFD_PT, DETACH, named, at + 32n),
    ];
  }).flat();
  return () => {
    for (const run of steps) run();
  };
}

async function main(): Promise<void> {
  const { host, device, nested } = vtd();
  const [one, other] = [nested(), nested()];
  device.attach(0, one);
  const map = { flags: 7, ioas_id: host.ioas, user_va: 0n, length: 0x1000n, iova: BigInt(RAM) };
  const unmap = { ioas_id: host.ioas, iova: BigInt(RAM), length: 0x1000n };
  const contenders: Contender[] = [
    ...contendersOf(host, {
      object: one,
      type: abi.INVALIDATE_DATA.VTD_S1,
      entry: (i) => encode(VTD_S1_INVALIDATE, { addr: BigInt(AT + i * 4096), npages: 1n, flags: 1 }),
    }),
    { name: 'pasid', operations: PASIDS, run: pasidSteps(host, one, other) },
    {
      name: 'map',
      operations: 1,
      run: () => {
        host.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, map);
        host.caller.ok(abi.NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, unmap);
      },
    },
  ];
  warmUp(host);
  const times = await rounds(contenders);
  figuresOf('VT-d', 'invalidation', times);
  /** 50,000 a second, each with an attach, a replacement and a detach. */
  const rate = { text: '<= 20 us', value: 20_000 };
  figure('PASID attached, replaced and detached through VFIO, physical VT-d', 'ns', times['pasid']!, rate);
  figure('page mapped and unmapped through the uAPI, physical VT-d', 'ns', times['map']!);
  heapOf('VT-d', nested);
  finish();
}

await main();
