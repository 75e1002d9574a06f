/**
 * The host's iommufd and VFIO through their system calls: PASIDs attached, replaced and detached, pages mapped, nested page tables made,
 * registers of an assigned device.
 */
import * as abi from '../../vmm/host/iommufd/abi.ts';
import { MOCK } from '../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../vmm/host/iommufd/selftest-abi.ts';
import { encode } from '../../vmm/host/kernel/struct.ts';
import * as vfio from '../../vmm/host/vfio/abi.ts';
import { BUFFER, Caller } from '../kit/host-caller.ts';
import { DATA, VfioRig } from '../kit/vfio-rig.ts';
import { type Contender, rounds } from './kit/rounds.ts';
import { figure, finish } from './kit/row.ts';

const { NR, HWPT_FLAGS } = abi;
const TABLES = 4096;
const PASIDS = 256;
/** 50,000 a second, each with an attach, a replacement and a detach. */
const LIMIT = { text: '<= 20 us', value: 20_000 };

const caller = new Caller();
const ioas = caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
const { device, stdev } = caller.plug(ioas, 4);

function hwpt(pt_id: number, flags: number, values: object = {}): number {
  return caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: device, pt_id, flags, ...values })
    .out_hwpt_id;
}

/** One structure a call, prepared once: what is measured is the call. */
function prepared(at: bigint, op: number, values: object): bigint {
  const bytes = new Uint8Array(selftest.TEST_CMD_BYTES);
  encode(selftest.TEST_CMD, { size: selftest.TEST_CMD_BYTES, op, id: stdev, reserved: 0 }, bytes);
  encode(selftest.PASID_ATTACH, values, bytes);
  return caller.put(bytes, at);
}

/** The same steps through the device's file, as a VMM makes them; its register through the file, and mapped. */
function assigned(): readonly Contender[] {
  const rig = new VfioRig();
  const { fd, id } = rig.bound();
  const table = (values: object) =>
    rig.caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id: id, ...values }).out_hwpt_id;
  const pt_id = rig.caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
  const [one, other] = [table({ pt_id, flags: HWPT_FLAGS.PASID }), table({ pt_id, flags: HWPT_FLAGS.PASID })];
  rig.ioctl(fd, vfio.VFIO.ATTACH_IOMMUFD_PT, vfio.ATTACH, { pt_id: one });
  const { ATTACH_IOMMUFD_PT, DETACH_IOMMUFD_PT } = vfio.VFIO;
  const calls = Array.from({ length: PASIDS }, (_, index) => {
    const common = { flags: vfio.ATTACH_PASID, pasid: index + 1 };
    const at = BUFFER + BigInt(index * 0x40);
    const attach = (where: bigint, target: number) =>
      rig.caller.put(encode(vfio.ATTACH, { ...common, argsz: 16, pt_id: target }), where);
    return [
      [ATTACH_IOMMUFD_PT, attach(at, one)],
      [ATTACH_IOMMUFD_PT, attach(at + 0x10n, other)],
      [DETACH_IOMMUFD_PT, rig.caller.put(encode(vfio.DETACH, { ...common, argsz: 12 }), at + 0x20n)],
    ] as const;
  }).flat();
  rig.caller.put(Uint8Array.of(2, 0), DATA);
  rig.calls.pwrite(fd, DATA, 2, (BigInt(vfio.REGION.CONFIG) << vfio.REGION_SHIFT) + 4n);
  const mapped = 0x20_0000n;
  rig.calls.mmap(fd, { address: mapped, length: 0x1000n, prot: 3, flags: 1, offset: 0n });
  const { window, offset } = rig.calls.process.window(mapped)!;
  return [
    {
      name: 'vfio-pasid',
      operations: PASIDS,
      run: () => {
        for (const [word, at] of calls)
          if (rig.calls.ioctl(fd, word, at) < 0) throw new Error(rig.calls.lastRefusal?.refusal.why);
      },
    },
    {
      name: 'register',
      operations: PASIDS,
      run: () => {
        for (let i = 0; i < PASIDS; i++) rig.calls.pread(fd, DATA, 4, 0x10n);
      },
    },
    {
      name: 'mapped',
      operations: PASIDS,
      run: () => {
        for (let i = 0; i < PASIDS; i++) window.load(offset + 0x10, 4);
      },
    },
  ];
}

async function main(): Promise<void> {
  const parent = hwpt(ioas, HWPT_FLAGS.NEST_PARENT | HWPT_FLAGS.PASID);
  const nested = () => {
    caller.put(new Uint8Array(16), 0x4000n);
    return hwpt(parent, HWPT_FLAGS.PASID, { data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: 0x4000n });
  };
  const [one, other] = [nested(), nested()];
  caller.test(selftest.OP.MOCK_DOMAIN_REPLACE, stdev, selftest.MOCK_DOMAIN_REPLACE, { pt_id: one });
  const steps = Array.from({ length: PASIDS }, (_, index) => {
    const pasid = index + 1;
    const at = BUFFER + 0x10_0000n + BigInt(index * 0x100);
    return [
      prepared(at, selftest.OP.PASID_ATTACH, { pasid, pt_id: one }),
      prepared(at + 0x50n, selftest.OP.PASID_REPLACE, { pasid, pt_id: other }),
      prepared(at + 0xa0n, selftest.OP.PASID_DETACH, { pasid }),
    ];
  }).flat();
  const call = (address: bigint) => {
    if (caller.calls.ioctl(caller.fd, 0x3ba0, address) < 0)
      throw new Error(caller.calls.lastRefusal?.refusal.why);
  };
  const map = { flags: 7, ioas_id: ioas, user_va: BUFFER, length: 0x1000n, iova: 0x100_0000n };
  const unmap = { ioas_id: ioas, iova: 0x100_0000n, length: 0x1000n };
  const contenders: Contender[] = [
    ...assigned(),
    { name: 'pasid', operations: PASIDS, run: () => steps.forEach(call) },
    {
      name: 'map',
      operations: 1,
      run: () => {
        caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, map);
        caller.ok(NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, unmap);
      },
    },
  ];
  const times = await rounds(contenders);
  figure('PASID attached, replaced and detached through the uAPI', 'ns', times['pasid']!, LIMIT);
  figure('the same through the file of an assigned device', 'ns', times['vfio-pasid']!, LIMIT);
  figure('register of an assigned device read through its file', 'ns', times['register']!);
  figure('register of an assigned device read where it is mapped', 'ns', times['mapped']!);
  figure('page mapped and unmapped through the uAPI, one page table', 'ns', times['map']!);
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < TABLES; count++) nested();
  collect?.();
  const each = (process.memoryUsage().heapUsed - before) / TABLES;
  figure('host memory of a nested page table (mock)', 'bytes', [each], { text: '<= 1 KiB', value: 1024 });
  finish();
}

await main();
