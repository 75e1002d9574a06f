/**
 * The physical IOMMUs of the host and their drivers: nested translations from the assigned function, PASIDs attached, replaced and
 * detached, batches of invalidations by the uAPI, mapping, memory of a nested page table.
 */
import { NO_PASID, READ } from '../../vmm/bus/dma.ts';
import * as abi from '../../vmm/host/iommufd/abi.ts';
import type { IommufdDevice } from '../../vmm/host/iommufd/device.ts';
import { encode, type UapiStruct } from '../../vmm/host/kernel/struct.ts';
import { HWPT_SMMUV3, HWPT_VTD_S1, SMMUV3_INVALIDATE, VTD_S1_INVALIDATE } from '../../vmm/host/piommu/abi.ts';
import { ATTACH, ATTACH_PASID, DETACH, VFIO } from '../../vmm/host/vfio/abi.ts';
import { type PhysicalHost, smmuHost, vtdHost } from '../kit/physical-host.ts';
import { shuffled, sweep } from './kit/dma.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const MIB = 1 << 20;
const RAM = 512 * MIB;
const DEV = 0x100;
/** More than an IOTLB of VT-d's scalable mode holds. */
const PAGES = 262144;
/** Pages that they lead to, over and over. */
const TARGETS = 65536;
const HOT = 16;
const PASIDS = 256;
const BATCH = 256;
const TABLES = 4096;
/** Where the VMM puts arrays of invalidations. */
const ENTRIES = 0x2_0000n;
/** And what it passes to VFIO. */
const STEPS = 0x4_0000n;
/** Guest-physical: tables of the first stage, and what they map. */
const TOP = 16 * MIB;
const CDS = 8 * MIB;
const FROM = 128 * MIB;
/** Guest-virtual. */
const AT = 0x8000_0000;
const { NEST_PARENT, PASID } = abi.HWPT_FLAGS;

/** Entries of a guest's stage 1 that maps PAGES pages one after the other, 4 levels. */
function guestTables(host: PhysicalHost, table: number, leaf: number): void {
  host.store(TOP, (TOP + 0x1000) | table);
  host.store(TOP + 0x1000 + (AT / 2 ** 30) * 8, (TOP + 0x2000) | table);
  for (let i = 0; i < PAGES / 512; i++) host.store(TOP + 0x2000 + i * 8, (TOP + 0x3000 + i * 4096) | table);
  for (let i = 0; i < PAGES; i++) host.store(TOP + 0x3000 + i * 8, (FROM + (i % TARGETS) * 4096) | leaf);
}

interface World {
  readonly host: PhysicalHost;
  readonly device: IommufdDevice;
  readonly parent: number;
}

function world(host: PhysicalHost): World {
  host.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
    flags: 7,
    ioas_id: host.ioas,
    user_va: 0n,
    length: BigInt(RAM),
    iova: 0n,
  });
  const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
  return { host, device, parent: host.hwpt(device, NEST_PARENT) };
}

function vtd() {
  const { host, device, parent } = world(vtdHost({}, {}, RAM));
  // Accessed and dirty are set, as they are after the first round.
  guestTables(host, 0x27, 0x67);
  const call = host.nestedCall(device, parent, abi.HWPT_DATA.VTD_S1, HWPT_VTD_S1, {
    pgtbl_addr: BigInt(TOP),
    addr_width: 48,
  });
  const nested = () =>
    host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { ...call, flags: PASID }).out_hwpt_id;
  return { host, device, nested };
}

function smmu() {
  const { host, device, parent } = world(smmuHost({}, {}, RAM));
  const { out_viommu_id } = host.caller.ok(abi.NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
    type: 1,
    dev_id: device.id,
    hwpt_id: parent,
  });
  host.caller.ok(abi.NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, {
    viommu_id: out_viommu_id,
    dev_id: device.id,
    virt_id: 0x33n,
  });
  guestTables(host, 3, 0xf43);
  host.store(CDS + 4, 4 | (1 << 9) | (1 << 13) | (1 << 14) | (9 << 16));
  host.store(CDS + 8, TOP);
  host.store(CDS + 24, 0xff);
  host.store(CDS, 16 | (3 << 12) | (1 << 30) | 0x80000000);
  const call = host.nestedCall(device, out_viommu_id, abi.HWPT_DATA.ARM_SMMUV3, HWPT_SMMUV3, {
    ste0: BigInt(1 | (5 << 1) | CDS),
    ste1: 0n,
  });
  const nested = () => host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, call).out_hwpt_id;
  return { host, device, viommu: out_viommu_id, nested };
}

function pages(host: PhysicalHost, count: number, order?: (pages: number) => Uint32Array) {
  const numbers = order?.(count) ?? Uint32Array.from({ length: count }, (_, i) => i);
  return { port: host.port(DEV, NO_PASID), addresses: numbers.map((page) => AT + page * 4096) };
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

/** BATCH entries in memory, and the call that takes them. */
function batch(
  host: PhysicalHost,
  object: number,
  type: number,
  entry: (i: number) => Uint8Array,
): Contender['run'] {
  const bytes = entry(0).length;
  for (let i = 0; i < BATCH; i++) host.caller.put(entry(i), ENTRIES + BigInt(i * bytes));
  const call = {
    hwpt_id: object,
    data_uptr: ENTRIES,
    data_type: type,
    entry_len: bytes,
    entry_num: BATCH,
  };
  return () => {
    host.caller.ok(abi.NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, call);
  };
}

function heapOf(name: string, nested: () => number): void {
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < TABLES; count++) nested();
  collect?.();
  const each = (process.memoryUsage().heapUsed - before) / TABLES;
  figure(`host memory of a nested page table, ${name}`, 'bytes', [each], { text: '<= 1 KiB', value: 1024 });
}

async function main(): Promise<void> {
  const intel = vtd();
  const arm = smmu();
  const [one, other] = [intel.nested(), intel.nested()];
  intel.device.attach(0, one);
  arm.device.attach(0, arm.nested());
  const map = { flags: 7, ioas_id: intel.host.ioas, user_va: 0n, length: 0x1000n, iova: BigInt(RAM) };
  const unmap = { ioas_id: intel.host.ioas, iova: BigInt(RAM), length: 0x1000n };
  const contenders: Contender[] = [
    sweep('VT-d hit', pages(intel.host, HOT)),
    sweep('SMMUv3 hit', pages(arm.host, HOT)),
    sweep('VT-d miss', pages(intel.host, PAGES)),
    sweep('SMMUv3 miss', pages(arm.host, PAGES)),
    sweep('VT-d random', pages(intel.host, PAGES, shuffled)),
    sweep('SMMUv3 random', pages(arm.host, PAGES, shuffled)),
    { name: 'pasid', operations: PASIDS, run: pasidSteps(intel.host, one, other) },
    {
      name: 'VT-d batch',
      operations: BATCH,
      run: batch(intel.host, one, abi.INVALIDATE_DATA.VTD_S1, (i) =>
        encode(VTD_S1_INVALIDATE, { addr: BigInt(AT + i * 4096), npages: 1n, flags: 1 }),
      ),
    },
    {
      name: 'SMMUv3 batch',
      operations: BATCH,
      run: batch(arm.host, arm.viommu, abi.INVALIDATE_DATA.ARM_SMMUV3, (i) =>
        encode(SMMUV3_INVALIDATE, { cmd0: 0x12n | (9n << 48n), cmd1: BigInt(AT + i * 4096) | 1n }),
      ),
    },
    {
      name: 'map',
      operations: 1,
      run: () => {
        intel.host.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, map);
        intel.host.caller.ok(abi.NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, unmap);
      },
    },
  ];
  // What is touched for the first time costs more: accessed flags, tables that are noted as such.
  for (const { host } of [intel, arm]) {
    const { port, addresses } = pages(host, PAGES);
    for (let pass = 0; pass < 3; pass++)
      for (const address of addresses) port.translate(address | 0, 0, READ);
  }
  const times = await rounds(contenders);
  for (const kind of ['VT-d', 'SMMUv3']) {
    const within = { text: '<= 20 ns', value: 20 };
    figure(`nested page of the physical ${kind}, hits`, 'ns', times[`${kind} hit`]!, within);
    const missed = { text: '<= 200 ns', value: 200 };
    figure(`nested page of the physical ${kind}, misses`, 'ns', times[`${kind} miss`]!, missed);
    figure(`nested page of the physical ${kind}, misses in random order`, 'ns', times[`${kind} random`]!);
  }
  /** 50,000 a second, each with an attach, a replacement and a detach. */
  const rate = { text: '<= 20 us', value: 20_000 };
  figure('PASID attached, replaced and detached through VFIO, physical VT-d', 'ns', times['pasid']!, rate);
  const each = { text: '<= 500 ns', value: 500 };
  figure(`invalidation of one page, ${BATCH} a call, physical VT-d`, 'ns', times['VT-d batch']!, each);
  figure(`TLBI of one page, ${BATCH} a call, physical SMMUv3`, 'ns', times['SMMUv3 batch']!, each);
  figure('page mapped and unmapped through the uAPI, physical VT-d', 'ns', times['map']!);
  heapOf('VT-d', intel.nested);
  heapOf('SMMUv3', arm.nested);
  finish();
}

await main();
