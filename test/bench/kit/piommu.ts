import { NO_PASID, READ } from '../../../vmm/bus/dma.ts';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import type { IommufdDevice } from '../../../vmm/host/iommufd/device.ts';
import { encode } from '../../../vmm/host/kernel/struct.ts';
import type { PhysicalHost } from '../../kit/physical-host.ts';
import { shuffled, sweep } from './dma.ts';
import type { Contender, Times } from './rounds.ts';
import { figure } from './row.ts';

const MIB = 1 << 20;
export const RAM = 512 * MIB;
export const DEV = 0x100;
/** More than an IOTLB of VT-d's scalable mode holds. */
const PAGES = 262144;
/** Pages that they lead to, over and over. */
const TARGETS = 65536;
const HOT = 16;
const BATCH = 256;
const TABLES = 4096;
/** Where the VMM puts arrays of invalidations. */
const ENTRIES = 0x2_0000n;
/** And calls of ioctl. */
const CALLS = 0x3_0000n;
const INVALIDATE = 0x3b00 | abi.NR.HWPT_INVALIDATE;
/** Guest-physical: tables of the first stage, and what they map. */
export const TOP = 16 * MIB;
const FROM = 128 * MIB;
/** Guest-virtual. */
export const AT = 0x8000_0000;

/** Entries of a guest's stage 1 that maps PAGES pages one after the other, 4 levels. */
export function guestTables(host: PhysicalHost, table: number, leaf: number): void {
  host.store(TOP, (TOP + 0x1000) | table);
  host.store(TOP + 0x1000 + (AT / 2 ** 30) * 8, (TOP + 0x2000) | table);
  for (let i = 0; i < PAGES / 512; i++) host.store(TOP + 0x2000 + i * 8, (TOP + 0x3000 + i * 4096) | table);
  for (let i = 0; i < PAGES; i++) host.store(TOP + 0x3000 + i * 8, (FROM + (i % TARGETS) * 4096) | leaf);
}

export interface World {
  readonly host: PhysicalHost;
  readonly device: IommufdDevice;
  readonly parent: number;
}

export function world(host: PhysicalHost): World {
  host.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
    flags: 7,
    ioas_id: host.ioas,
    user_va: 0n,
    length: BigInt(RAM),
    iova: 0n,
  });
  const device = host.bind(host.plug({ requester: DEV, pasidWidth: 20 }));
  return { host, device, parent: host.hwpt(device, abi.HWPT_FLAGS.NEST_PARENT) };
}

function pages(host: PhysicalHost, count: number, order?: (pages: number) => Uint32Array) {
  const numbers = order?.(count) ?? Uint32Array.from({ length: count }, (_, i) => i);
  return { port: host.port(DEV, NO_PASID), addresses: numbers.map((page) => AT + page * 4096) };
}

/** Invalidations of a user: of which object, of what type, each as it is in memory. */
export interface Invalidations {
  readonly object: number;
  readonly type: number;
  readonly entry: (i: number) => Uint8Array;
}

/** So many of them in memory, and the call that takes them. */
function invalidation(host: PhysicalHost, { object, type, entry }: Invalidations, count: number) {
  const bytes = entry(0).length;
  for (let i = 0; i < count; i++) host.caller.put(entry(i), ENTRIES + BigInt(i * bytes));
  const call = encode(abi.IOMMU_HWPT_INVALIDATE, {
    size: abi.IOMMU_HWPT_INVALIDATE.bytes,
    hwpt_id: object,
    data_uptr: ENTRIES,
    data_type: type,
    entry_len: bytes,
    entry_num: count,
  });
  const { calls, fd } = host.caller;
  const at = CALLS + BigInt(count * call.length);
  host.caller.put(call, at);
  return () => {
    if (calls.ioctl(fd, INVALIDATE, at) < 0) throw new Error(calls.lastRefusal?.refusal.why);
  };
}

export function heapOf(name: string, nested: () => number): void {
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < TABLES; count++) nested();
  collect?.();
  const each = (process.memoryUsage().heapUsed - before) / TABLES;
  figure(`host memory of a nested page table, ${name}`, 'bytes', [each], { text: '<= 1 KiB', value: 1024 });
}

/** What every kind is asked. */
export function contendersOf(host: PhysicalHost, invalidations: Invalidations): Contender[] {
  return [
    sweep('hit', pages(host, HOT)),
    sweep('miss', pages(host, PAGES)),
    sweep('random', pages(host, PAGES, shuffled)),
    { name: 'single', operations: 1, run: invalidation(host, invalidations, 1) },
    { name: 'batch', operations: BATCH, run: invalidation(host, invalidations, BATCH) },
  ];
}

/** What is touched for the first time costs more: accessed flags, tables that are noted as such. */
export function warmUp(host: PhysicalHost): void {
  const { port, addresses } = pages(host, PAGES);
  for (let pass = 0; pass < 3; pass++) for (const address of addresses) port.translate(address | 0, 0, READ);
}

export function figuresOf(kind: string, command: string, times: Times): void {
  const page = `nested page of the physical ${kind}`;
  figure(`${page}, hits`, 'ns', times['hit']!, { text: '<= 20 ns', value: 20 });
  figure(`${page}, misses`, 'ns', times['miss']!, { text: '<= 200 ns', value: 200 });
  figure(`${page}, misses in random order`, 'ns', times['random']!);
  figure(`${command} of one page through the uAPI, physical ${kind}`, 'ns', times['single']!, {
    text: '<= 3 us',
    value: 3000,
  });
  const each = { text: '<= 500 ns', value: 500 };
  figure(`${command} of one page, ${BATCH} a call, physical ${kind}`, 'ns', times['batch']!, each);
}
