/** The host's iommufd through its system calls: PASIDs attached, replaced and detached, pages mapped, nested page tables made. */
import * as abi from '../../vmm/host/iommufd/abi.ts';
import { MOCK } from '../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../vmm/host/iommufd/selftest-abi.ts';
import { encode } from '../../vmm/host/kernel/struct.ts';
import { BUFFER, Caller } from '../kit/host-caller.ts';
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
